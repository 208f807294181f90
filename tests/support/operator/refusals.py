"""Services that the API server must refuse, each with the beginning of what it shall say."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from support.operator.samples import changed, full, minimal

Json = dict[str, Any]


class Refusal(NamedTuple):
    """`resource` is refused with `sentence`; with `before`, as a change of that."""

    name: str
    resource: Json
    sentence: str
    before: Json | None = None


def refusals() -> Iterator[Refusal]:
    """One refusal for each rule, and a few more for rules with several ways to break them."""
    yield from _models()
    yield from _queues()
    yield from _pools()
    yield from _contradictions()
    yield from _changes()


def _minimal(path: str, value: Any) -> Json:
    return changed(minimal(), path, value)


def _models() -> Iterator[Refusal]:
    image = "spec.model.image"
    latest = "model.image has the tag latest"
    yield Refusal("no image", _minimal(image, None), "model.image is missing")
    for name, value in {
        "no tag": "registry.example/worker",
        "a port is no tag": "registry.example:5000/worker",
    }.items():
        yield Refusal(name, _minimal(image, value), "model.image has neither a tag nor a digest")
    yield Refusal("latest", _minimal(image, "worker:latest"), latest)
    digest = "worker:latest@sha256:" + "0" * 64
    yield Refusal("latest with a digest", _minimal(image, digest), latest)
    source, one_member = "spec.model.source", "model.source must have exactly one member"
    yield Refusal("two sources", _minimal(source, {"baked": {}, "hub": {}}), one_member)
    yield Refusal("no source", _minimal(source, {}), one_member)
    yield Refusal(
        "a hub without a name",
        _minimal(source, {"hub": {}}),
        "model.source.hub needs model.name",
    )


def _queues() -> Iterator[Refusal]:
    url, no_address = "spec.queue.redis.url", "queue.redis.url is no address of a Redis"
    for name, value in {
        "another scheme": "http://redis:6379",
        "a socket": "unix:///run/redis.sock",
        "no scheme": "redis:6379",
        "no host": "redis://:6379/0",
        "options": "redis://redis:6379/0?ssl_cert_reqs=none",
        "two databases": "redis://redis:6379/0/1",
        "a port too high": "redis://redis:65536",
        "port 0": "redis://redis:0",
    }.items():
        yield Refusal(name, _minimal(url, value), no_address)
    yield Refusal(
        "a password",
        _minimal(url, "redis://:secret@redis:6379/0"),
        "queue.redis.url carries credentials",
    )
    yield Refusal(
        "an authority without TLS",
        _minimal("spec.queue.redis.tls", {"caSecretName": "ca"}),
        "queue.redis.tls is set but the url is not TLS",
    )
    twice = [{"name": "high", "weight": 1}, {"name": "high", "weight": 2}]
    yield Refusal("a priority twice", _minimal("spec.queue.priorities", twice), "Duplicate value")
    tenants = "spec.queue.tenants"
    yield Refusal("a tenant twice", _minimal(tenants, ["acme", "acme"]), "Duplicate value")
    yield Refusal("a tenant and a colon", _minimal(tenants, ["a:b"]), "spec.queue.tenants[0]")
    many = [f"tenant-{number}" for number in range(33)]
    yield Refusal("many tenants", _minimal(tenants, many), "must have at most 32 items")


def _pools() -> Iterator[Refusal]:
    missing = "replicas.max is missing"
    yield Refusal("no replicas", _minimal("spec.pools.0.replicas", None), missing)
    yield Refusal("no max", _minimal("spec.pools.0.replicas", {"min": 1}), missing)
    yield Refusal(
        "max under min",
        _minimal("spec.pools.0.replicas", {"min": 3, "max": 2}),
        "replicas.max is below replicas.min",
    )
    pool = minimal()["spec"]["pools"][0]
    yield Refusal(
        "two pools",
        _minimal("spec.pools", [pool, pool | {"name": "other"}]),
        "spec.pools: Too many: 2: must have at most 1 item",
    )
    yield Refusal(
        "a long name",
        _minimal("metadata.name", "c" * 50),
        "<service>-<pool>, the name of what belongs to a pool, is longer than 54 characters",
    )
    for sentence, toleration in {
        "a toleration has neither a key nor": {"value": "a"},
        "a toleration with the operator Exists has": {
            "key": "a",
            "operator": "Exists",
            "value": "b",
        },
        "a toleration has tolerationSeconds, but": {"key": "a", "tolerationSeconds": 1},
    }.items():
        yield Refusal(sentence, _minimal("spec.pools.0.tolerations", [toleration]), sentence)
    template = "spec.pools.0.template"
    for prefix in ("whisperfleet.io/pool", "app.kubernetes.io/name"):
        yield Refusal(
            f"the label {prefix}",
            _minimal(f"{template}.labels", {prefix: "mine"}),
            "labels of whisperfleet.io/ and app.kubernetes.io/ are the operator's",
        )
    yield Refusal(
        "an annotation of ours",
        _minimal(f"{template}.annotations", {"whisperfleet.io/credentials": "mine"}),
        "annotations of whisperfleet.io/ are the operator's",
    )
    yield Refusal(
        "a variable of ours",
        _minimal(f"{template}.env", [{"name": "WHISPERFLEET_REDIS_PASSWORD", "value": "x"}]),
        "env names a variable that the operator sets from another field",
    )
    both = {"name": "A", "value": "b", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}
    yield Refusal(
        "two values", _minimal(f"{template}.env", [both]), "an env entry has both value and"
    )
    yield Refusal(
        "a volume of ours",
        _minimal(f"{template}.volumes", [{"name": "whisperfleet-scratch", "emptyDir": {}}]),
        "volume names that begin with `whisperfleet-` are the operator's",
    )

    yield from _volumes(template)


def _volumes(template: str) -> Iterator[Refusal]:
    yield Refusal(
        "a folder of the node",
        _minimal(f"{template}.volumes", [{"name": "host", "hostPath": {"path": "/"}}]),
        "a volume is a hostPath, and so a way into the nodes",
    )
    volumes = [{"name": "mine", "emptyDir": {}}]
    for folder in ("/tmp", "/tmp/", "/model", "/etc/whisperfleet/redis-ca", "/"):
        mounts = [{"name": "mine", "mountPath": folder}]
        yield Refusal(
            f"a mount at {folder}",
            _minimal(template, {"volumes": volumes, "volumeMounts": mounts}),
            "volumeMounts hides what the operator mounts at",
        )
    for name, more in {"no volumes": {}, "another volume": {"volumes": volumes}}.items():
        mounts = [{"name": "theirs", "mountPath": "/theirs"}]
        yield Refusal(
            f"a mount and {name}",
            _minimal(template, {"volumeMounts": mounts, **more}),
            "volumeMounts names a volume that is not among volumes",
        )
    for name in ("labels", "annotations"):
        for key in ("a b", "/a", "a/b/c", "-a", "a" * 64, "Example.org/a"):
            yield Refusal(
                f"{name} {key}",
                _minimal(f"{template}.{name}", {key: "b"}),
                "a key is none that Kubernetes takes",
            )
    yield Refusal(
        "a node selector",
        _minimal("spec.pools.0.nodeSelector", {"": "b"}),
        "a key is none that Kubernetes takes",
    )
    yield Refusal(
        "a taint",
        _minimal("spec.pools.0.tolerations", [{"key": "a b"}]),
        "spec.pools[0].tolerations[0].key in body should match",
    )


def _contradictions() -> Iterator[Refusal]:
    cooldown = "scaling.cooldownSeconds must be above scaling.startupSeconds"
    yield Refusal("no cooldown", _minimal("spec.scaling.cooldownSeconds", 420), cooldown)
    yield Refusal("a long start", _minimal("spec.scaling.startupSeconds", 600), cooldown)
    yield Refusal(
        "a target below what a worker holds",
        changed(
            _minimal("spec.scaling.target", {"backlogPerReplica": 31}),
            "spec.worker.maxInFlight",
            32,
        ),
        "scaling.target.backlogPerReplica is below worker.maxInFlight",
    )
    yield Refusal(
        "a target below what a worker may hold by itself",
        _minimal("spec.scaling.target", {"backlogPerReplica": 63}),
        "scaling.target.backlogPerReplica is below 64",
    )
    yield Refusal(
        "a GPU for nothing", _minimal("spec.worker.device", "cpu"), "worker.device is cpu, but"
    )
    for amounts in ("requests", "limits"):
        yield Refusal(
            f"a GPU in {amounts}",
            _minimal(f"spec.worker.resources.{amounts}", {"nvidia.com/gpu": 1}),
            f"worker.resources.{amounts} names the GPU, which has its own place",
        )
    yield Refusal(
        "no network",
        _minimal("spec.input.allowedNetworks", ["10.0.0.0/33"]),
        "input.allowedNetworks names something that is no network",
    )


def _changes() -> Iterator[Refusal]:
    queue_id, stays = "spec.queue.id", "queue.id cannot change"
    yield Refusal("another queue", changed(full(), queue_id, "team-a.other"), stays, full())
    yield Refusal("no queue id any more", changed(full(), queue_id, None), stays, full())
    yield Refusal("a queue id later", _minimal(queue_id, "team-a.calls"), stays, minimal())
    yield Refusal(
        "a priority less",
        _minimal("spec.queue.priorities", [{"name": "high", "weight": 1}]),
        "a priority was removed",
        minimal(),
    )
