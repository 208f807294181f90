"""The key of an image's content, and the commit it is from."""

import subprocess
from pathlib import Path

import pytest

from hack.images.inputs import content_key, copy_inputs, revision_of

INPUTS = ("package", "Dockerfile")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "package").mkdir(parents=True)
    (root / "package" / "code.py").write_text("a = 1\n")
    (root / "Dockerfile").write_text("FROM scratch\n")
    (root / "notes").write_text("not an input\n")
    return root


def git(tree: Path, *arguments: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@t.invalid", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *who, *arguments], cwd=tree, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(tree: Path) -> str:
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "-m", "x")
    return git(tree, "rev-parse", "HEAD")


def test_the_key_is_of_content_alone(tree: Path, tmp_path: Path) -> None:
    key = content_key(tree, INPUTS)
    (tree / "package" / "code.py").touch()
    (tree / "package" / "code.py").chmod(0o600)
    (tree / "notes").write_text("changed\n")
    (tree / "package" / "__pycache__").mkdir()
    (tree / "package" / "__pycache__" / "code.pyc").write_bytes(b"x")
    assert content_key(tree, INPUTS) == key

    copy_inputs(tree, INPUTS, tmp_path / "copy")
    assert content_key(tmp_path / "copy", INPUTS) == key
    assert not (tmp_path / "copy" / "notes").exists()


@pytest.mark.parametrize("change", ["content", "name", "new file", "fact"])
def test_a_change_is_another_key(tree: Path, change: str) -> None:
    key = content_key(tree, INPUTS, ["VERSION=1"])
    code = tree / "package" / "code.py"
    facts = ["VERSION=1"]
    match change:
        case "content":
            code.write_text("a = 2\n")
        case "name":
            code.rename(tree / "package" / "other.py")
        case "new file":
            (tree / "package" / "more.py").touch()
        case "fact":
            facts = ["VERSION=2"]
    assert content_key(tree, INPUTS, facts) != key


def test_a_missing_input_is_named(tree: Path) -> None:
    with pytest.raises(FileNotFoundError, match="requirements"):
        content_key(tree, ("package", "requirements"))


def test_the_revision_is_of_the_inputs(tree: Path) -> None:
    assert revision_of(tree, INPUTS) == ""
    git(tree, "init", "--quiet")
    first = commit(tree)
    (tree / "notes").write_text("changed\n")
    commit(tree)
    assert revision_of(tree, INPUTS) == first

    (tree / "package" / "more.py").touch()
    assert revision_of(tree, INPUTS) == f"{first}-dirty"
    assert revision_of(tree, INPUTS) != commit(tree) == revision_of(tree, INPUTS)
