"""Keep kopf watching: begin when our CRD is there, begin anew when KEDA's come or go."""

import asyncio
import logging
import signal
import threading
import time

import kopf

# The decorators in it put the handlers into kopf's registry.
import whisperfleet_operator.handlers  # noqa: F401
from whisperfleet_operator.event_sink import EventSink
from whisperfleet_operator.kube import Kube, KubeError, NotFoundError
from whisperfleet_operator.observe import Keda, KedaWatch
from whisperfleet_operator.resource.names import API_VERSION, KIND

__all__ = ["Watches", "obey_signals"]

_log = logging.getLogger(__name__)

_IDENTITY = "whisperfleet-operator"
_CHECK_SECONDS = 5.0
_PAUSE_SECONDS = 2.0


def obey_signals() -> None:
    """End this process, by KeyboardInterrupt on the main thread, at SIGTERM and SIGINT.

    To process 1, which an operator is in its container, a signal without a handler is none. kopf
    has handlers of its own, and leaves none behind.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)


class Watches:
    """kopf, as often as it takes. `run` belongs on the main thread: kopf handles signals there."""

    def __init__(
        self, kube: Kube, keda: KedaWatch, event_sink: EventSink, namespaces: tuple[str, ...]
    ) -> None:
        self._kube = kube
        self._keda = keda
        self._memo = kopf.Memo(event_sink=event_sink)
        self._namespaces = namespaces
        self._watching = threading.Event()

    def ready(self) -> str | None:
        """Return why the cluster is not being watched; None if it is."""
        return None if self._watching.is_set() else "the cluster is not being watched yet"

    def run(self) -> None:
        """Watch until SIGTERM or SIGINT; KeyboardInterrupt is raised where kopf does not run."""
        while True:
            obey_signals()
            self._wait_for_crd()
            if self._run_once():
                return

    def _run_once(self) -> bool:
        """Run kopf until it ends; return whether it was told to by a signal."""
        try:
            return asyncio.run(self._watch())
        except Exception as error:  # noqa: BLE001 - a kind that vanished ends kopf in many ways
            _log.warning("the watches broke and begin anew: %s", error)
            obey_signals()
            time.sleep(_PAUSE_SECONDS)
            return False
        finally:
            self._watching.clear()

    async def _watch(self) -> bool:
        # Not a `threading.Event`: kopf would wait for it on a thread, and for that thread at its
        # end.
        begin_anew = asyncio.Event()
        checker = asyncio.create_task(self._check_keda(begin_anew))
        try:
            await kopf.operator(
                standalone=True,
                # kopf would make one from the user's name, and in a container there is none.
                identity=_IDENTITY,  # type: ignore[arg-type] # kopf keeps the type to itself
                clusterwide=not self._namespaces,
                namespaces=self._namespaces,
                memo=self._memo,
                stop_flag=begin_anew,
                ready_flag=self._watching,
            )
        finally:
            checker.cancel()
        return not begin_anew.is_set()

    async def _check_keda(self, begin_anew: asyncio.Event) -> None:
        """End this run of kopf when KEDA's kinds appear or vanish: it finds kinds only then."""
        present = await asyncio.to_thread(self._keda_is_there)
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            now = await asyncio.to_thread(self._keda_is_there)
            if None not in (present, now) and now != present:
                _log.info("KEDA is %s; the watches begin anew", "there" if now else "gone")
                begin_anew.set()
                return
            present = now if present is None else present

    def _keda_is_there(self) -> bool | None:
        try:
            state = self._keda.state()
        except KubeError:
            return None
        return None if state is Keda.UNKNOWN else state.has_kinds

    def _wait_for_crd(self) -> None:
        told = False
        while True:
            try:
                found = self._kube.read(f"/apis/{API_VERSION}")["resources"]
                if any(each["kind"] == KIND for each in found):
                    return
                problem = f"the API server knows no {KIND}: install the operator's CRD"
            except NotFoundError:
                problem = f"the API server knows no {API_VERSION}: install the operator's CRD"
            except KubeError as error:
                problem = str(error)
            if not told:
                _log.warning("waiting: %s", problem)
                told = True
            time.sleep(_PAUSE_SECONDS)
