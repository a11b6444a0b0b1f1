"""Which weights a checkpoint's answers come from: its base is found from any working directory, at the revision of the training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from evoltune.generate.job import find_model
from evoltune.models.proof import read_template


def write_adapter(folder: Path, named: str, base: str, revision: str = "main") -> Path:
    """`named`: the base in PEFT's file, `base`: in the template proof."""
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": named, "revision": None}))
    proof = {"template": "chat", "stop_token": "</s>", "stop_id": 1, "system_prompt": "", "golden": []}
    (folder / "template.json").write_text(json.dumps({**proof, "base": base, "base_revision": revision}))
    return folder


def write_model(folder: Path, text: str = "{}") -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(text)
    (folder / "model.safetensors").write_text(text)
    return folder


def test_an_adapter_finds_its_base_from_any_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = write_model(tmp_path / "here" / "base")
    adapter = write_adapter(tmp_path / "adapter", str(base), "base")
    write_model(tmp_path / "elsewhere" / "base", '{"another": "model"}')
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert find_model(str(adapter)).model == str(base)
    shutil.rmtree(base)  # moved with everything else: the recipe's name, from the working directory
    assert (template := read_template(adapter)) and template.base.name == "base"


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache with two revisions of one model, and no network."""
    constants = pytest.importorskip("huggingface_hub.constants")
    cache = tmp_path / "cache" / "hub"
    repository = cache / "models--acme--base"
    for revision, commit in (("main", "a" * 40), ("v2", "b" * 40)):
        write_model(repository / "snapshots" / commit, f'{{"revision": "{revision}"}}')
        (repository / "refs").mkdir(exist_ok=True)
        (repository / "refs" / revision).write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return repository / "snapshots" / ("b" * 40)


def test_a_base_of_another_revision_than_main_is_the_one_that_was_trained_on(cached: Path, tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "adapter", "acme/base", "acme/base", "v2")
    assert find_model(str(adapter)).model == str(cached)
    assert find_model("acme/base", revision="v2").model == str(cached)
    assert find_model("acme/base").model == "acme/base"
