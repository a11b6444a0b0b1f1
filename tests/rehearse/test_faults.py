"""Planted faults: each stops before anything is paid, with a message that names the key to change."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evoltune.models.shapes import known_configs
from evoltune.rehearse import datasets
from evoltune.rehearse.hub import GATED, serving_hub

CHECK = """
import json, sys
from pathlib import Path
from evoltune.errors import EvoltuneError
from evoltune.recipe import load_recipe
from evoltune.run.run import Run
for i, (name, overrides) in enumerate(json.loads(sys.argv[1])):
    work = Run(recipe=load_recipe(name, overrides), folder=Path(sys.argv[2]) / str(i))
    try:
        work.check(work.stages)
        work.check_teacher()
        print("nothing", flush=True)
    except EvoltuneError as error:
        print(error, flush=True)
    assert not work.folder.exists()
"""
WIZARDMATH, QWEN = "math/wizardmath-llama2-7b", "code/qwen25-1.5b"
NODES = ["compute.nodes=2", "compute.launcher=torchrun"]
ZERO3 = "{zero_optimization: {stage: 3, stage3_gather_16bit_weights_on_model_save: false}}"
BASES = (
    ("gptq", [], "holds quantised weights .gptq., which cannot be trained: name the base"),
    ("awq", ["train.finetuning_type=qlora"], "holds quantised weights .GPTQ or AWQ."),
    ("bnb", [], "holds 4-bit weights of bitsandbytes: set train.finetuning_type: qlora"),
    ("endless", ["train.template=alpaca"], "has a tokenizer without an end-of-sequence token"),
    ("jinja", [], "has a chat template that is not valid"), ("unheard", [], "is of the model type 'zorblax'"),
    ("encoder", [], "is no language model that writes on"), ("empty", [], "holds no weights"), ("mute", [], "holds no tokenizer"),
    ("parts", [], "lacks 1 of 2 files of its weights: b.safetensors"),
)  # fmt: skip
"""Bases on the hub that cannot be trained, known by their small files: name, overrides, message."""
FAULTS: list[tuple[str, list[str], str]] = [
    (WIZARDMATH, ["train.model_name_or_path=meta-llama/Llama-2-7b-fh"], "train.model_name_or_path: the hub has no model"),
    (WIZARDMATH, ["train.model_name_or_path=./missing"], "train.model_name_or_path: no such folder: './missing'"),
    (WIZARDMATH, ["train.model_revision=v9"], "train.model_name_or_path: 'meta-llama/Llama-2-7b-hf' has no revision 'v9'"),
    (WIZARDMATH, ["train.template=chat"], "train.template: chat needs a base with a chat template"),
    *((QWEN, [f"train.model_name_or_path=acme/{name}", *more], f"train.model_name_or_path: acme/{name} {told}") for name, more, told in BASES),
    (WIZARDMATH, ["train.model_name_or_path=acme/huge"], "free some space, or give --out on another disk"),
    ("code/wizardcoder-starcoder-1b", ["train.max_length=9000"], "train.max_length: 9000 is longer than the 8192 positions"),
    (QWEN, ["train.finetuning_type=lora", "train.lora_target_modules=qproj"], "train.lora_target_modules: 'qproj'"),
    (WIZARDMATH, ["seeds.path=openai/gsm9k:main:train"], "seeds.path: openai/gsm9k:main:train: neither a file nor a dataset"),
    (WIZARDMATH, ["seeds.path=openai/gsm8k:main:validation"], "seeds.path: openai/gsm8k:main:validation: .* split"),
    (WIZARDMATH, ["seeds.path=openai/gsm8k:advanced:train"], "seeds.path: openai/gsm8k:advanced:train: .*advanced"),
    (WIZARDMATH, ["eval.suites=[gsm9k]"], "eval.suites: unknown suite 'gsm9k': did you mean 'gsm8k'"),
    (WIZARDMATH, ["eval.profile=flexible"], "eval.profile: profile 'flexible': .* did you mean 'gsm8k-flexible'"),
    ("general/wizardlm-llama-7b", [], "eval.suites: suite general/wizardlm: not on this machine: .*EVOLTUNE_DATA"),
    (QWEN, ["eval.suites=[humaneval-plus]"], "eval.suites: .*row 1 is not in the suite's format: .*'test'"),
    (QWEN, ["eval.profile=wizardcoder-greedy"], "eval.profile: code/wizardcoder-greedy@1 has a prompt of its own"),
    (QWEN, NODES, "compute.rendezvous: '' must be HOST or HOST:PORT"),
    (QWEN, [*NODES, "compute.rendezvous=127.0.0.1"], "compute.rendezvous: 127.0.0.1 is every machine's own address"),
    (QWEN, ["compute.nodes=2"], "compute.launcher: 'local' runs on one machine, compute.nodes is 2"),
    (QWEN, ["compute.nodes=2", "compute.launcher=deepspeed", "compute.hostfile=hosts"], "compute.hostfile: hosts: no such file"),
    (QWEN, [f"train.deepspeed={ZERO3}"], "train.deepspeed.zero_optimization.stage3_gather_16bit_weights_on_model_save"),
    (QWEN, ["train.checkpoint_select=generations", "train.dev_suite=mbpp"], "train.dev_suite: 'mbpp' is also one of eval"),
    (QWEN, ["curate.mix=[{path: acme/none}]"], "curate.mix.0.path: acme/none: neither a file nor a dataset"),
    (QWEN, ["curate.embeddings=acme/none"], "curate.embeddings: the hub has no model 'acme/none'"),
    (QWEN, ["train.dataset=acme/none"], "train.dataset: acme/none: neither a file nor a dataset"),
    (QWEN, ["train.report_to=[wandbb]"], "train.report_to: 'wandbb': did you mean 'wandb'"),
    (QWEN, ["train.attn_implementation=xformers"], "train.attn_implementation: 'xformers': allowed: eager"),
    (QWEN, ["train.global_batch_size=7", "train.per_device_train_batch_size=2"], "train.global_batch_size: 7 is not a multiple"),
    (QWEN, ["eval.engine=http"], "eval.endpoint: engine 'http' needs the server's URL"),
    (QWEN, ["eval.beside=[nosuch]"], "eval.beside: profile 'nosuch'"),
    (QWEN, ["eval.data=nowhere"], "eval.data: nowhere: no such folder"),
    (QWEN, ["reward={steps: {rows: lost.jsonl}}"], "reward.steps.rows: lost.jsonl: no such file"),
    (QWEN, ["rl={prompts: lost.jsonl}"], "rl.prompts: lost.jsonl: no such file"),
    (QWEN, ["rl={prompts: acme/none}"], "rl.prompts: acme/none: neither a file nor a dataset"),
    (QWEN, ["train.finetuning_type=lora", "train.lora_modules_to_save=[lm_heat]"], "train.lora_modules_to_save: 'lm_heat' is no layer"),
    (WIZARDMATH, ["seeds.path=acme/no-rows:main:train"], "seeds.path: acme/no-rows:main:train: cannot be read from the hub before the first row"),
    ("code/wizardcoder-starcoder-1b", ["eval.max_new_tokens=9000"], "eval.max_new_tokens: 9000 leaves no room for a prompt in the 8192 positions"),
    (QWEN, ["eval.baseline_max_new_tokens=4097"], "eval.baseline_max_new_tokens: 4097 leaves no room for a prompt in the 4096 positions"),
    (QWEN, ["seeds.bootstrap=self_instruct", "seeds.bootstrap_size=3"], "seeds.bootstrap_size: 3: self_instruct would write none, because there are"),
    (QWEN, ["eval.suites=[humaneval, code/humaneval]"], "eval.suites: 'humaneval' and 'code/humaneval' have one name, 'humaneval'"),
    (QWEN, ["teacher.endpoints=[{url: 'http://127.0.0.1:9/v1', api_key_file: empty.key}]"], "teacher.endpoints.0.api_key_file: 'empty.key' is empty"),
    (WIZARDMATH, ["seeds.path=acme/columns:main:train"], "seeds.path: .*no instruction"),
    (QWEN, ["evolve.operators={nosuch: 1}"], "evolve.operators: domain 'code' has no operator 'nosuch'"),
    (QWEN, ["teacher.endpoints=[{url: 'http://127.0.0.1:9/v1', api_key_env: NO_KEY}]"], "teacher.endpoints.0.api_key_env"),
    (QWEN, ["teacher.endpoints=[{url: 'http://127.0.0.1:9/v1'}]"], "teacher.endpoints: nothing answers at http://127.0.0.1:9"),
]  # fmt: skip
TINY = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64, "num_attention_heads": 4, "vocab_size": 99}


@pytest.fixture(scope="module")
def check(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., list[str]]]:
    """What the checks before the first stage say, with a hub on loopback that holds small copies."""
    pytest.importorskip("datasets")
    root = tmp_path_factory.mktemp("faults")
    for name in datasets.hub_names():
        datasets.write_dataset_repository(root / "hub", name)
    for name, gated in (("meta-llama/Llama-2-7b-hf", True), ("huggyllama/llama-7b", False)):
        write_config(root / "hub", name, gated=gated, **TINY)
    write_config(root / "hub", "Qwen/Qwen2.5-Coder-1.5B", chat=True, max_position_embeddings=4096, **TINY)
    write_config(root / "hub", "bigcode/starcoderbase-1b")
    write_bases(root / "hub")
    huge = {"hidden_size": 2**20, "num_hidden_layers": 2**10, "intermediate_size": 2**20}
    write_config(root / "hub", "acme/huge", **{**TINY, **huge, "model_type": "llama"})
    shutil.copytree(root / "hub" / "datasets" / "openai" / "gsm8k", root / "hub" / "datasets" / "acme" / "columns")
    lose_column(root / "hub" / "datasets" / "acme" / "columns", "question")
    lose_rows(
        shutil.copytree(root / "hub" / "datasets" / "openai" / "gsm8k", root / "hub" / "datasets" / "acme" / "no-rows")
    )
    (root / "empty.key").touch()
    lose_column(root / "hub" / "datasets" / "evalplus" / "humanevalplus", "test")
    with serving_hub(root / "hub") as url:
        yield lambda faults, token="hf_x": said(faults, url, root, token)


def write_config(hub: Path, name: str, *, chat: bool = False, gated: bool = False, **more: Any) -> None:
    """The repository of a base, without weights."""
    folder = hub / "models" / name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({**known_configs().get(name, {}), **more}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"} if chat else {}))
    for name in ("model.safetensors", "tokenizer.json"):
        (folder / name).touch()
    if gated:
        (folder / GATED).touch()


def write_bases(hub: Path) -> None:
    more: dict[str, dict[str, Any]] = {
        "gptq": {"quantization_config": {"quant_method": "gptq", "bits": 4}},
        "bnb": {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
        "unheard": {"model_type": "zorblax"}, "encoder": {"architectures": ["BertForMaskedLM"]},
    }  # fmt: skip
    for name, _, _ in BASES:
        write_config(hub, f"acme/{name}", chat=True, **{"model_type": "llama", **TINY, **more.get(name, {})})
    models = hub / "models" / "acme"
    (models / "awq" / "quant_config.json").write_text("{}")
    (models / "endless" / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    (models / "jinja" / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content ")
    (models / "empty" / "model.safetensors").rename(models / "empty" / "model.gguf")
    (models / "mute" / "tokenizer.json").unlink()
    (models / "parts" / "model.safetensors").rename(models / "parts" / "a.safetensors")
    index = {"weight_map": {"one": "a.safetensors", "two": "b.safetensors"}}
    (models / "parts" / "model.safetensors.index.json").write_text(json.dumps(index))


def lose_column(repository: Path, column: str) -> None:
    import pyarrow.parquet as parquet

    for path in repository.rglob("*.parquet"):
        parquet.write_table(parquet.read_table(path).drop_columns([column]), path)


def lose_rows(repository: Path) -> None:
    import pyarrow.parquet as parquet

    for path in repository.rglob("*.parquet"):
        parquet.write_table(parquet.read_table(path).slice(0, 0), path)


def said(faults: list[tuple[str, list[str]]], url: str, root: Path, token: str) -> list[str]:
    kept = {k: v for k, v in os.environ.items() if not k.endswith("_OFFLINE") and k not in ("EVOLTUNE_DATA", "NO_KEY")}
    places = {"HF_HOME": str(root / f"hf{token}"), "XDG_CACHE_HOME": str(root / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", CHECK, json.dumps(faults), str(root / "runs")],
        env=kept | places | {"HF_ENDPOINT": url, "HF_TOKEN": token}, cwd=root, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def test_each_planted_fault_stops_before_the_first_stage_with_the_key(check: Callable[..., list[str]]) -> None:
    messages = check([(name, overrides) for name, overrides, _ in FAULTS])
    assert len(messages) == len(FAULTS) >= 20
    missed = [
        f"{name} {overrides}: {message}"
        for (name, overrides, expected), message in zip(FAULTS, messages, strict=True)
        if not re.search(expected, message)
    ]
    assert not missed, "\n".join(missed)


def test_gated_repositories_stop_without_a_login(check: Callable[..., list[str]]) -> None:
    base, seeds = check([(WIZARDMATH, []), ("general/lima-7b", ["eval.suites=[]"])], "")
    assert base.startswith("train.model_name_or_path: 'meta-llama/Llama-2-7b-hf' is gated: accept its terms")
    assert seeds.startswith("seeds.path: GAIR/lima: ") and "gated" in seeds
