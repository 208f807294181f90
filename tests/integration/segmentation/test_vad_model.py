"""The detector's model comes without the library that brings its file."""

import subprocess
import sys
from importlib.machinery import ModuleSpec

import numpy as np
import pytest
from faster_whisper.vad import get_vad_model

from whisperfleet.errors import StartupError
from whisperfleet.segmentation import vad_model
from whisperfleet.segmentation.vad_model import vad_session

_PROGRAM = """
import sys
import numpy as np
from whisperfleet.segmentation import make_segmenter
from whisperfleet.segmentation.detector import speech_chances
assert len(speech_chances(np.zeros(16_000, np.int16))) == 32
loaded = {name.partition(".")[0] for name in sys.modules}
print(*sorted(loaded & {"faster_whisper", "ctranslate2", "huggingface_hub", "av"}))
"""


def test_speech_is_found_without_an_engines_library():
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_its_numbers_and_its_state_are_the_librarys_bit_for_bit():
    rng = np.random.default_rng(7)
    state = rng.standard_normal((2, 1, 1, 128), np.float32)
    audio = rng.uniform(-1, 1, (156, 576)).astype(np.float32)
    asked = {"input": audio, "h": state[0], "c": state[1]}
    own, librarys = (one.run(None, asked) for one in (vad_session(), get_vad_model().session))
    assert [part.tobytes() for part in own] == [part.tobytes() for part in librarys]


def test_all_threads_share_one():
    assert vad_session() is vad_session()


@pytest.mark.parametrize("spec", [None, ModuleSpec("faster_whisper", None, is_package=True)])
def test_a_file_that_is_missing_is_named_with_what_brings_it(
    spec: ModuleSpec | None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(vad_model, "find_spec", lambda _: spec)
    with pytest.raises(StartupError, match=r"silero_vad_v6\.onnx of faster_whisper.*pip install"):
        vad_session.__wrapped__()
