"""What a decoding process takes to start."""

import subprocess
import sys


def test_a_decoding_process_does_without_the_models_of_the_contract():
    """Each worker starts several of them; pydantic alone takes them a third longer to start."""
    script = "import sys, whisperfleet.audio.decoder_process; print(*sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert {"pydantic", "redis", "importlib.metadata"}.isdisjoint(found.stdout.split())
