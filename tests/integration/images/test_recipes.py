"""What images are made of: nothing that is not in the tree, and nothing that they do not need."""

import subprocess
import sys
from pathlib import Path

import pytest

from hack.images import OPERATOR, REDIS, WORKER, Recipe
from hack.images.build import arguments_of
from hack.images.inputs import content_key, copy_inputs, input_files
from hack.images.recipes import ROOT
from whisperfleet import __version__


@pytest.mark.parametrize("recipe", [OPERATOR, REDIS, WORKER], ids=lambda recipe: recipe.name)
def test_the_inputs_are_there_and_the_dockerfile_is_one(recipe: Recipe) -> None:
    paths = {str(path.relative_to(ROOT)) for path in input_files(ROOT, recipe.inputs)}
    assert recipe.dockerfile in paths
    assert len(recipe.inputs) == len(set(recipe.inputs))


@pytest.mark.parametrize("recipe", [OPERATOR, WORKER], ids=lambda recipe: recipe.name)
def test_everything_that_a_dockerfile_copies_is_an_input(recipe: Recipe) -> None:
    copied = [
        source
        for line in (ROOT / recipe.dockerfile).read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line and "--chmod" not in line
        for source in line.split()[1:-1]
    ]
    assert copied
    for source in copied:
        assert any(source == each or source.startswith(f"{each}/") for each in recipe.inputs), (
            source
        )


def test_all_that_the_operator_imports_is_in_its_image() -> None:
    program = """
import importlib, pkgutil, sys, whisperfleet_operator
for each in pkgutil.walk_packages(whisperfleet_operator.__path__, "whisperfleet_operator."):
    if not each.name.endswith("__main__"):
        importlib.import_module(each.name)
print(*(module.__file__ for name, module in sys.modules.items() if name.startswith("whisperfleet")))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    paths = {str(path.relative_to(ROOT)) for path in input_files(ROOT, OPERATOR.inputs)}
    imported = {str(Path(file).relative_to(ROOT)) for file in done.stdout.split()}
    assert "operator/whisperfleet_operator/reconcile.py" in imported
    assert imported - paths == set()


def test_both_of_our_images_begin_with_the_same_steps() -> None:
    beginnings = []
    for recipe in (OPERATOR, WORKER):
        _, _, text = (ROOT / recipe.dockerfile).read_text().partition("AS python\n")
        beginnings.append(text.partition("COPY requirements/")[0])
    assert beginnings[0] == beginnings[1]
    assert "pip/bin/pip" not in beginnings[0]
    assert "compileall" in beginnings[0]


def test_the_arguments_say_what_is_in_an_image() -> None:
    assert arguments_of(REDIS, ROOT) == {}
    operator, worker = arguments_of(OPERATOR, ROOT), arguments_of(WORKER, ROOT)
    assert operator["VERSION"] == worker["VERSION"] == __version__
    assert set(operator) == {"VERSION", "REVISION", "SOURCE"}
    assert set(worker) - set(operator) == {"MODEL", "MODEL_DIGEST"}
    assert OPERATOR.reference == f"whisperfleet.local/operator:{__version__}"


@pytest.mark.parametrize(
    ("changed", "is_another"),
    [
        ("operator/whisperfleet_operator/process.py", True),
        ("inference/whisperfleet/queue/queue.py", True),
        ("requirements/operator.txt", True),
        ("inference/whisperfleet/worker/process.py", False),
        ("requirements/worker.txt", False),
    ],
)
def test_only_what_the_operator_needs_makes_another_operator(
    tmp_path: Path, changed: str, is_another: bool
) -> None:
    copy_inputs(ROOT, OPERATOR.inputs, tmp_path)
    copy_inputs(ROOT, WORKER.inputs, tmp_path)
    key = content_key(tmp_path, OPERATOR.inputs)
    with (tmp_path / changed).open("a") as file:
        file.write("\n# changed\n")
    assert (content_key(tmp_path, OPERATOR.inputs) != key) is is_another
