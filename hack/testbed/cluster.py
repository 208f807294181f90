"""The testbed as a whole: up, down, and what tests do to its parts."""

import fcntl
import os
import shutil
import signal
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hack.testbed import cgroups, network
from hack.testbed.binaries import Binaries, build
from hack.testbed.component import Component
from hack.testbed.configuration import write_configuration
from hack.testbed.control_plane import control_plane
from hack.testbed.errors import TestbedError
from hack.testbed.files import link, write
from hack.testbed.images import load_archive, name_image
from hack.testbed.keda import keda
from hack.testbed.layout import LOCK, NODE, Layout
from hack.testbed.log import logger
from hack.testbed.machine import Before, restore
from hack.testbed.mounts import unmount_below
from hack.testbed.node import GPU_RESOURCE, node, write_gpus
from hack.testbed.pki import make_certificates
from hack.testbed.prerequisites import install_packages, require_root, search_path
from hack.testbed.probes import Kubectl
from hack.testbed.processes import Process, launch, stop, wait_until
from hack.testbed.proxies import past_proxies
from hack.testbed.redis import redis
from hack.testbed.state import remove_state, require_own_state

__all__ = ["ComponentStatus", "Testbed"]

_DEATH_SECONDS = 10.0
_GPU_SECONDS = 30.0
_LOG_LINES = 15


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    """How a component does; `since` is in seconds since the epoch, None where it does not run."""

    name: str
    pid: int | None
    since: float | None
    ready: bool


