"""Resolve the dependencies into locks: one file an image, one for development, one for training.

Each line carries its hashes; no file names a registry, so the same lock serves behind a mirror.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Which file is made of what. The images have no demo server and no test tools, and what builds them
# stays out of them; training the demo model needs a synthesiser and JAX, and nothing else does.
LOCKS: dict[str, list[str]] = {
    "requirements/worker.txt": ["pyproject.toml", "--extra", "worker"],
    "requirements/cuda.txt": ["--group", "pyproject.toml:cuda"],
    "requirements/operator.txt": ["pyproject.toml", "--extra", "operator"],
    "requirements/build.txt": ["--group", "pyproject.toml:build"],
    "requirements/dev.txt": [
        *("pyproject.toml", "--extra", "demo", "--extra", "operator", "--group", "dev"),
    ],
    "hack/demo_model/requirements.txt": ["hack/demo_model/requirements.in"],
}


def compile_lock(name: str, selection: list[str]) -> None:
    """Write one lock."""
    subprocess.run(
        [
            *(sys.executable, "-P", "-m", "uv", "pip", "compile", *selection),
            *("--universal", "--python-version", "3.11", "--generate-hashes", "--no-annotate"),
            *("--no-emit-index-url", "--no-emit-find-links"),
            *("--custom-compile-command", "make lock", "--quiet", "--output-file", name),
        ],
        cwd=ROOT,
        check=True,
    )
    text = (ROOT / name).read_text()
    if "://" in text:
        sys.exit(f"{name}: an address got into the lock; check the index settings of this machine")
    print(f"{name}: {text.count('==')} packages")


def main() -> None:
    """Write every lock."""
    for name, selection in LOCKS.items():
        compile_lock(name, selection)


if __name__ == "__main__":
    main()
