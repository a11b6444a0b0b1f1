"""Recipes of other suites: every key is accounted for, and what comes out is a recipe that loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from evoltune.cli import main
from evoltune.errors import RecipeError
from evoltune.recipe import Train, load_recipe
from evoltune.recipe.convert import SUITES, convert, tables

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
    keys = [line.key for line in result.lines if line.fate != "default" and "[" not in line.key]
    assert keys == list(yaml.safe_load(text))
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump(result.recipe))
    load_recipe(path)


def test_axolotl_values_arrive_where_they_belong(tmp_path: Path):
    result = convert("axolotl", AXOLOTL, domain="general")
    train = result.recipe["train"]
    assert (train["finetuning_type"], train["max_length"], train["packing"]) == ("qlora", 4096, True)
    assert (train["lora_target_modules"], train["deepspeed"], train["num_train_epochs"]) == ("all-linear", "zero2", 4.0)
    fates = {line.key: line.fate for line in result.lines}
    assert fates["made_up_key"] == "lost" and fates["lora_r"] == "mapped" and fates["base_model"] == "changed"


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
    result = convert("axolotl", "datasets: [{path: a}, {path: b}]\nbase_model: b\n", domain="general")
    assert result.lines[0].fate == "lost" and "dataset" not in result.recipe["train"]


@pytest.mark.parametrize("text", ["- a\n", "a: [\n"])
def test_what_is_no_mapping_is_a_clear_error(text: str):
    with pytest.raises(RecipeError):
        convert("trl", text, domain="general")


def test_an_unknown_suite_lists_the_known_ones():
    with pytest.raises(RecipeError, match="did you mean 'axolotl'"):
        convert("axolot", "a: 1\n", domain="general")


@pytest.mark.parametrize("suite", SUITES)
def test_every_rule_leads_to_a_key_of_ours_or_has_a_reason(suite: str):
    table = tables(suite)
    known = {field.name for field in msgspec.structs.fields(Train)}
    assert {rule.key for rule in table.mapped.values()} | {*table.defaults, *table.lora_defaults} <= known
    assert all(table.unsupported.values()) and all(
        limit.why for limit in (*table.lost.values(), *table.refused.values())
    )
    kinds = [table.mapped, table.unsupported, table.lost, table.refused]
    assert len({key for kind in kinds for key in kind}) == sum(map(len, kinds))


@pytest.mark.parametrize("value", ["auto", "my_config.json", "[1]"])
def test_a_deepspeed_file_that_names_no_stage_is_unsupported(value: str):
    result = convert("trl", f"deepspeed: {value}\nmodel_name_or_path: b\n", domain="general")
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


BASES = {"axolotl": "base_model: b", "llamafactory": "model_name_or_path: b", "trl": "model_name_or_path: b"}


def train_of(suite: str, text: str) -> dict[str, Any]:
    train: dict[str, Any] = convert(suite, f"{BASES[suite]}\n{text}", domain="general").recipe["train"]
    return train


@pytest.mark.parametrize(
    ("suite", "text", "named"),
    [
        ("axolotl", "rl: orpo", "rl: 'orpo'"), ("axolotl", "reward_model: true", "reward model"),
        ("axolotl", "pretraining_dataset: [{path: c4}]", "pretraining"), ("axolotl", "adapter: llama-adapter", "only lora and qlora"),
        ("axolotl", "lora_model_dir: ./old", "this adapter"), ("axolotl", "relora: true", "ReLoRA"),
        ("llamafactory", "do_predict: true", "do_predict: this trains nothing"), ("llamafactory", "do_train: false", "do_train: this trains"),
        ("llamafactory", "stage: dpo", "stage: 'dpo'"), ("llamafactory", "stage: pt", "stage: 'pt'"),
        ("llamafactory", "finetuning_type: freeze", "freezing"), ("llamafactory", "finetuning_type: oft", "oft"),
        ("llamafactory", "adapter_name_or_path: ./old", "this adapter"),
        ("trl", "beta: 0.1", "preference training"), ("trl", "loss_type: sigmoid", "only the cross-entropy"),
        ("axolotl", "gkd_trainer: true", "distillation"), ("axolotl", "reinit_weights: true", "random weights"),
        ("axolotl", "block_diffusion: {canvas_length: 256}", "diffusion"), ("llamafactory", "train_from_scratch: true", "random weights"),
        ("trl", "use_vllm: true\nreward_weights: [1.0]", "reinforcement learning"),
        ("trl", "num_generations: 8", "reinforcement learning"), ("trl", "use_peft: true\nlora_task_type: SEQ_CLS", "another kind"),
    ],
)  # fmt: skip
def test_another_kind_of_training_is_refused_with_the_key(suite: str, text: str, named: str):
    with pytest.raises(RecipeError, match="cannot become a recipe here") as error:
        train_of(suite, text)
    assert named in str(error.value)


@pytest.mark.parametrize("suite", SUITES)
def test_a_recipe_without_a_base_is_refused(suite: str):
    with pytest.raises(RecipeError, match="names no base model"):
        convert(suite, "model: {name: b}\nlearning_rate: 1e-4\n", domain="general")


@pytest.mark.parametrize(
    ("suite", "keys", "kind"),
    [
        ("axolotl", ["adapter: lora", "load_in_4bit: true"], "qlora"), ("axolotl", ["adapter: qlora"], "qlora"),
        ("axolotl", ["adapter: lora", "load_in_4bit: false"], "lora"), ("axolotl", ["adapter:", "seed: 1"], "full"),
        ("llamafactory", ["finetuning_type: lora", "quantization_bit: 4"], "qlora"), ("llamafactory", ["seed: 1"], "lora"),
        ("llamafactory", ["finetuning_type: full", "stage: sft"], "full"),
        ("trl", ["use_peft: true", "load_in_4bit: true"], "qlora"), ("trl", ["use_peft: true"], "lora"), ("trl", ["seed: 1"], "full"),
    ],
)  # fmt: skip
def test_the_method_does_not_depend_on_the_order_of_keys(suite: str, keys: list[str], kind: str):
    for order in (keys, keys[::-1]):
        assert train_of(suite, "\n".join(order))["finetuning_type"] == kind


@pytest.mark.parametrize(
    ("suite", "text", "expected"),
    [
        ("llamafactory", "lora_rank: 8", {"lora_alpha": 16}), ("llamafactory", "", {"lora_r": 8, "lora_alpha": 16}),
        ("llamafactory", "lora_rank: 8\nlora_alpha: 8", {"lora_alpha": 8}), ("llamafactory", "dataset: [demo]", {"dataset": "demo"}),
        ("llamafactory", "template: qwen", {"template": "chat", "excess_length": "truncate"}),
        ("llamafactory", "finetuning_type: full", {"learning_rate": 5e-5, "lr_scheduler_type": "linear"}),
        ("axolotl", "", {"num_train_epochs": 1.0, "excess_length": "drop", "max_length": 512}),
        ("axolotl", "gradient_checkpointing: offload", {"gradient_checkpointing": True}),
        ("axolotl", "lora_target_linear: true\nlora_target_modules: [q_proj]\nadapter: lora", {"lora_target_modules": "all-linear"}),
        ("axolotl", "learning_rate: 2e-5\nlr_scheduler: cosine\ncosine_min_lr_ratio: 0.1", {"min_learning_rate": 2e-6}),
        ("axolotl", "datasets: [{path: json, data_files: a.jsonl, type: alpaca}]", {"dataset": "a.jsonl", "template": "alpaca"}),
        ("axolotl", "datasets: [{path: o/n, name: main, revision: v1, type: chat_template}]",
         {"dataset": "o/n@v1:main:train", "template": "chat"}),
        ("axolotl", "datasets: [{path: o/n, split: train_sft, type: sharegpt}]", {"dataset": "o/n::train_sft", "template": "chat"}),
        ("trl", "dataset_name: o/n\ndataset_config: main\ndataset_train_split: val", {"dataset": "o/n:main:val", "template": "chat"}),
        ("trl", "datasets: [{path: o/n, name: main}]", {"dataset": "o/n:main:train"}), ("trl", "dataset_mixer: {o/n: 1.0}", {"dataset": "o/n"}),
        ("trl", "use_peft: true", {"lora_target_modules": ["q_proj", "v_proj"], "lora_dropout": 0.05}),
        ("axolotl", "adapter: lora\nlora_target_modules: 'layers.[\\d]+.(mlp|self_attn).(up|q)_proj'",
         {"lora_target_modules": "layers.[\\d]+.(mlp|self_attn).(up|q)_proj"}),
        ("axolotl", "float16: true\nnoisy_embedding_alpha: 5", {"precision": "fp16", "neftune_noise_alpha": 5.0}),
        ("trl", "dataset_mixture: {datasets: [{id: o/n, config: main, split: a, weight: 1.0}], seed: 0}", {"dataset": "o/n:main:a"}),
        ("trl", "dataset_mixer: {o/n: 1}\ndataset_splits: [train_a, train_b, test_a]\ndataset_configs: [tiny]",
         {"dataset": "o/n:tiny:train_a+train_b"}),
        ("trl", "system_prompt: Be brief.\nuse_flash_attention_2: true",
         {"system_prompt": "Be brief.", "attn_implementation": "flash_attention_2"}),
        ("axolotl", "lr_scheduler: constant\nwarmup_steps: 10", {"warmup_steps": None, "warmup_ratio": None}),
        ("axolotl", "lr_scheduler: constant", {"warmup_ratio": None}), ("axolotl", "lr_scheduler: cosine", {"warmup_ratio": 0.03}),
        ("llamafactory", "lr_scheduler_type: constant\nwarmup_ratio: 0.1", {"lr_scheduler_type": "constant", "warmup_ratio": None}),
        ("trl", "warmup_steps: 0.1", {"warmup_ratio": 0.1, "warmup_steps": None}),
        ("trl", "warmup_steps: 20\nwarmup_ratio: 0.1", {"warmup_ratio": None, "warmup_steps": 20}),
        ("trl", "warmup_steps: 0\nwarmup_ratio: 0.1", {"warmup_ratio": 0.1, "warmup_steps": 0}),
        ("trl", "max_length: null", {"max_length": None, "excess_length": "raise"}),
        ("trl", "max_length: 512", {"max_length": 512, "excess_length": "truncate"}),
        ("trl", "bf16: false", {"precision": "fp32"}), ("axolotl", "bf16: false\nfp16: true", {"precision": "fp16"}),
        ("trl", "lr_scheduler_type: cosine_with_min_lr\nlr_scheduler_kwargs: {min_lr: 1e-6}", {"min_learning_rate": 1e-6}),
    ],
)  # fmt: skip
def test_values_and_defaults_of_the_other_suite_are_kept(suite: str, text: str, expected: dict[str, Any]):
    train = train_of(suite, text)
    assert {key: train.get(key) for key in expected} == expected


@pytest.mark.parametrize(
    ("suite", "text", "keys"),
    [
        ("axolotl", "datasets: [{path: a/b, split: 'train[:20%]', type: alpaca}]", ["datasets[0].split"]),
        ("axolotl", "datasets: [{path: a/b, type: chat_template, drop_system_message: true, shards: 4}]",
         ["datasets[0].drop_system_message", "datasets[0].shards"]),
        ("axolotl", "datasets: [{path: a/b, type: {field_instruction: q, format: x}}]", ["datasets[0].type"]),
        ("axolotl", "datasets: [{path: a/b, type: completion}]", ["datasets[0].type"]),
        ("axolotl", "unfrozen_parameters: [a]\noptimizer: lion_8bit\ntrain_on_inputs: true", ["unfrozen_parameters", "optimizer", "train_on_inputs"]),
        ("axolotl", "optimizer: adamw_bnb_8bit\ntrain_on_inputs: false\npeft_use_dora: false", []),
        ("axolotl", "lr_scheduler: rex", ["lr_scheduler"]),
        ("axolotl", "plugins: [axolotl.integrations.liger.LigerPlugin]\nuse_dft: true\nuse_eaft: false", ["use_dft"]),
        ("axolotl", "plugins: [axolotl.integrations.liger.LigerPlugin, my.Plugin]\nload_in_8bit: true", ["plugins", "load_in_8bit"]),
        ("llamafactory", "use_eaft_loss: true\nenable_qat: true\nfp8: true\nenable_thinking: false",
         ["use_eaft_loss", "enable_qat", "fp8", "enable_thinking"]),
        ("llamafactory", "finetuning_type: full\nquantization_bit: 4", ["quantization_bit"]),
        ("trl", "dataset_mixture: {datasets: [{id: a/b, weight: 0.5}]}\nrun_name: x\nhub_strategy: end", ["dataset_mixture"]),
        ("llamafactory", "mask_history: true\nmax_samples: 100\nuse_dora: true", ["mask_history", "max_samples", "use_dora"]),
        ("llamafactory", "quantization_bit: 8", ["quantization_bit"]), ("llamafactory", "template: default", ["template"]),
        ("llamafactory", "dataset: a,b", ["dataset"]), ("llamafactory", "mask_history: false\ntrain_on_prompt: false", []),
        ("trl", "completion_only_loss: false\ndataset_text_field: text", ["completion_only_loss", "dataset_text_field"]),
        ("trl", "assistant_only_loss: true\ncompletion_only_loss: true\nloss_type: nll", []),
        ("trl", "dataset_mixer: {a/b: 0.5}", ["dataset_mixer"]), ("trl", "max_length: null", ["max_length"]),
        ("llamafactory", "do_train: true\nimage_max_pixels: 262144\nmask_long_history: true", ["image_max_pixels"]),
        ("trl", "dataset_kwargs: {skip_prepare_dataset: true}", ["dataset_kwargs"]), ("trl", "dataset_kwargs: {add_special_tokens: false}", []),
        ("axolotl", "base_model_config: other/base", ["base_model_config"]), ("llamafactory", "lora_rank: many", []),
        ("trl", "dataset_mixture: {datasets: [{id: a/b, weight: half}]}", ["dataset_mixture"]),
        ("trl", "learning_rate: fast\nwarmup_steps: 2.5\ndeepspeed: mine.json", ["learning_rate", "warmup_steps"]),
    ],
)  # fmt: skip
def test_what_makes_another_training_is_a_line_that_says_so(suite: str, text: str, keys: list[str]):
    result = convert(suite, f"{text}\n{BASES[suite]}\n", domain="general")
    assert sorted(line.key for line in result.lost) == sorted(keys)


@pytest.mark.parametrize(
    ("template", "base", "is_own"),
    [
        ("chatml", "Qwen/Qwen2.5-7B", True), ("chatml", "mistralai/Mistral-Nemo-Base-2407", False),
        ("llama3", "meta-llama/Meta-Llama-3-8B-Instruct", True), ("llama3", "meta-llama/Llama-2-7b-chat-hf", False),
        ("qwen3_nothink", "Qwen/Qwen3-4B", True), ("qwen3", "Qwen/Qwen2.5-7B-Instruct", False),
        ("mistral_v7_tekken", "mistralai/Mixtral-8x7B-Instruct-v0.1", True), ("vicuna", "meta-llama/Llama-2-7b-hf", False),
        ("tokenizer_default", "a/b", True), ("gemma3", "./models/mine", True), ("{% for m in messages %}", "Qwen/Qwen3-4B", False),
    ],
)  # fmt: skip
def test_a_chat_template_of_another_family_than_the_base_is_a_warning(template: str, base: str, is_own: bool):
    told = json.dumps(template)
    for suite, text in (
        ("axolotl", f"base_model: {base}\nchat_template: {told}\ndatasets: [{{path: a/b, type: chat_template}}]"),
        ("llamafactory", f"model_name_or_path: {base}\ntemplate: {told}\ndataset: a"),
        ("trl", f"model_name_or_path: {base}\nchat_template: {told}\ndataset_name: a/b"),
    ):
        result = convert(suite, text, domain="general", named=lambda name, _: (name, []))
        assert result.recipe["train"]["template"] == "chat"
        assert [line.key for line in result.lost] == (
            [] if is_own else ["template" if suite == "llamafactory" else "chat_template"]
        )


def test_paths_of_the_result_are_relative_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "in.yaml").write_text(
        "base_model: models/b\ndatasets: [{path: json, data_files: data/a.jsonl, type: alpaca}]\n"
    )
    (tmp_path / "models" / "b").mkdir(parents=True)
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(["recipes", "import", "--from", "axolotl", "in.yaml", "--out", "mine/out.yaml"]) == 0
    train = load_recipe("mine/out.yaml").train
    assert (train.dataset, train.model_name_or_path) == ("data/a.jsonl", "models/b")


def test_a_key_without_a_value_counts_as_not_set():
    train = train_of("axolotl", "resume_from_checkpoint:\nsave_steps:\nlora_r:\nadapter: lora")
    assert not {"resume_from_checkpoint", "save_steps", "lora_r"} & train.keys()
    assert train_of("trl", "resume_from_checkpoint: out/checkpoint-3")["resume_from_checkpoint"] is True


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("ds_z0_config.json", None), ("ds_z2_config.json", "zero2"), ("zero3_bf16.json", "zero3"), ("zero1.json", "zero1"),
        ("ds_z3_offload_config.json", "zero3-offload"), ("zero3_bf16_cpuoffload_all.json", "zero3-offload"),
        ("ds_z2_offload_config.json", {"stage": 2, "offload_optimizer": {"device": "cpu", "pin_memory": True}}),
        ("zero3_bf16_cpuoffload_params.json", {"stage": 3, "offload_param": {"device": "cpu", "pin_memory": True}}),
    ],
)  # fmt: skip
def test_the_files_that_the_suites_ship_for_deepspeed_are_known_by_name(file: str, expected: object):
    found = train_of("llamafactory", f"deepspeed: examples/deepspeed/{file}").get("deepspeed")
    assert (found["zero_optimization"] if isinstance(found, dict) else found) == expected


def test_a_result_that_would_not_load_is_not_written_and_losses_stand_in_the_file(tmp_path: Path, capsys):
    source, out = tmp_path / "in.yaml", tmp_path / "out.yaml"
    command = ["recipes", "import", "--from", "axolotl", str(source), "--out", str(out)]
    source.write_text("base_model: b\nlora_r: many\n")
    assert main(command) == 2 and not out.exists()
    assert "train.lora_r" in capsys.readouterr().err
    source.write_text("base_model: b\ntrain_on_inputs: true\n")
    assert main(command) == 0 and "another training than in.yaml: train_on_inputs" in capsys.readouterr().err
    assert out.read_text().startswith("# another training than in.yaml: train_on_inputs")
    assert load_recipe(out).train.model_name_or_path == "b"