@dataclass(frozen=True, slots=True)
class Testbed:
    """A Kubernetes cluster with KEDA on this machine; a value: it holds nothing open."""

    # pytest otherwise takes an imported class of this name for a class of tests.
    __test__ = False

    layout: Layout = field(default_factory=Layout)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.layout.kubeconfig

    @property
    def kubectl(self) -> Path:
        """The command; it needs KUBECONFIG."""
        return self.layout.bin / "kubectl"

    @property
    def helm(self) -> Path:
        """The command; it needs KUBECONFIG."""
        return self.layout.bin / "helm"

    @property
    def audit_log(self) -> Path:
        """The API server's audit log, a JSON object a line."""
        return self.layout.audit_log

    @property
    def exists(self) -> bool:
        """Whether `up` has begun here, and no `down` has ended since."""
        return self.layout.machine_before.exists()

    def log(self, component: str) -> Path:
        """Return where a component's output goes."""
        return self.layout.log(component)

    def up(self) -> None:
        """Start what does not run, in order, and wait until all is ready.

        Raises TestbedError with what is in the way.
        """
        with self._alone():
            require_own_state(self.layout)
            install_packages()
            binaries = build(self.layout)
            if not self.layout.machine_before.exists():
                network.check_ranges()
            Before.record(self.layout)
            cgroups.make()
            network.make_bridge()
            make_certificates(self.layout)
            write_configuration(self.layout)
            self._link_commands(binaries)
            for component in self._components(binaries):
                self._ensure(component)

    def down(self) -> None:
        """Take everything away that `up` brought, also after half an `up`; the cache stays.

        Where there is no testbed nothing is touched: what looks like one is another's. Raises
        TestbedError with what cannot be taken away.
        """
        with self._alone():
            require_own_state(self.layout)
            if not self.exists:
                logger.info("there is no testbed in %s to take down", self.layout.state)
                return
            cgroups.kill_all()
            unmount_below(self.layout.state)
            network.wait_for_pod_links()
            network.remove_service_rules()
            network.remove_bridge()
            cgroups.remove()
            restore(self.layout)
            remove_state(self.layout)

    def status(self) -> list[ComponentStatus]:
        """Return how each component does, in the order of their start."""
        return [self._status(component) for component in self._all()]

    def restart(self, name: str) -> None:
        """Stop a component, gently at first, start it again and wait until it is ready.

        Raises TestbedError where there is no testbed.
        """
        with self._alone():
            if not self.exists:
                raise TestbedError(f"there is no testbed to restart {name} of: `up` makes one")
            component = self._component(name)
            process = self._process(component)
            if process is not None:
                stop(process, component.grace_seconds)
            self._ensure(component)

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to a component's process; after SIGKILL, wait until it is gone.

        It stays dead until `restart` or `up`. Raises TestbedError where it does not run.
        """
        process = self._process(self._component(name))
        if process is None or not process.is_alive:
            raise TestbedError(f"{name} does not run, so it cannot be killed: `up` starts it")
        os.kill(process.pid, number)
        if number == signal.SIGKILL and not wait_until(
            lambda: not process.is_alive, _DEATH_SECONDS
        ):
            raise TestbedError(f"{name} (pid {process.pid}) is still there after SIGKILL")

    def load_image(self, archive: Path) -> None:
        """Load a docker or OCI archive, so that pods may name its images with pull policy Never."""
        load_archive(self.layout, archive)

    def name_image(self, image: str, name: str) -> None:
        """Give a loaded image a second name, as a release does whose bytes are the same."""
        name_image(self.layout, image, name)

    def set_gpus(self, count: int, unhealthy: Collection[int] = ()) -> None:
        """Offer so many GPUs, those of these numbers unhealthy; wait until the node says the same.

        Their ids are gpu-0, gpu-1, …; pods find theirs in NVIDIA_VISIBLE_DEVICES.
        """
        write_gpus(self.layout, count, unhealthy)
        wanted = (count, count - len(set(unhealthy)))
        kubectl = self._kubectl(self._binaries)
        if not wait_until(lambda: kubectl.allocatable(NODE, GPU_RESOURCE) == wanted, _GPU_SECONDS):
            raise TestbedError(
                f"the node does not offer {wanted[1]} of {wanted[0]} GPUs after {_GPU_SECONDS:g} s "
                f"but has {kubectl.allocatable(NODE, GPU_RESOURCE)} (all, healthy):\n"
                f"{self._tail('gpu-plugin')}"
            )

    @property
    def _binaries(self) -> Binaries:
        return Binaries(self.layout.cache)

    def _kubectl(self, binaries: Binaries) -> Kubectl:
        return Kubectl(binaries.kubernetes("kubectl"), self.kubeconfig)

    def _components(self, binaries: Binaries) -> tuple[Component, ...]:
        kubectl = self._kubectl(binaries)
        return (
            *control_plane(self.layout, binaries),
            *node(self.layout, binaries, kubectl),
            *keda(self.layout, binaries, kubectl),
            redis(self.layout),
        )

    def _all(self) -> tuple[Component, ...]:
        return self._components(self._binaries)

    def _component(self, name: str) -> Component:
        known = {component.name: component for component in self._all()}
        if name not in known:
            raise TestbedError(f"there is no component {name}: there are {', '.join(known)}")
        return known[name]

    def _process(self, component: Component) -> Process | None:
        return Process.read(self.layout.processes / component.name)

    def _status(self, component: Component) -> ComponentStatus:
        process = self._process(component)
        if process is None or not process.is_alive:
            return ComponentStatus(component.name, None, None, ready=False)
        return ComponentStatus(component.name, process.pid, process.since, component.is_ready())

    def _ensure(self, component: Component) -> None:
        """Start a component unless it runs as it should, and wait until it is ready."""
        began = time.monotonic()
        process = self._process(component)
        if process is not None and process.is_alive and process.recipe != component.recipe:
            logger.info("%s: runs with other settings than it should, starts anew", component.name)
            stop(process, component.grace_seconds)
        was_up = process is not None and process.is_alive
        if process is None or not was_up:
            process = self._start(component)
        running = process
        if not wait_until(
            lambda: not running.is_alive or component.is_ready(), component.ready_seconds
        ):
            raise TestbedError(
                f"{component.name} runs and is not ready after {component.ready_seconds:g} s; "
                f"the end of its log:\n{self._tail(component.name)}"
            )
        if not running.is_alive:
            raise TestbedError(
                f"{component.name} ended; the end of its log:\n{self._tail(component.name)}"
            )
        what = "was up, ready" if was_up else "ready"
        logger.info("%s: %s after %.1f s", component.name, what, time.monotonic() - began)

    def _start(self, component: Component) -> Process:
        component.prepare()
        network.check_ports(component.name, component.ports)
        process = launch(
            component.command,
            component.environment,
            self.layout.log(component.name),
            cgroups.system_procs(),
            component.recipe,
        )
        process.write(self.layout.processes / component.name)
        return process

    def _tail(self, component: str) -> str:
        path = self.layout.log(component)
        if not path.exists():
            return "(there is none)"
        last = path.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        return "\n".join([*last, f"(the whole log: {path})"])

    def _link_commands(self, binaries: Binaries) -> None:
        """Put the commands for looking inside into one folder."""
        link(self.kubectl, Path(binaries.kubernetes("kubectl")))
        link(self.helm, Path(binaries.addon("helm")))
        # By its path: this folder may be on the PATH, and the wrapper would call itself.
        outside = os.pathsep.join(
            folder for folder in search_path().split(os.pathsep) if Path(folder) != self.layout.bin
        )
        command = shutil.which("ctr", path=outside)
        socket = self.layout.containerd_socket
        script = f'#!/bin/sh\nexec {command} --address {socket} --namespace k8s.io "$@"\n'
        write(self.layout.bin / "ctr", script, mode=0o755)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep out others who would change the testbed at the same time; they wait."""
        require_root()
        # For the commands that are called here, and for those who use the testbed afterwards.
        os.environ |= {**past_proxies(os.environ), "PATH": search_path()}
        with LOCK.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                logger.info("waiting for another one who is changing the testbed")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield
