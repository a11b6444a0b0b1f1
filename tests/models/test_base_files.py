"""A base's folder that cannot be trained is known by its files, before anything is paid for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from evoltune.errors import RecipeError
from evoltune.models.base_files import why_unusable
from evoltune.recipe import load_recipe
from evoltune.train.preflight import check_base, check_folder


def changed(name: str, **keys: object) -> Callable[[Path], None]:
    """Sets keys of a JSON file; None removes one."""

    def change(folder: Path) -> None:
        tree = json.loads((folder / name).read_text()) | keys
        (folder / name).write_text(json.dumps({key: value for key, value in tree.items() if value is not None}))

    return change


def without(*names: str) -> Callable[[Path], None]:
    return lambda folder: [(folder / name).unlink() for name in names] and None


def cut(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-7])


def in_parts(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    parts = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))


def broken_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content ")


@pytest.mark.parametrize(
    ("template", "change", "told"),
    [
        ("alpaca", without("model.safetensors"), "holds no weights"),
        ("alpaca", cut, "holds a file of weights that is cut off: model.safetensors"),
        ("alpaca", in_parts, "lacks 1 of 2 files of its weights: model-00002-of-00002.safetensors"),
        ("alpaca", without("tokenizer.json"), "holds no tokenizer"),
        ("alpaca", changed("tokenizer_config.json", eos_token=None), "has a tokenizer without an end-of-sequence token"),
        ("alpaca", changed("config.json", architectures=["BertForMaskedLM"]), "is no language model that writes on"),
        ("alpaca", changed("config.json", model_type="zorblax"), "is of the model type 'zorblax', which the installed Transformers does not"),
        ("alpaca", without("config.json"), "holds no config.json"),
        ("chat", broken_template, "has a chat template that is not valid: unexpected end of template"),
    ],
)  # fmt: skip
def test_a_folder_that_cannot_be_trained_is_named_with_the_key_before_the_first_stage(
    template: str, change: Callable[[Path], None], told: str, tiny_base: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "base"
    shutil.copytree(tiny_base, folder)
    recipe = load_recipe("smoke/math", [f"train.model_name_or_path={folder}", f"train.template={template}"])
    check_base(recipe, tmp_path / "out")
    change(folder)
    with pytest.raises(RecipeError) as raised:
        check_base(recipe, tmp_path / "out")
    assert str(raised.value).startswith(f"train.model_name_or_path: {folder} {told}")
    with pytest.raises(RecipeError):
        check_folder(recipe)


@pytest.mark.parametrize(
    "text", ["{% generation %}{{ 1 }}{% endgeneration %}", "{% for m in messages %}{% break %}{% endfor %}"]
)
def test_tags_that_only_transformers_knows_are_left_to_it(text: str, tiny_base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    shutil.copytree(tiny_base, folder)
    (folder / "chat_template.jinja").write_text(text)
    assert why_unusable(folder, "chat") == ""
