"""Recipes of other suites: every key is accounted for, and what comes out is a recipe that loads."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import yaml

from evoltune.cli import main
from evoltune.errors import RecipeError
from evoltune.recipe import Train, load_recipe
from evoltune.recipe.convert import SUITES, convert, rules

# Minimal recipes of our own, from the documented keys of each format.
AXOLOTL = """
base_model: NousResearch/Llama-2-7b-hf
load_in_4bit: true
adapter: qlora
datasets:
  - path: mhenrichsen/alpaca_2k_test
    type: alpaca
sequence_len: 4096
sample_packing: true
excess_length_strategy: truncate
lora_r: 32
lora_alpha: 16
lora_target_linear: true
micro_batch_size: 2
gradient_accumulation_steps: 4
num_epochs: 4
lr_scheduler: cosine
learning_rate: 0.0002
bf16: auto
flash_attention: true
warmup_steps: 10
deepspeed: deepspeed_configs/zero2.json
made_up_key: 1
"""
LLAMA_FACTORY = """
model_name_or_path: meta-llama/Llama-2-7b-hf
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: all
deepspeed: examples/deepspeed/ds_z3_offload_config.json
dataset: my_rows
template: alpaca
cutoff_len: 2048
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
"""
TRL = """
model_name_or_path: Qwen/Qwen2.5-1.5B
dtype: bfloat16
attn_implementation: sdpa
dataset_name: my/rows
use_peft: true
lora_r: 16
lora_target_modules: [q_proj, v_proj]
learning_rate: 2.0e-5
max_length: 1024
packing: true
num_train_epochs: 1
report_to: [tensorboard]
"""


@pytest.mark.parametrize(("source", "text"), [("axolotl", AXOLOTL), ("llamafactory", LLAMA_FACTORY), ("trl", TRL)])
def test_every_key_has_one_line_and_the_recipe_loads(tmp_path: Path, source: str, text: str):
    result = convert(source, text, domain="general")
    assert [line.key for line in result.lines] == list(yaml.safe_load(text))
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump(result.recipe))
    load_recipe(path)


def test_axolotl_values_arrive_where_they_belong(tmp_path: Path):
    result = convert("axolotl", AXOLOTL, domain="general")
    train = result.recipe["train"]
    assert (train["finetuning_type"], train["max_length"], train["packing"]) == ("qlora", 4096, True)
    assert (train["lora_target_modules"], train["deepspeed"], train["num_train_epochs"]) == ("all-linear", "zero2", 4.0)
    fates = {line.key: line.fate for line in result.lines}
    assert fates["made_up_key"] == "unsupported" and fates["lora_r"] == "mapped" and fates["base_model"] == "changed"


def test_llamafactory_and_trl_values_arrive_where_they_belong():
    factory = convert("llamafactory", LLAMA_FACTORY, domain="general").recipe["train"]
    assert (factory["deepspeed"], factory["precision"], factory["template"]) == ("zero3-offload", "bf16", "alpaca")
    trl = convert("trl", TRL, domain="general").recipe["train"]
    assert (trl["finetuning_type"], trl["dataset"], trl["lora_target_modules"]) == (
        "lora",
        "my/rows",
        ["q_proj", "v_proj"],
    )


def test_several_datasets_are_named_as_unsupported_not_cut_to_one():
    result = convert("axolotl", "datasets: [{path: a}, {path: b}]\n", domain="general")
    assert result.lines[0].fate == "unsupported" and "dataset" not in result.recipe["train"]


@pytest.mark.parametrize("text", ["- a\n", "a: [\n"])
def test_what_is_no_mapping_is_a_clear_error(text: str):
    with pytest.raises(RecipeError):
        convert("trl", text, domain="general")


def test_an_unknown_suite_lists_the_known_ones():
    with pytest.raises(RecipeError, match="did you mean 'axolotl'"):
        convert("axolot", "a: 1\n", domain="general")


@pytest.mark.parametrize("suite", SUITES)
def test_every_rule_leads_to_a_key_of_ours_or_has_a_reason(suite: str):
    mapped, unsupported = rules(suite)
    known = {field.name for field in msgspec.structs.fields(Train)}
    assert {key for key, _ in mapped.values()} <= known
    assert all(unsupported.values()) and not mapped.keys() & unsupported.keys()


@pytest.mark.parametrize("value", ["auto", "my_config.json", "[1]"])
def test_a_deepspeed_file_that_names_no_stage_is_unsupported(value: str):
    result = convert("trl", f"deepspeed: {value}\n", domain="general")
    assert result.lines[0].fate == "unsupported" and "deepspeed" not in result.recipe["train"]


def test_the_command_writes_a_recipe_and_never_over_a_file(tmp_path: Path, capsys):
    source = tmp_path / "in.yaml"
    source.write_text(TRL)
    arguments = [
        "recipes",
        "import",
        "--from",
        "trl",
        str(source),
        "--domain",
        "math",
        "--out",
        str(tmp_path / "out.yaml"),
    ]
    assert main(arguments) == 0 and "mapped" in capsys.readouterr().out
    assert load_recipe(tmp_path / "out.yaml").domain == "math"
    assert main(arguments) == 2
