"""What the generator's process gives to vLLM, by a stand-in package with its two names; vLLM itself: tests/contracts/test_vllm.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evoltune.errors import RecipeError
from evoltune.generate.completions import finished_samples, generate
from evoltune.generate.job import GenerationSettings, SampleRequest, find_model

PROMPTS = ["Add 2 and 3.", "Name a prime number above seven, please.", "Hi", "Sort [3, 1, 2] and say why."]


def wanted(n=6, samples=1):
    return [
        SampleRequest(suite="s", problem=f"p{i}", sample=k, prompt=PROMPTS[i % 4] + "!" * i)
        for i in range(n)
        for k in range(samples)
    ]


def settings(weights, **more):
    return GenerationSettings(model="tiny", weights=weights.fingerprint, template="chat", max_new_tokens=12, **more)


STAND_IN = """
import types
class SamplingParams:
    def __init__(self, **options): self.options = options
class LLM:
    def __init__(self, model, tokenizer, **more): self.more = more
    def generate(self, prompts, sampling, lora_request=None, use_tqdm=True):
        def one(prompt, params):
            text = f"{len(prompt['prompt_token_ids'])} ids, seed {params.options['seed']}, {params.options['max_tokens']} at most, {self.more}, of {len(prompts)}"
            return types.SimpleNamespace(outputs=[types.SimpleNamespace(text=text, token_ids=[1, 2], finish_reason="stop", stop_reason=None)])
        return [one(p, s) for p, s in zip(prompts, sampling)]
"""


def test_vllm_is_given_ids_and_a_seed_for_each_sample(tiny_base, tmp_path, monkeypatch):
    (tmp_path / "vllm.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    weights, out = find_model(str(tiny_base)), tmp_path / "o.jsonl"
    chosen = settings(weights, engine="vllm")
    proof = generate(wanted(2), chosen, weights, out)
    texts = {row["text"] for row in finished_samples(out, chosen.key).values()}
    assert len(texts) == 2 and f"seed {wanted(1)[0].seed(chosen)}, 12 at most" in " ".join(texts)
    assert all(t.endswith("at most, {}, of 2") for t in texts)
    assert proof["device"] == "vllm" and any(t.startswith(f"{proof['prompt_tokens']} ids") for t in texts)


def test_vllm_is_given_all_prompts_at_once_on_as_many_gpus_as_a_copy_takes(tiny_base, tmp_path, monkeypatch):
    (tmp_path / "vllm.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    weights, out = replace(find_model(str(tiny_base)), gpus_each=2), tmp_path / "o.jsonl"
    chosen = settings(weights, engine="vllm")
    generate(wanted(200), chosen, weights, out)
    texts = [row["text"] for row in finished_samples(out, chosen.key).values()]
    assert len(texts) == 200 and all(t.endswith("{'tensor_parallel_size': 2}, of 200") for t in texts)


def test_vllm_that_is_not_installed_says_so(tiny_base, tmp_path):
    weights = find_model(str(tiny_base))
    with pytest.raises(RecipeError, match="vllm"):
        generate(wanted(1), settings(weights, engine="vllm"), weights, tmp_path / "o.jsonl")
