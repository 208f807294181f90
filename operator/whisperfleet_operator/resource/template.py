"""`spec.pools[].template`: what a pod has in addition to what the operator sets."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from whisperfleet_operator.resource.base import (
    ObjectName,
    Part,
    Rule,
    checked_by,
    keyed_by,
    rules_schema,
)
from whisperfleet_operator.resource.settings import RESERVED_ENV

__all__ = [
    "CA_FOLDER",
    "KEYS_ARE_QUALIFIED",
    "MODEL_FOLDER",
    "QUALIFIED_NAME",
    "RESERVED_VOLUME_PREFIX",
    "SCRATCH_FOLDER",
    "EnvVar",
    "LabelKey",
    "LabelValue",
    "Template",
    "Volume",
    "VolumeMount",
]

# A name, perhaps behind a domain and a slash, as the keys of labels, annotations and taints are.
QUALIFIED_NAME = (
    r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
)
LabelKey = Annotated[str, StringConstraints(min_length=1, max_length=317)]
# The schema of a map says nothing of its keys.
KEYS_ARE_QUALIFIED = Rule(
    f"self.all(key, key.matches('{QUALIFIED_NAME}'))",
    "a key is none that Kubernetes takes: write letters, digits, `-`, `_` and `.`, at most 63 and "
    "no other at either end, perhaps behind a domain and a slash",
)
LabelValue = Annotated[
    str, StringConstraints(max_length=63, pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
]

RESERVED_VOLUME_PREFIX = "whisperfleet-"

# Where the operator mounts its own volumes.
SCRATCH_FOLDER = "/tmp"  # noqa: S108 - of the pod
MODEL_FOLDER = "/model"
CA_FOLDER = "/etc/whisperfleet/redis-ca"
_FOLDERS = (SCRATCH_FOLDER, MODEL_FOLDER, CA_FOLDER)


class EnvVar(Part):
    """An environment variable of the worker."""

    model_config = checked_by(
        Rule(
            "!(has(self.value) && has(self.valueFrom))",
            "an env entry has both value and valueFrom: keep one of them",
        ),
    )

    name: Annotated[str, StringConstraints(max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    """The variable's name."""
    value: Annotated[str, Field(max_length=4096)] | None = None
    """The value, taken literally."""
    value_from: (
        Annotated[
            Mapping[str, Any],
            Field(
                max_length=1,
                json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
            ),
        ]
        | None
    ) = None
    """Where the value comes from: secretKeyRef, configMapKeyRef, fieldRef or resourceFieldRef, as
    in a pod."""


_NO_HOST_PATH = Rule(
    "!has(self.hostPath)",
    "a volume is a hostPath, and so a way into the nodes for whoever may write a service: take a "
    "persistentVolumeClaim, a configMap or an emptyDir",
)


def _refuse(_source: Mapping[str, Any]) -> Mapping[str, Any]:
    """Raise ValueError: an older CRD's rules let it in."""
    raise ValueError(_NO_HOST_PATH.message)


class Volume(Part):
    """A volume of the pods: a name and one source, as in a pod's `spec.volumes`."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "x-kubernetes-preserve-unknown-fields": True,
            **rules_schema(
                Rule(
                    f"!self.name.startsWith('{RESERVED_VOLUME_PREFIX}')",
                    f"volume names that begin with `{RESERVED_VOLUME_PREFIX}` are the operator's: "
                    "choose another name",
                ),
                _NO_HOST_PATH,
            ),
        },
    )

    name: Annotated[
        str, StringConstraints(max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    ]
    """The name that `volumeMounts` refer to. The source is a field beside it:
    persistentVolumeClaim, configMap, secret, emptyDir, ..."""
    host_path: (
        Annotated[
            Mapping[str, Any],
            Field(
                max_length=2,
                json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
            ),
            AfterValidator(_refuse),
        ]
        | None
    ) = Field(default=None, exclude=True)
    """Refused: a folder of the node."""


class VolumeMount(Part):
    """Where a volume is mounted in the worker's container."""

    name: Annotated[str, Field(min_length=1, max_length=63)]
    """The volume's name."""
    mount_path: Annotated[
        str,
        StringConstraints(max_length=1024, pattern=r"^/[^:]*$"),
        Field(
            json_schema_extra=rules_schema(
                Rule(
                    f"!self.matches('^({'|'.join(_FOLDERS)})?/*$')",
                    f"volumeMounts hides what the operator mounts at {', '.join(_FOLDERS)}: choose "
                    "another folder",
                )
            )
        ),
    ]
    """The path in the container at which the volume is mounted."""
    sub_path: Annotated[str, Field(max_length=1024)] | None = None
    """The folder within the volume. Absent: its root."""
    read_only: bool | None = None
    """Whether the volume is mounted read-only."""


class LocalObject(Part):
    """Another object in the service's namespace."""

    name: ObjectName
    """Its name."""


class Template(Part):
    """What the pods have in addition to what the operator sets."""

    model_config = checked_by(
        Rule(
            "!has(self.volumeMounts) || self.volumeMounts.all(m, "
            "has(self.volumes) && self.volumes.exists(v, v.name == m.name))",
            "volumeMounts names a volume that is not among volumes: add it there, or correct the "
            "name",
        )
    )

    annotations: Annotated[
        Mapping[LabelKey, Annotated[str, Field(max_length=8192)]],
        Field(
            max_length=64,
            json_schema_extra=rules_schema(
                KEYS_ARE_QUALIFIED,
                Rule(
                    "self.all(k, !k.startsWith('whisperfleet.io/'))",
                    "annotations of whisperfleet.io/ are the operator's: choose another prefix",
                ),
            ),
        ),
    ] = {}
    """Annotations of the pods."""
    labels: Annotated[
        Mapping[LabelKey, LabelValue],
        Field(
            max_length=32,
            json_schema_extra=rules_schema(
                KEYS_ARE_QUALIFIED,
                Rule(
                    "self.all(k, !k.startsWith('whisperfleet.io/') && "
                    "!k.startsWith('app.kubernetes.io/'))",
                    "labels of whisperfleet.io/ and app.kubernetes.io/ are the operator's: choose "
                    "another prefix",
                ),
            ),
        ),
    ] = {}
    """Labels of the pods."""
    env: Annotated[
        tuple[EnvVar, ...],
        Field(
            max_length=64,
            json_schema_extra=rules_schema(
                Rule(
                    f"self.all(e, !(e.name in {list(RESERVED_ENV)}))",
                    "env names a variable that the operator sets from another field of the spec: "
                    "change that field and drop the variable",
                )
            ),
        ),
        keyed_by("name"),
    ] = ()
    """Environment variables of the worker, such as WHISPERFLEET_LOG_LEVEL. Variables that have a
    field of their own in the spec are refused."""
    volumes: Annotated[tuple[Volume, ...], Field(max_length=16), keyed_by("name")] = ()
    """Volumes of the pods."""
    volume_mounts: Annotated[
        tuple[VolumeMount, ...], Field(max_length=16), keyed_by("mountPath")
    ] = ()
    """Where these volumes are mounted in the worker's container."""
    image_pull_secrets: Annotated[
        tuple[LocalObject, ...], Field(max_length=8), keyed_by("name")
    ] = ()
    """Secrets with the credentials of the image's registry."""
    priority_class_name: ObjectName | None = None
    """The PriorityClass of the pods, which decides what is preempted when nodes are full."""
