"""What a job may fetch, and how much of it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from whisperfleet.settings.declare import SpecField, check, setting
from whisperfleet.settings.forms import FOLDERS, HOSTS, NETWORKS, Network

__all__ = ["InputSettings"]


@dataclass(frozen=True, slots=True)
class InputSettings:
    """What a job may fetch, and how much of it. Raises ValueError for numbers that cannot be."""

    TITLE: ClassVar = "What a job may fetch and cost"

    max_bytes: int = field(
        default=1024**3,
        metadata=setting(
            "The largest file, in bytes.",
            most=2**40,
            spec=SpecField("input.maxBytes", least=1, most=2**40, stored=True),
        ),
    )
    max_audio_seconds: float = field(
        default=14_400.0,
        metadata=setting(
            "The longest audio of a job, in seconds.",
            spec=SpecField("input.maxAudioSeconds", least=1, most=604_800, stored=True),
        ),
    )
    allow_http: bool = field(
        default=False,
        metadata=setting(
            "Whether http:// is fetched too; otherwise https:// alone.",
            off="--https-only",
            spec=SpecField("input.allowHttp", stored=True),
        ),
    )
    allowed_hosts: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            "Hosts to fetch from: names, or *.suffix. None: every public host, on its scheme's "
            "port.",
            form=HOSTS,
            spec=SpecField("input.allowedHosts", stored=True),
        ),
    )
    allowed_networks: tuple[Network, ...] = field(
        default=(),
        metadata=setting(
            "Networks that may be contacted though they are not public, such as 10.20.0.0/16 with "
            "the cluster's own object store.",
            form=NETWORKS,
            spec=SpecField("input.allowedNetworks", stored=True),
        ),
    )
    file_roots: tuple[Path, ...] = field(
        default=(),
        metadata=setting(
            "Folders that file: addresses may name. None: no file: at all.", form=FOLDERS
        ),
    )
    fetch_ca_file: Path | None = field(
        default=None,
        metadata=setting("A PEM bundle of a private store's certificate authority."),
    )
    fetch_timeout_seconds: float = field(
        default=900.0, metadata=setting("How long a whole download may take.")
    )

    def __post_init__(self) -> None:
        check(self)
