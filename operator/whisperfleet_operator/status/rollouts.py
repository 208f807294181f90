"""Whether the pods are those of the spec: a rollout that somebody paused, or that does not move."""

from collections.abc import Iterable, Iterator

from whisperfleet_operator.kube import Object
from whisperfleet_operator.observe import PoolView, Problem
from whisperfleet_operator.observe.conditions import condition_of
from whisperfleet_operator.resource import Reason, TranscriptionService
from whisperfleet_operator.resource.names import WORKER_CONTAINER
from whisperfleet_operator.resource.spec import TranscriptionServiceSpec
from whisperfleet_operator.status.pods import is_ready

__all__ = ["model_that_runs", "rollout_problem"]

_MOST_CHARACTERS = 256
_MODEL_SETTING = "WHISPERFLEET_MODEL"


def rollout_problem(deployment: Object | None) -> Problem | None:
    """Return why a change of the spec does not reach the pods."""
    if deployment is None:
        return None
    name = deployment["metadata"]["name"]
    if deployment.get("spec", {}).get("paused"):
        return Problem(
            Reason.ROLLOUT_PAUSED,
            f"somebody paused the Deployment {name}, so no change of the spec reaches a pod: "
            f"kubectl rollout resume deployment {name}",
        )
    progressing = condition_of(deployment, "Progressing")
    if progressing.get("reason") != "ProgressDeadlineExceeded":
        return None
    updated = deployment.get("status", {}).get("updatedReplicas", 0)
    return Problem(
        Reason.ROLLOUT_STUCK,
        f"the rollout of the Deployment {name} makes no progress: {updated} of "
        f"{deployment['spec'].get('replicas', 0)} pods are as the spec says; see kubectl describe "
        f"deployment {name}, or take the change back",
    )


def model_that_runs(service: TranscriptionService, views: Iterable[PoolView]) -> str:
    """Return the models of the pods that work, the oldest first, or of the one that would."""
    pods = [(service.spec_of(view.pool), pod) for view in views for pod in _telling(view)]
    pods.sort(key=lambda each: str(each[1]["metadata"].get("creationTimestamp", "")))
    models = [model for spec, pod in pods if (model := _model_of(spec, pod["spec"]))]
    return ", ".join(dict.fromkeys(models))[:_MOST_CHARACTERS] or _model(service.spec)


def _telling(view: PoolView) -> Iterator[Object]:
    ready = [pod for pod in view.pods if is_ready(pod)]
    yield from (pod for pod in ready or view.pods if "spec" in pod)


def _model(spec: TranscriptionServiceSpec) -> str:
    return spec.model.name or _tag(spec.model.image)


def _model_of(spec: TranscriptionServiceSpec, pod: Object) -> str | None:
    """Return the model of a pod; the name in the spec is that of the spec's image alone."""
    worker = next((each for each in pod["containers"] if each["name"] == WORKER_CONTAINER), None)
    if worker is None:
        return None
    settings = {each["name"]: each.get("value") for each in worker.get("env", ())}
    named = settings.get(_MODEL_SETTING) if spec.model.is_on_hub else spec.model.name
    if worker["image"] == spec.model.image:
        return named or _model(spec)
    return settings.get(_MODEL_SETTING) if _is_name(settings) else _tag(worker["image"])


def _is_name(settings: dict[str, str | None]) -> bool:
    """Whether the setting names a model of the hub, and not a folder."""
    model = settings.get(_MODEL_SETTING)
    return model is not None and not model.startswith("/")


def _tag(image: str) -> str:
    return image.partition("@")[0].rpartition("/")[2].partition(":")[2] or image.rpartition("@")[2]
