// Send audio to a fleet and print its words: go run . https://example.org/call.ogg
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const patience = 10 * time.Minute

type result struct {
	State      string
	Transcript *struct{ Text string }
	Error      *struct{ Code, Message string }
}

type queue struct {
	redis *redis.Client
	name  string
}

func (q queue) key(name string) string {
	return "wf:{" + q.name + "}:" + name
}

// The newest done event, from which on a job that is sent now is looked for.
func (q queue) lastEvent(ctx context.Context) (string, error) {
	newest, err := q.redis.XRevRangeN(ctx, q.key("done"), "+", "-", 1).Result()
	if err != nil || len(newest) == 0 {
		return "0-0", err
	}
	return newest[0].ID, nil
}

func (q queue) submit(ctx context.Context, source string) (string, error) {
	job := map[string]any{"url": source}
	if !strings.Contains(source, "://") {
		// A file of up to 1 MiB travels with the job.
		audio, err := os.ReadFile(source)
		if err != nil {
			return "", err
		}
		job = map[string]any{"audio": audio}
	}
	entry, err := q.redis.XAdd(ctx, &redis.XAddArgs{Stream: q.key("in:normal"), Values: job}).Result()
	return "normal-" + entry, err
}

// Wait until a job ends, at most ten seconds; return the position after its event.
func (q queue) nextEvent(ctx context.Context, position string) (string, error) {
	streams, err := q.redis.XRead(ctx, &redis.XReadArgs{
		Streams: []string{q.key("done"), position},
		Block:   10 * time.Second,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return position, nil
	}
	if err != nil {
		return position, err
	}
	events := streams[0].Messages
	return events[len(events)-1].ID, nil
}

func (q queue) wait(ctx context.Context, id, position string) (*result, error) {
	for {
		document, err := q.redis.Get(ctx, q.key("result:"+id)).Bytes()
		if err == nil {
			var found result
			return &found, json.Unmarshal(document, &found)
		}
		if errors.Is(err, redis.Nil) {
			position, err = q.nextEvent(ctx, position)
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%s has not ended within %s; it goes on", id, patience)
		}
		if err != nil {
			// Redis may be restarting, and keeps the job meanwhile.
			time.Sleep(time.Second)
		}
	}
}

func run(source string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	options, err := redis.ParseURL(cmp.Or(os.Getenv("REDIS_URL"), "redis://127.0.0.1:6379/0"))
	if err != nil {
		return err
	}
	// A lost reply to XADD must not become a second job.
	options.MaxRetries = -1
	q := queue{redis.NewClient(options), cmp.Or(os.Getenv("QUEUE"), "default.calls")}
	defer q.redis.Close()

	position, err := q.lastEvent(ctx)
	if err != nil {
		return err
	}
	id, err := q.submit(ctx, source)
	if err != nil {
		return err
	}
	found, err := q.wait(ctx, id, position)
	if err != nil {
		return err
	}
	if found.Transcript == nil {
		return fmt.Errorf("%s is %s: %s: %s", id, found.State, found.Error.Code, found.Error.Message)
	}
	fmt.Println(found.Transcript.Text)
	return nil
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
