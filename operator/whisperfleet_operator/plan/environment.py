"""The worker's settings as environment variables; see `whisperfleet worker --help`.

They stand in the pod template itself, so that a changed setting rolls the workers; in a ConfigMap
it would wait for each pod's next restart. What the service leaves out is left to the worker.
"""

from typing import Any, Final

from whisperfleet_operator.plan.needs import PASSWORD_KEY, USERNAME_KEY
from whisperfleet_operator.resource.pools import Pool
from whisperfleet_operator.resource.service import TranscriptionService
from whisperfleet_operator.resource.template import CA_FOLDER, MODEL_FOLDER, EnvVar
from whisperfleet_operator.resource.worker import Device

__all__ = ["HTTP_PORT", "environment"]

HTTP_PORT: Final = 9464

_PREFIX: Final = "WHISPERFLEET_"
# A lease survives the loss of two beats in a row, and then some.
_BEATS_PER_LEASE: Final = 4


def environment(service: TranscriptionService, pool: Pool) -> list[dict[str, Any]]:
    """Return the `env` of the worker's container: ours in a fixed order, then the pool's own."""
    settings = {
        **_queue(service),
        **_model(service, pool),
        **_limits(service),
        "HTTP_HOST": "0.0.0.0",  # noqa: S104 - the kubelet asks at the pod's address
        "HTTP_PORT": HTTP_PORT,
    }
    ours = [_variable(f"{_PREFIX}{name}", _text(value)) for name, value in settings.items()]
    ours += _references(service)
    # An older schema let in what has a field of its own by now, such as the tenants.
    taken = {variable["name"] for variable in ours}
    own = [_own(entry) for entry in pool.template.env if entry.name not in taken]
    return [*ours, *own]


def _own(entry: EnvVar) -> dict[str, Any]:
    if entry.value_from is not None:
        return {"name": entry.name, "valueFrom": dict(entry.value_from)}
    return _variable(entry.name, entry.value or "")


def _variable(name: str, value: str) -> dict[str, Any]:
    # The API server forgets an empty value: one that was applied would differ for ever.
    return {"name": name, "value": value} if value else {"name": name}


def _queue(service: TranscriptionService) -> dict[str, Any]:
    queue = service.spec.queue
    settings: dict[str, Any] = {
        "REDIS": service.redis.url,
        "QUEUE": service.keys.queue_id,
        "PRIORITIES": [f"{each.name}:{each.weight}" for each in queue.priorities],
        "LEASE_SECONDS": queue.lease_seconds,
        "BEAT_SECONDS": queue.lease_seconds / _BEATS_PER_LEASE,
        "MAX_DELIVERIES": queue.max_deliveries,
        "MAX_RELEASES": queue.max_releases,
        "RESULT_SECONDS": service.spec.results.retention_seconds,
    }
    if service.tenants:
        settings["TENANTS"] = service.tenants
    if queue.dead_letters is not None:
        settings["DEAD_LETTER_SECONDS"] = queue.dead_letters.retention_seconds
        settings["DEAD_LETTER_MAX_LENGTH"] = queue.dead_letters.max_length
    if queue.redis.tls is not None:
        settings["REDIS_CA_FILE"] = f"{CA_FOLDER}/ca.crt"
    return settings


def _model(service: TranscriptionService, pool: Pool) -> dict[str, Any]:
    model, worker, decoding = service.spec.model, service.spec.worker, service.spec.decoding
    settings: dict[str, Any] = {
        "DEVICE": worker.device or (Device.CPU if pool.gpu is None else Device.CUDA),
        "COMPUTE_TYPE": model.compute_type,
        "BEAM_SIZE": decoding.beam_size,
        "VAD": decoding.vad,
        "SEGMENTATION": decoding.segmentation.lower(),
    }
    if model.is_on_hub:
        settings["MODEL"] = model.name
    elif model.volume_claim is not None:
        settings["MODEL"] = MODEL_FOLDER
    return settings


def _limits(service: TranscriptionService) -> dict[str, Any]:
    inputs, worker = service.spec.input, service.spec.worker
    limits: dict[str, Any] = {
        "MAX_BYTES": inputs.max_bytes,
        "MAX_AUDIO_SECONDS": inputs.max_audio_seconds,
        "ALLOWED_HOSTS": inputs.allowed_hosts,
        "ALLOWED_NETWORKS": inputs.allowed_networks,
        "ALLOW_HTTP": inputs.allow_http,
    }
    if worker.max_in_flight is not None:
        limits["MAX_IN_FLIGHT"] = worker.max_in_flight
    limits["JOB_TIMEOUT_SECONDS"] = worker.job_timeout_seconds
    limits["DRAIN_SECONDS"] = worker.drain_seconds
    return limits


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


def _text(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:g}"
        case list() | tuple():
            return ",".join(value)
        case _:
            return str(value)
