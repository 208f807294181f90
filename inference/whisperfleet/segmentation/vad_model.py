"""The model of the voice activity detector: Silero's, whose file faster-whisper's package brings.

The package itself is not imported: only the engine that is built on it needs what that loads.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import onnxruntime

from whisperfleet.errors import StartupError

__all__ = ["vad_session"]

_PACKAGE = "faster_whisper"
_FILE = Path("assets", "silero_vad_v6.onnx")


@cache
def vad_session() -> onnxruntime.InferenceSession:
    """Return the model on one processor, ready to run; all threads share it.

    Its options are those of faster-whisper, so its numbers are too. Raises StartupError where the
    file is not there.
    """
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(
        _model_file(), providers=["CPUExecutionProvider"], sess_options=options
    )


def _model_file() -> Path:
    spec = find_spec(_PACKAGE)
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / _FILE
        if path.is_file():
            return path
    raise StartupError(
        f"the voice activity detector's model is not installed ({_FILE} of {_PACKAGE}); install "
        "the version that whisperfleet asks for: pip install 'whisperfleet[worker]'"
    )
