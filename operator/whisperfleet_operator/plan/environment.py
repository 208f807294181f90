"""The worker's settings as environment variables; see `whisperfleet worker --help`.

They stand in the pod template itself, so that a changed setting rolls the workers; in a ConfigMap
it would wait for each pod's next restart. What the service leaves out is left to the worker.
"""

from typing import Any, Final

from whisperfleet.settings import ProcessSettings
from whisperfleet_operator.plan.needs import PASSWORD_KEY, USERNAME_KEY
from whisperfleet_operator.resource.pools import Pool
from whisperfleet_operator.resource.service import TranscriptionService
from whisperfleet_operator.resource.settings import set_in, text_of
from whisperfleet_operator.resource.template import CA_FOLDER, MODEL_FOLDER, EnvVar
from whisperfleet_operator.resource.worker import Device

__all__ = ["HTTP_PORT", "environment"]

HTTP_PORT: Final = ProcessSettings().http_port

_PREFIX: Final = "WHISPERFLEET_"
# A lease survives the loss of two renewals in a row, and then some.
_RENEWALS_PER_LEASE: Final = 4
# As 0.1.0 wrote them: another order is another pod template, and rolls every worker there is. What
# came later follows, in the order of its declaration.
_ORDER: Final = tuple(
    f"{_PREFIX}{name}"
    for name in """
    REDIS QUEUE PRIORITIES LEASE_SECONDS BEAT_SECONDS MAX_DELIVERIES MAX_RELEASES RESULT_SECONDS
    DEAD_LETTER_SECONDS DEAD_LETTER_MAX_LENGTH REDIS_CA_FILE DEVICE COMPUTE_TYPE BEAM_SIZE VAD
    SEGMENTATION MODEL MAX_BYTES MAX_AUDIO_SECONDS ALLOWED_HOSTS ALLOWED_NETWORKS ALLOW_HTTP
    MAX_IN_FLIGHT JOB_TIMEOUT_SECONDS DRAIN_SECONDS HTTP_HOST HTTP_PORT
    """.split()
)


def environment(service: TranscriptionService, pool: Pool) -> list[dict[str, Any]]:
    """Return the `env` of the worker's container: ours in a fixed order, then the pool's own."""
    values = {each.variable: text_of(each, value) for each, value in set_in(service.spec)}
    values |= {f"{_PREFIX}{name}": text for name, text in _worked_out(service, pool).items()}
    ours = [_variable(name, values[name]) for name in sorted(values, key=_rank)]
    ours += _references(service)
    # An older schema let in what has a field of its own by now, such as the tenants.
    taken = {variable["name"] for variable in ours}
    own = [_own(entry) for entry in pool.template.env if entry.name not in taken]
    return [*ours, *own]


def _rank(variable: str) -> int:
    return _ORDER.index(variable) if variable in _ORDER else len(_ORDER)


def _own(entry: EnvVar) -> dict[str, Any]:
    if entry.value_from is not None:
        return {"name": entry.name, "valueFrom": dict(entry.value_from)}
    return _variable(entry.name, entry.value or "")


def _variable(name: str, value: str) -> dict[str, Any]:
    # The API server forgets an empty value: one that was applied would differ for ever.
    return {"name": name, "value": value} if value else {"name": name}


def _worked_out(service: TranscriptionService, pool: Pool) -> dict[str, str]:
    """Return what no single field of the spec says, by its name without the prefix."""
    model, redis = service.spec.model, service.spec.queue.redis
    values = {
        "REDIS": service.redis.url,
        "QUEUE": service.keys.queue_id,
        "BEAT_SECONDS": f"{service.spec.queue.lease_seconds / _RENEWALS_PER_LEASE:g}",
        "HTTP_HOST": "0.0.0.0",  # noqa: S104 - the kubelet asks at the pod's address
        "HTTP_PORT": str(HTTP_PORT),
    }
    if service.tenants:
        values["TENANTS"] = ",".join(service.tenants)
    if service.spec.worker.device is None:
        values["DEVICE"] = Device.CPU if pool.gpu is None else Device.CUDA
    if redis.tls is not None:
        values["REDIS_CA_FILE"] = f"{CA_FOLDER}/ca.crt"
    if model.is_on_hub and model.name is not None:
        values["MODEL"] = model.name
    elif model.volume_claim is not None:
        values["MODEL"] = MODEL_FOLDER
    return values


def _references(service: TranscriptionService) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = [
        {
            "name": f"{_PREFIX}POD_UID",
            "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.uid"}},
        }
    ]
    credentials = service.spec.queue.redis.credentials
    if credentials is not None:
        name = credentials.secret_name
        entries += [
            # A Redis with one password for all has no user names.
            _from_secret("REDIS_USERNAME", {"name": name, "key": USERNAME_KEY, "optional": True}),
            _from_secret("REDIS_PASSWORD", {"name": name, "key": PASSWORD_KEY}),
        ]
    return entries


def _from_secret(setting: str, reference: dict[str, Any]) -> dict[str, Any]:
    return {"name": f"{_PREFIX}{setting}", "valueFrom": {"secretKeyRef": reference}}
