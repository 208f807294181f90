"""cuBLAS as pip installs it is found, loaded, and handed on; what is missing is named."""

import importlib
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from hack.bench import cublas
from hack.bench.cublas import MissingError, require_cuda

LIBRARIES = ("libcublasLt.so.12", "libcublas.so.12")
# Says, in a process of its own, where its loader looks.
CHILD = "import os; print(os.environ['LD_LIBRARY_PATH'])"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch) -> Path:
    """Put any library that can be loaded where pip would put cuBLAS."""
    folder = tmp_path / "nvidia" / "cublas" / "lib"
    folder.mkdir(parents=True)
    some = next(Path(sysconfig.get_path("platlib")).glob("numpy.libs/*.so*"))
    for name in LIBRARIES:
        shutil.copy(some, folder / name)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "nvidia"]:
        del sys.modules[name]


def test_children_get_the_folder_of_the_libraries(installed: Path, monkeypatch):
    monkeypatch.setattr(cublas.ctranslate2, "get_cuda_device_count", lambda: 1)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/other")
    require_cuda()
    seen = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    assert seen.stdout.strip().split(os.pathsep) == [str(installed), "/opt/other"]
    assert str(installed) in Path("/proc/self/maps").read_text(), "loaded here too"


def test_a_missing_library_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setattr(cublas, "_installed", lambda: None)
    with pytest.raises(MissingError, match=r"libcublas\.so\.12 is missing.*requirements/cuda\.txt"):
        require_cuda()


@pytest.mark.usefixtures("installed")
def test_a_gpu_that_the_engine_does_not_see_is_an_error(monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", "")
    monkeypatch.setattr(cublas.ctranslate2, "get_cuda_device_count", lambda: 0)
    with pytest.raises(MissingError, match="CTranslate2 sees no GPU"):
        require_cuda()
