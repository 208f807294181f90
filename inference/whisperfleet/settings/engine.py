"""Which model, on what."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from whisperfleet.settings.declare import SpecField, check, setting

__all__ = ["Device", "EngineName", "EngineSettings"]

EngineName = Literal["ctranslate2"]

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What an engine is loaded with. Raises ValueError for numbers that cannot be."""

    TITLE: ClassVar = "The model"

    model: str = field(
        metadata=setting(
            "A folder with a CTranslate2 Whisper model, `demo` for the bundled one, or a name on "
            "the hub.",
            reserved=True,
        )
    )
    device: Device = field(
        default="auto",
        metadata=setting(
            "What the model runs on: cuda, which fails where no GPU can be used, cpu, or auto.",
            spec=SpecField("worker.device", absent="cuda in a pool with a GPU, else cpu"),
        ),
    )
    engine: EngineName = field(
        default="ctranslate2",
        metadata=setting("What recognises speech with the model.", spec=SpecField("model.engine")),
    )
    compute_type: str = field(
        default="default",
        metadata=setting(
            "The arithmetic of the model, as CTranslate2 calls it: int8_float16 is fast and small "
            "on GPUs, int8 on CPUs; default is the type that the model was converted to.",
            spec=SpecField("model.computeType", stored=True),
        ),
    )
    cpu_threads: int = field(
        default=0, metadata=setting("Threads of the engine.", zero="its own choice")
    )
    batch_size: int = field(
        default=0,
        metadata=setting(
            "Windows that are recognised together.",
            most=4096,
            zero="as many as the device's memory holds",
        ),
    )

    def __post_init__(self) -> None:
        check(self)
