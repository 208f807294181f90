"""The worker's image for NVIDIA GPUs: what it has more than the other, and no more than that."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hack.images.build import ImageName
from hack.images.layers import file_sizes, open_layer, read_config, read_layers
from support.images.archives import unpack
from support.images.container import Container

# The first of them may fetch half a gigabyte and build the image.
# One process unpacks the image for all of them.
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(1200),
    pytest.mark.xdist_group("cuda image"),
]


@pytest.fixture(scope="module")
def archives(build_image: Callable[[ImageName], Path]) -> tuple[Path, Path]:
    """The image without CUDA and the one with it."""
    return build_image("worker"), build_image("worker-cuda")


@pytest.fixture(scope="module")
def container(
    archives: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Container]:
    root = tmp_path_factory.mktemp("root")
    root.chmod(0o755)
    _, cuda = archives
    unpack(cuda, root)
    yield Container(read_config(cuda)["config"], root)
    subprocess.run(["rm", "-rf", root], check=True)


def test_it_is_the_other_image_and_cublas(archives: tuple[Path, Path]) -> None:
    plain, cuda = (_files(archive) for archive in archives)
    assert cuda - plain == {"opt/cuda/lib/libcublas.so.12", "opt/cuda/lib/libcublasLt.so.12"}
    assert plain - cuda == set()


def test_ctranslate2_would_find_it(container: Container) -> None:
    # By the name that it opens, and with everything that the library itself needs.
    program = (
        "import ctypes; print(ctypes.CDLL('libcublas.so.12').cublasGetCudartVersion() // 1000)"
    )
    assert container.run("python", "-c", program) == "12\n"


def test_without_a_gpu_it_says_so(container: Container) -> None:
    command = container.command("worker", "--redis", "redis://127.0.0.1:1/0", "--device", "cuda")
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert "cuda" in done.stderr


def _files(archive: Path) -> set[str]:
    files: set[str] = set()
    for layer in read_layers(archive):
        with open_layer(archive, layer) as stream:
            files |= file_sizes(stream).keys()
    return files
