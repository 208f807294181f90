"""What the operator tells a worker is what the worker understands, and what the service says."""

from typing import Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from support.operator.samples import changed, full, minimal, read
from whisperfleet.cli.app import app
from whisperfleet.contract.keys import Keys, Priority
from whisperfleet.segmentation import Segmentation
from whisperfleet.worker.settings import WorkerSettings
from whisperfleet_operator.plan.environment import environment
from whisperfleet_operator.resource.settings import RESERVED_ENV

COMMANDS = get_command(app)
WORKER = COMMANDS.get_command(typer.Context(COMMANDS), "worker")
OPTIONS = {option.envvar for option in WORKER.params}
# Read from the environment alone, so that they are in no list of processes.
SECRETS = {
    "WHISPERFLEET_REDIS_USERNAME",
    "WHISPERFLEET_REDIS_PASSWORD",
    "WHISPERFLEET_REDIS_CA_FILE",
    "WHISPERFLEET_POD_UID",
}


def variables(resource: dict[str, Any]) -> list[dict[str, Any]]:
    service = read(resource)
    return environment(service, service.spec.pools[0])


def names(resource: dict[str, Any]) -> list[str]:
    return [variable["name"] for variable in variables(resource)]


def settings_of(resource: dict[str, Any]) -> WorkerSettings:
    """Start `whisperfleet worker` in the pod's environment, but for the work itself."""
    seen: list[WorkerSettings] = []
    given = {each["name"]: each.get("value", "") for each in variables(resource)}
    # Files that only the pod has.
    given.pop("WHISPERFLEET_REDIS_CA_FILE", None)
    # As the image has it, where the model is baked in.
    done = CliRunner().invoke(
        app,
        ["worker"],
        env={"WHISPERFLEET_MODEL": "/model", **given},
        obj=lambda each: seen.append(each) or 0,
    )
    assert done.exit_code == 0, done.output
    return seen[0]


def test_every_variable_is_one_that_the_worker_reads() -> None:
    ours = {name for name in names(full()) if name in RESERVED_ENV}
    assert ours <= OPTIONS | SECRETS
    assert set(RESERVED_ENV) <= OPTIONS | SECRETS


@pytest.mark.parametrize(
    ("path", "value"), [("spec.model.engine", "ctranslate2"), ("spec.queue.tenants", [])]
)
def test_a_default_that_is_written_out_rolls_no_pods(path: str, value: Any) -> None:
    assert variables(changed(minimal(), path, value)) == variables(minimal())


def test_no_variable_is_set_twice_and_those_that_are_set_are_reserved() -> None:
    hub = changed(full(), "spec.model.source", {"hub": {}})
    everything = names(full()) + names(hub)
    own = {each["name"] for each in full()["spec"]["pools"][0]["template"]["env"]}
    assert len(names(full())) == len(set(names(full())))
    # There is one engine, which is the default and so is not told.
    assert set(everything) - own == set(RESERVED_ENV) - {"WHISPERFLEET_ENGINE"}


def test_the_worker_understands_the_ten_lines() -> None:
    settings = settings_of(minimal())
    assert settings.redis.url == "redis://redis.team-a.svc:6379/0"
    assert settings.queue_id == "team-a.calls"
    assert settings.engine.model == "/model"
    assert settings.engine.device == "cuda"
    assert settings.process.http_host == "0.0.0.0"
    # What is not said is as the worker has it by itself.
    plain = WorkerSettings(settings.redis, settings.queue_id, settings.engine)
    assert settings.queue_policy == plain.queue_policy
    assert settings.decoding == plain.decoding
    assert settings.segmentation == plain.segmentation
    assert settings.fetching == plain.fetching
    assert settings.decode_limits == plain.decode_limits
    assert settings.queue.priorities == plain.queue.priorities
    assert settings.load.max_in_flight == plain.load.max_in_flight == 0
    assert settings.process.http_port == plain.process.http_port


