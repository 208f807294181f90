"""The operator as a process: wire the parts, reconcile services, report health."""

import logging
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import kopf
from prometheus_client import REGISTRY

from whisperfleet import __version__
from whisperfleet.health import HealthServer
from whisperfleet_operator import metrics
from whisperfleet_operator.cache import ObjectCache
from whisperfleet_operator.event_sink import EventSink
from whisperfleet_operator.kube import Kube, KubeError
from whisperfleet_operator.kube.client import ApiKube, load_configuration
from whisperfleet_operator.kube.kinds import CHILD_KINDS, NAMESPACE, POD
from whisperfleet_operator.memory import ServiceMemories
from whisperfleet_operator.observe import KedaWatch
from whisperfleet_operator.observe.children import OwnerTerminatingError
from whisperfleet_operator.plan import PolicyPorts
from whisperfleet_operator.queues import QueueProbe
from whisperfleet_operator.reconcile import Reconciler
from whisperfleet_operator.resource.names import SERVICE_LABEL
from whisperfleet_operator.service_metrics import ServiceMetricsCollector
from whisperfleet_operator.settings import OperatorSettings
from whisperfleet_operator.watches import Watches, obey_signals
from whisperfleet_operator.work_queue import Key, WorkQueue

__all__ = ["reconcile_services", "run_operator"]

_log = logging.getLogger(__name__)

_TAKE_SECONDS = 5.0
_RETRY_SECONDS = 2.0


def run_operator(settings: OperatorSettings) -> None:
    """Take care of services until SIGTERM or SIGINT.

    Call it on the main thread: kopf handles signals there. Raises ConfigurationError where it
    cannot begin.
    """
    obey_signals()
    _configure_logging(settings.log_level)
    # One connection more than there are reconciles, for KEDA's watch.
    kube = ApiKube(load_configuration(settings.workers + 1))
    queue = WorkQueue()
    cache = ObjectCache(SERVICE_LABEL)
    memories = ServiceMemories()
    keda = KedaWatch(kube)
    watches = Watches(kube, keda, EventSink(cache, queue, (*CHILD_KINDS, POD)), settings.namespaces)
    checks = {"/livez": lambda: queue.stalled(settings.stall_seconds), "/readyz": watches.ready}
    with suppress(KeyboardInterrupt), ExitStack() as parts:
        health = parts.enter_context(HealthServer(settings.http_host, settings.http_port, checks))
        REGISTRY.register(ServiceMetricsCollector(memories))
        metrics.work_queue_depth.set_function(lambda: queue.depth)
        _log.info("starting", extra={"version": __version__, "http_port": health.port})
        folder = parts.enter_context(tempfile.TemporaryDirectory(prefix="whisperfleet-"))
        probe = QueueProbe(Path(folder))
        cluster_id = settings.cluster_id or _cluster_id(kube)
        ports = PolicyPorts(settings.dns_ports, settings.worker_ports)
        reconciler = Reconciler(
            kube, cache, probe, keda, memories, cluster_id, settings.release, ports
        )
        parts.enter_context(reconcile_services(queue, reconciler, settings.workers))
        watches.run()
    _log.info("stopped")


@contextmanager
def reconcile_services(queue: WorkQueue, reconciler: Reconciler, workers: int) -> Iterator[None]:
    """Reconcile whatever is due, on `workers` threads, until the context is left."""
    threads = [
        threading.Thread(
            target=_reconcile_due, args=(queue, reconciler), daemon=True, name=f"reconcile-{n}"
        )
        for n in range(workers)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        queue.stop()
        for thread in threads:
            thread.join()


def _reconcile_due(queue: WorkQueue, reconciler: Reconciler) -> None:
    while not queue.stopped:
        if (key := queue.take(_TAKE_SECONDS)) is not None:
            _reconcile(key, queue, reconciler)


def _reconcile(key: Key, queue: WorkQueue, reconciler: Reconciler) -> None:
    began = time.monotonic()
    try:
        again_after = reconciler.reconcile(key)
    except (KubeError, OwnerTerminatingError) as error:
        result = "retried"
        pause = queue.failed(key)
        _log.warning("the reconcile of %s/%s is repeated in %.1f s: %s", *key, pause, error)
    except Exception:  # noqa: BLE001 - one service that breaks us must not stop the others
        result = "broken"
        pause = queue.failed(key)
        _log.exception("the reconcile of %s/%s broke; it is repeated in %.1f s", *key, pause)
    else:
        result = "done" if again_after is not None else "gone"
        queue.done(key, again_after)
    metrics.reconciles.labels(result).inc()
    metrics.reconcile_seconds.observe(time.monotonic() - began)


def _cluster_id(kube: Kube) -> str:
    """Return the uid of kube-system, as is the custom; wait for the API server if need be."""
    while True:
        try:
            uid: str = kube.get(NAMESPACE, None, "kube-system")["metadata"]["uid"]
            return uid
        except KubeError as error:
            _log.warning("waiting for the uid of the cluster, or set --cluster-id: %s", error)
            time.sleep(_RETRY_SECONDS)


def _configure_logging(level: str) -> None:
    kopf.configure(log_format=kopf.LogFormat.JSON)
    logging.getLogger().setLevel(level.upper())
    # kopf tells of each login, each watch and each handler that ran.
    logging.getLogger("kopf").setLevel(max(logging.WARNING, logging.getLogger().level))
