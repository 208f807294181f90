"""The metadata of a job: a JSON object of its producer's that comes back with the result."""

import json
import math
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

__all__ = ["MAX_METADATA_BYTES", "MAX_METADATA_DEPTH", "Metadata"]

MAX_METADATA_BYTES = 4096
MAX_METADATA_DEPTH = 32

_TOO_DEEP = f"it is nested over {MAX_METADATA_DEPTH} levels deep; keep it beside the job"


def _parse(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, parse_constant=_refuse_number, parse_float=_parse_float)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None


def _parse_float(digits: str) -> float:
    number = float(digits)
    # JSON has numbers of any size, and this one would come back as none.
    return number if math.isfinite(number) else _refuse_number(digits[:20])


def _refuse_number(name: str) -> float:
    raise ValueError(f"{name} is no number that JSON can carry; leave the value out or write null")


def _check(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return metadata that can be written into a result; it comes from anybody."""
    if _depth(metadata) > MAX_METADATA_DEPTH:
        raise ValueError(_TOO_DEEP)
    try:
        size = len(json.dumps(metadata, allow_nan=False))
    except ValueError:
        raise ValueError(
            "it holds a number that JSON cannot carry (infinite, or none at all); leave the value "
            "out or write null"
        ) from None
    if size > MAX_METADATA_BYTES:
        raise ValueError(f"it is over {MAX_METADATA_BYTES} bytes; keep it beside the job")
    try:
        json.dumps(metadata, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError(
            "it holds half of a character (a lone surrogate), as a text that was cut within an "
            "emoji does; cut texts between characters"
        ) from None
    return metadata


def _depth(value: object) -> int:
    """Return how deep a value is nested, level by level: what is too deep has no bottom."""
    level, depth = [value], 0
    while (level := [part for part in level if isinstance(part, dict | list | tuple)]) and (
        depth <= MAX_METADATA_DEPTH
    ):
        depth += 1
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return depth


Metadata = Annotated[dict[str, Any], BeforeValidator(_parse), AfterValidator(_check)]
