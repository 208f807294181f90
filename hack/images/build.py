"""From the tree to archives: build what is not there yet."""

import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from hack.images.debian import debootstrap
from hack.images.errors import ImageError
from hack.images.inputs import content_key, copy_inputs, revision_of
from hack.images.pip_settings import host_settings
from hack.images.recipes import (
    BASE,
    OPERATOR,
    REDIS,
    ROOT,
    WORKER,
    WORKER_CUDA,
    Recipe,
    project_table,
)
from hack.images.store import Store
from hack.images.tools import require_tools
from whisperfleet.engine.ctranslate2.models import digest_model

__all__ = ["ImageName", "archive_of", "arguments_of", "build", "build_arguments", "build_base"]

ImageName = Literal["operator", "redis", "worker", "worker-cuda"]

_STDERR = 2
_RECIPES: dict[ImageName, Recipe] = {
    "operator": OPERATOR,
    "redis": REDIS,
    "worker": WORKER,
    "worker-cuda": WORKER_CUDA,
}
# Which label a build argument becomes in the Dockerfiles of our own images. The model's digest is
# not among them: `--label` marks the steps that images share too, and the operator has no model.
# Its LABEL follows the model's own layer, so that one from the cache is of the same model.
_LABELS = {
    "VERSION": "org.opencontainers.image.version",
    "REVISION": "org.opencontainers.image.revision",
    "SOURCE": "org.opencontainers.image.source",
}


def build(name: ImageName, store: Store | None = None) -> Path:
    """Return the archive of an image, built if its content has changed.

    Raises ImageError where a tool is missing or a build fails; what it said is on standard error.
    """
    store = store or Store()
    recipe = _RECIPES[name]
    archive = archive_of(recipe, store, arguments_of(recipe, ROOT), ROOT)
    if archive.exists():
        return archive
    require_tools(["mmdebstrap", "buildah"])
    with store.locked(), tempfile.TemporaryDirectory() as folder:
        # The tree may change during a build: what is built is what the archive's name is made of.
        tree = Path(folder)
        copy_inputs(ROOT, recipe.inputs, tree)
        arguments = arguments_of(recipe, tree)
        archive = archive_of(recipe, store, arguments, tree)
        if not archive.exists():
            _build_image(recipe, store, arguments, tree)
            _write_archive(recipe, store, archive)
            store.drop_old_archives(recipe.name)
    return archive


def build_base(store: Store | None = None) -> str:
    """Return the name of the base image in the store, made if it is not there."""
    require_tools(["mmdebstrap", "buildah"])
    store = store or Store()
    with store.locked():
        return _base(store)


def archive_of(recipe: Recipe, store: Store, arguments: Mapping[str, str], tree: Path) -> Path:
    """Return where the archive lies, or would lie, of a tree that holds the recipe's inputs."""
    facts = [content_key(ROOT, BASE.inputs), *(f"{k}={v}" for k, v in sorted(arguments.items()))]
    return store.archive(recipe.name, content_key(tree, recipe.inputs, facts))


def arguments_of(recipe: Recipe, tree: Path) -> dict[str, str]:
    """Return the build arguments that describe a tree; an image of others' work takes none."""
    if not recipe.is_versioned:
        return {}
    project = project_table(tree)
    arguments = {
        "VERSION": project["version"],
        "REVISION": revision_of(ROOT, recipe.inputs),
        "SOURCE": project.get("urls", {}).get("Source", ""),
    }
    if recipe.model is not None:
        arguments |= {"MODEL": recipe.model, "MODEL_DIGEST": digest_model(tree / recipe.model)}
    if recipe.device is not None:
        arguments["DEVICE"] = recipe.device
    return arguments


def build_arguments(
    recipe: Recipe, tree: Path, arguments: Mapping[str, str], pip_options: Iterable[str]
) -> list[str]:
    """Return the arguments of ``buildah`` that build a recipe of a tree with build arguments."""
    labels = {_LABELS[name]: value for name, value in arguments.items() if name in _LABELS}
    return [
        *("build", "--isolation", "chroot", "--layers"),
        *pip_options,
        *(part for name, value in arguments.items() for part in ("--build-arg", f"{name}={value}")),
        # buildah 1.28 takes a LABEL from its cache whatever the arguments in it have become.
        *(part for name, value in labels.items() for part in ("--label", f"{name}={value}")),
        *("--file", str(tree / recipe.dockerfile), "--tag", recipe.reference),
        str(tree / recipe.context),
    ]


def _base(store: Store) -> str:
    """Make the base unless it is there; the store is locked."""
    by_content = f"{BASE.reference}-{content_key(ROOT, BASE.inputs)}"
    known = subprocess.run(
        store.buildah("images", "--quiet", by_content), capture_output=True, check=False
    )
    if known.returncode == 0:
        return by_content
    with tempfile.TemporaryDirectory(dir=store.folder) as folder:
        debootstrap(Path(folder, "rootfs.tar"))
        _run(
            store.buildah(
                *("build", "--layers", "--file", str(ROOT / BASE.dockerfile)),
                *("--tag", BASE.reference, "--tag", by_content, folder),
            ),
            "the base image",
        )
    return by_content


def _build_image(recipe: Recipe, store: Store, arguments: Mapping[str, str], tree: Path) -> None:
    arguments = {"BASE_IMAGE": _base(store), **arguments}
    pip = host_settings()
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
        config.write(pip.config)
        config.flush()
        options = pip.build_options(Path(config.name))
        _run(
            store.buildah(*build_arguments(recipe, tree, arguments, options)),
            f"the image {recipe.reference}",
        )


def _write_archive(recipe: Recipe, store: Store, archive: Path) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    partial = archive.with_suffix(".partial")
    # buildah adds to an archive that is there.
    partial.unlink(missing_ok=True)
    target = f"docker-archive:{partial}:{recipe.reference}"
    _run(store.buildah("push", recipe.reference, target), f"the archive {archive}")
    partial.rename(archive)


def _run(command: list[str], what: str) -> None:
    if subprocess.run(command, stdout=_STDERR, check=False).returncode:
        raise ImageError(
            f"{what} could not be built (buildah's words are above); mend what they name and run "
            "it again: finished steps are kept"
        )
