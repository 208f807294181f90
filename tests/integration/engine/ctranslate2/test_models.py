import shutil
from pathlib import Path

import pytest

from whisperfleet.engine.ctranslate2 import models
from whisperfleet.engine.ctranslate2.models import ResolvedModel, digest_model, resolve_model
from whisperfleet.errors import ModelUnavailableError


@pytest.fixture
def copy(micro_model: ResolvedModel, tmp_path: Path) -> Path:
    """A copy of the model that may be changed."""
    return Path(shutil.copytree(micro_model.path, tmp_path / "copy"))


def test_a_directory_is_a_model(micro_model: ResolvedModel):
    again = resolve_model(str(micro_model.path))
    assert again == micro_model
    assert again.path.is_dir()
    assert len(bytes.fromhex(again.digest)) == 32


def test_the_digest_is_that_of_the_content(micro_model: ResolvedModel, copy: Path):
    assert digest_model(copy) == micro_model.digest
    (copy / "README.md").write_text("no part of the model")
    assert digest_model(copy) == micro_model.digest
    config = copy / "config.json"
    config.write_bytes(config.read_bytes() + b"\n")
    assert digest_model(copy) != micro_model.digest


def test_a_known_digest_is_taken_as_it_is(micro_model: ResolvedModel):
    assert resolve_model(str(micro_model.path), known_digest="ab" * 32).digest == "ab" * 32


@pytest.mark.parametrize("name", ["model.bin", "config.json", "tokenizer.json", "vocabulary.json"])
def test_a_missing_file_is_named(copy: Path, name: str):
    (copy / name).unlink()
    with pytest.raises(ModelUnavailableError, match=f"lacks {name}"):
        resolve_model(str(copy))


def test_an_old_model_without_preprocessor_config_is_whole(copy: Path):
    (copy / "preprocessor_config.json").unlink()
    assert resolve_model(str(copy)).path == copy


def test_a_path_that_is_not_there_never_asks_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(models, "download_model", lambda *_, **__: pytest.fail("asked the hub"))
    with pytest.raises(ModelUnavailableError, match=r"no model directory.*mount"):
        resolve_model(str(tmp_path / "missing"))


def test_a_name_that_no_hub_has_lists_those_that_are_known(tmp_path: Path):
    with pytest.raises(ModelUnavailableError, match=r"'huge' is neither .* large-v3"):
        resolve_model("huge", tmp_path, local_files_only=True)


def test_a_name_that_is_not_cached_says_so(tmp_path: Path):
    with pytest.raises(ModelUnavailableError, match="'tiny' is not in the local cache"):
        resolve_model("tiny", tmp_path, local_files_only=True)


def test_a_hub_that_fails_names_the_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object, **__: object) -> str:
        raise ConnectionError("no route")

    monkeypatch.setattr(models, "download_model", fail)
    with pytest.raises(ModelUnavailableError, match=r"ConnectionError.*proxy.*mount"):
        resolve_model("tiny", tmp_path)