def test_the_worker_understands_everything() -> None:
    settings = settings_of(full())
    assert settings.redis.url == "rediss://redis.example.org:6380/3"
    assert settings.queue_id == "team-a.calls"
    assert settings.engine.model == "/model"
    assert settings.engine.compute_type == "int8_float16"
    assert settings.queue.priorities == (Priority("now", 9), Priority("over-night", 1))
    assert settings.decoding.beam_size == 1
    assert settings.segmentation.mode is Segmentation.SEQUENTIAL
    assert not settings.segmentation.vad
    assert settings.fetching.allow_http
    assert settings.fetching.max_bytes == 1000
    assert settings.fetching.allowed_hosts == ("*.example.org", "clips.example.com")
    assert [str(each) for each in settings.fetching.allowed_networks] == [
        "10.20.0.0/16",
        "fd12::/48",
    ]
    assert settings.decode_limits.max_seconds == 60
    assert settings.load.max_in_flight == 16
    assert settings.load.job_timeout_seconds == 600
    assert settings.load.drain_seconds == 30
    policy = settings.queue_policy
    assert (policy.lease_seconds, policy.beat_seconds) == (30, 7.5)
    assert (policy.max_deliveries, policy.max_releases) == (5, 20)
    assert policy.result_seconds == 3600
    assert (policy.dead_letter_seconds, policy.dead_letter_max_length) == (7200, 50)
    assert settings.process.log_level == "debug"


@pytest.mark.parametrize("seconds", [10, 3600])
def test_a_lease_of_any_length_outlives_two_beats(seconds: int) -> None:
    policy = settings_of(changed(minimal(), "spec.queue.leaseSeconds", seconds)).queue_policy
    assert policy.beat_seconds * 2 <= policy.lease_seconds == seconds


@pytest.mark.parametrize(
    ("device", "gpu", "expected"),
    [(None, {}, "cuda"), (None, None, "cpu"), ("auto", None, "auto"), ("cuda", None, "cuda")],
)
def test_the_device_follows_the_pool(
    device: str | None, gpu: dict[str, Any] | None, expected: str
) -> None:
    resource = changed(minimal(), "spec.pools.0.gpu", gpu)
    if device:
        resource = changed(resource, "spec.worker.device", device)
    assert {"name": "WHISPERFLEET_DEVICE", "value": expected} in variables(resource)


def test_a_worker_that_is_told_no_number_of_jobs_sizes_itself() -> None:
    name = "WHISPERFLEET_MAX_IN_FLIGHT"
    assert name not in names(minimal())
    asked = variables(changed(minimal(), "spec.worker.maxInFlight", 32))
    assert {"name": name, "value": "32"} in asked


def test_a_model_of_the_hub_goes_by_its_name() -> None:
    resource = changed(minimal(), "spec.model.source", {"hub": {}})
    resource = changed(resource, "spec.model.name", "large-v3-turbo")
    assert {"name": "WHISPERFLEET_MODEL", "value": "large-v3-turbo"} in variables(resource)
    assert "WHISPERFLEET_MODEL" not in names(minimal())


def test_credentials_are_references() -> None:
    assert {
        "name": "WHISPERFLEET_REDIS_PASSWORD",
        "valueFrom": {"secretKeyRef": {"name": "redis", "key": "password"}},
    } in variables(full())
    assert {
        "name": "WHISPERFLEET_REDIS_USERNAME",
        "valueFrom": {"secretKeyRef": {"name": "redis", "key": "username", "optional": True}},
    } in variables(full())
    assert not SECRETS & set(names(minimal())) - {"WHISPERFLEET_POD_UID"}


def test_networks_go_by_their_first_address() -> None:
    resource = changed(minimal(), "spec.input.allowedNetworks", ["10.20.3.4/16"])
    assert {"name": "WHISPERFLEET_ALLOWED_NETWORKS", "value": "10.20.0.0/16"} in variables(resource)


@pytest.mark.parametrize("tenants", [[], ["globex", "acme"]])
def test_workers_claim_from_the_streams_that_wake_them(tenants: list[str]) -> None:
    resource = changed(minimal(), "spec.queue.tenants", tenants)
    settings = settings_of(resource)
    claimed = Keys(settings.queue_id).streams(settings.queue.priorities, settings.queue.tenants)
    assert claimed == read(resource).streams
    assert ("WHISPERFLEET_TENANTS" in names(resource)) is bool(tenants)


def test_tenants_that_a_pool_was_told_of_before_there_was_a_field_are_its_own() -> None:
    before = [{"name": "WHISPERFLEET_TENANTS", "value": "acme"}]
    resource = changed(minimal(), "spec.pools.0.template.env", before)
    assert variables(resource)[-1] == before[0]
    resource = changed(resource, "spec.queue.tenants", ["globex"])
    assert [each for each in variables(resource) if each["name"] == before[0]["name"]] == [
        {"name": "WHISPERFLEET_TENANTS", "value": "globex"}
    ]
