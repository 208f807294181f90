"""Building images, where this machine can."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hack.images import build
from hack.images.build import ImageName


@pytest.fixture(scope="session")
def build_image() -> Callable[[ImageName], Path]:
    """Call it with an image's name for its archive; the test is skipped where none can be built."""
    if sys.platform != "linux" or os.geteuid() != 0:
        reason = "images are built and run by root on Linux only"
        if os.environ.get("REQUIRE_CLUSTER") == "1":
            pytest.fail(f"REQUIRE_CLUSTER=1, but {reason}")
        pytest.skip(reason)
    return build
