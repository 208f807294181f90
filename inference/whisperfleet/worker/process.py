"""The worker as a process: its signals, its health over HTTP, and how it ends."""

import logging
from collections.abc import Callable

from whisperfleet import __version__
from whisperfleet.errors import ConfigurationError, EngineLostError, StartupError
from whisperfleet.exit_codes import ExitCode
from whisperfleet.health import HealthServer
from whisperfleet.worker import logs
from whisperfleet.worker.build import build_worker
from whisperfleet.worker.host_memory import keep_host_memory
from whisperfleet.worker.settings import WorkerSettings
from whisperfleet.worker.stopping import stop_on_signals
from whisperfleet.worker.worker import Worker

__all__ = ["run_worker"]

log = logging.getLogger(__name__)


def run_worker(
    settings: WorkerSettings, build: Callable[[WorkerSettings], Worker] = build_worker
) -> int:
    """Work until SIGTERM or SIGINT and return the exit code; 0 after a drain.

    A worker whose engine is gone hands its jobs back and ends with the code of a device that
    cannot run the model. `build` makes the worker of its settings.

    Call it on the main thread: it handles signals.
    """
    logs.configure(settings.process.log_level)
    keep_host_memory()
    stopped = stop_on_signals()
    try:
        worker = build(settings)
        checks = {"/livez": worker.live, "/readyz": worker.ready}
        with HealthServer(settings.process.http_host, settings.process.http_port, checks) as health:
            log.info("starting", extra={"version": __version__, "http_port": health.port})
            worker.run(stopped)
    except ConfigurationError as error:
        log.error("%s", error)
        return ExitCode.USAGE
    except (StartupError, EngineLostError) as error:
        log.error("%s", error)
        return error.exit_code
    return ExitCode.DONE
