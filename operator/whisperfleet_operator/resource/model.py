"""`spec.model`: which model, and in which image."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from whisperfleet_operator.resource.base import ObjectName, Part, Rule, checked_by, rules_schema
from whisperfleet_operator.resource.settings import declared, with_settings

__all__ = ["Baked", "ComputeType", "Hub", "ModelSource", "ModelSpec", "VolumeClaim"]


class ComputeType(StrEnum):
    """The number formats that CTranslate2 computes in."""

    DEFAULT = "default"
    AUTO = "auto"
    INT8 = "int8"
    INT8_FLOAT32 = "int8_float32"
    INT8_FLOAT16 = "int8_float16"
    INT8_BFLOAT16 = "int8_bfloat16"
    INT16 = "int16"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    FLOAT32 = "float32"


class Baked(Part):
    """The model is in the image."""


class VolumeClaim(Part):
    """The model is on a volume."""

    claim_name: ObjectName
    """The PersistentVolumeClaim. Pods on several nodes need one with the access mode ReadOnlyMany
    or ReadWriteMany."""
    path: Annotated[
        str, StringConstraints(max_length=1024, pattern=r"^([^/:.][^/:]*(/[^/:.][^/:]*)*)?$")
    ] = ""
    """The model's folder within the volume. Empty: the root of the volume."""


class Hub(Part):
    """Each pod downloads `model.name` from the model hub when it starts."""


class ModelSource(Part):
    """Where the model's files are. Exactly one member."""

    model_config = checked_by(
        Rule(
            "(has(self.baked) ? 1 : 0) + (has(self.volumeClaim) ? 1 : 0) + (has(self.hub) ? 1 : 0) "
            "== 1",
            "model.source must have exactly one member: keep one of baked, volumeClaim and hub",
        )
    )

    baked: Baked | None = None
    """In the image."""
    volume_claim: VolumeClaim | None = None
    """On a volume."""
    hub: Hub | None = None
    """On the model hub."""


_IMAGE_RULES = rules_schema(
    Rule(
        r"self.contains('@sha256:') || self.matches(r':[A-Za-z0-9_][A-Za-z0-9_.-]*$')",
        "model.image has neither a tag nor a digest: name a version, such as :0.1.0-large-v3-turbo",
    ),
    Rule(
        "!self.matches(r':latest(@.*)?$')",
        "model.image has the tag latest, which means another image on every node and after every "
        "restart: name a version",
    ),
)


@with_settings("model")
class ModelSpec(Part):
    """Which model, and in which image."""

    model_config = checked_by(
        Rule(
            "has(self.image)",
            "model.image is missing: name the worker's image with its tag or digest",
        ),
        Rule(
            "!has(self.source) || !has(self.source.hub) || has(self.name)",
            "model.source.hub needs model.name: say which model of the hub, such as large-v3-turbo",
        ),
    )

    name: (
        Annotated[str, StringConstraints(max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")]
        | None
    ) = None
    """The model's name for display. With `source.hub`: its name on the hub."""
    image: Annotated[
        str,
        StringConstraints(min_length=1, max_length=512, pattern=r"^[^\s]+$"),
        Field(json_schema_extra=_IMAGE_RULES),
    ]
    """The worker's image, with a tag that names a version, or a digest, or both."""
    # No default: the API server would write it into the object, and whoever then applies another
    # source would have two.
    source: ModelSource | None = None
    """Where the model's files are. Absent: in the image."""
    compute_type: ComputeType = declared("model.computeType", ComputeType)

    @property
    def volume_claim(self) -> VolumeClaim | None:
        """The volume with the model's files, if they are on one."""
        return None if self.source is None else self.source.volume_claim

    @property
    def is_on_hub(self) -> bool:
        """Whether each pod fetches the model by its name."""
        return self.source is not None and self.source.hub is not None
