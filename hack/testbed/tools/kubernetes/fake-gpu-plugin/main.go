// Command fake-gpu-plugin is a kubelet device plugin for GPUs that do not exist.
//
//	fake-gpu-plugin INVENTORY
//
// INVENTORY is a JSON file, {"count": 2, "unhealthy": [1]}. It may change at any time: the kubelet
// then hears of the new devices at once. A restarted kubelet is registered with anew.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	pluginapi "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

const (
	resourceName    = "nvidia.com/gpu"
	socketName      = "fake-gpu.sock"
	lookEvery       = 200 * time.Millisecond
	registerTimeout = 5 * time.Second
)

type inventory struct {
	Count     int   `json:"count"`
	Unhealthy []int `json:"unhealthy"`
}

func readInventory(path string) (inventory, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return inventory{}, fmt.Errorf("reading the inventory of GPUs: %w", err)
	}
	var read inventory
	if err := json.Unmarshal(content, &read); err != nil {
		return inventory{}, fmt.Errorf("reading the inventory of GPUs in %s: %w", path, err)
	}
	return read, nil
}

func (i inventory) equal(other inventory) bool {
	return i.Count == other.Count && slices.Equal(i.Unhealthy, other.Unhealthy)
}

func (i inventory) devices() []*pluginapi.Device {
	devices := make([]*pluginapi.Device, i.Count)
	for number := range devices {
		health := pluginapi.Healthy
		if slices.Contains(i.Unhealthy, number) {
			health = pluginapi.Unhealthy
		}
		devices[number] = &pluginapi.Device{ID: fmt.Sprintf("gpu-%d", number), Health: health}
	}
	return devices
}

type plugin struct {
	pluginapi.UnimplementedDevicePluginServer

	mutex   sync.Mutex
	current inventory
	changed chan struct{} // closed, and replaced, when current changes
}

func (p *plugin) set(next inventory) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if next.equal(p.current) {
		return
	}
	log.Printf("the GPUs are now %+v", next)
	p.current = next
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *plugin) look() (inventory, <-chan struct{}) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.current, p.changed
}

func (p *plugin) GetDevicePluginOptions(context.Context, *pluginapi.Empty) (*pluginapi.DevicePluginOptions, error) {
	return &pluginapi.DevicePluginOptions{}, nil
}

func (p *plugin) ListAndWatch(_ *pluginapi.Empty, stream grpc.ServerStreamingServer[pluginapi.ListAndWatchResponse]) error {
	for {
		current, changed := p.look()
		if err := stream.Send(&pluginapi.ListAndWatchResponse{Devices: current.devices()}); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return nil
		}
	}
}

func (p *plugin) Allocate(_ context.Context, request *pluginapi.AllocateRequest) (*pluginapi.AllocateResponse, error) {
	response := &pluginapi.AllocateResponse{}
	for _, container := range request.ContainerRequests {
		response.ContainerResponses = append(response.ContainerResponses, &pluginapi.ContainerAllocateResponse{
			Envs: map[string]string{"NVIDIA_VISIBLE_DEVICES": strings.Join(container.DevicesIds, ",")},
		})
	}
	return response, nil
}

// serve listens on the plugin's socket and announces it to the kubelet.
func (p *plugin) serve() (*grpc.Server, error) {
	socket := filepath.Join(pluginapi.DevicePluginPath, socketName)
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("removing an old socket: %w", err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", socket, err)
	}
	server := grpc.NewServer()
	pluginapi.RegisterDevicePluginServer(server, p)
	go server.Serve(listener)
	if err := register(); err != nil {
		server.Stop()
		return nil, err
	}
	return server, nil
}

func register() error {
	connection, err := grpc.NewClient("unix://"+pluginapi.KubeletSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("connecting to the kubelet: %w", err)
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), registerTimeout)
	defer cancel()
	_, err = pluginapi.NewRegistrationClient(connection).Register(ctx, &pluginapi.RegisterRequest{
		Version:      pluginapi.Version,
		Endpoint:     socketName,
		ResourceName: resourceName,
	})
	if err != nil {
		return fmt.Errorf("registering %s with the kubelet: %w", resourceName, err)
	}
	return nil
}

// kubeletSocket tells one life of the kubelet from the next, which makes its socket anew.
func kubeletSocket() os.FileInfo {
	info, err := os.Stat(pluginapi.KubeletSocket)
	if err != nil {
		return nil
	}
	return info
}

func isSameLife(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime())
}

func main() {
	if len(os.Args) != 2 {
		log.Fatalf("usage: %s INVENTORY", os.Args[0])
	}
	served := &plugin{changed: make(chan struct{})}
	var server *grpc.Server
	var registered os.FileInfo
	for ; ; time.Sleep(lookEvery) {
		if next, err := readInventory(os.Args[1]); err != nil {
			log.Print(err)
		} else {
			served.set(next)
		}
		kubelet := kubeletSocket()
		if kubelet == nil || (registered != nil && isSameLife(kubelet, registered)) {
			continue
		}
		if server != nil {
			server.Stop()
		}
		var err error
		if server, err = served.serve(); err != nil {
			log.Print(err)
			registered = nil
			continue
		}
		registered = kubelet
		log.Printf("registered %s", resourceName)
	}
}
