"""Generation for evaluation: the worker's texts, resuming, the process protocol. A tiny random model, real processes."""

from __future__ import annotations

import json

import pytest

from evoltune.errors import RecipeError
from evoltune.generate.completions import batches, finished_samples, generate
from evoltune.generate.model_source import find_model
from evoltune.generate.types import GenerationError, GenerationSettings, SampleRequest

PROMPTS = ["Add 2 and 3.", "Name a prime number above seven, please.", "Hi", "Sort [3, 1, 2] and say why."]


def job(base, **more):
    plain = {
        "model": str(base),
        "adapter": "",
        "tokenizer": str(base),
        "checkpoint": "",
        "threads": 1,
        "rank": 0,
    }
    settings = {
        "template": "chat",
        "system": "",
        "temperature": 0.0,
        "top_p": 1.0,
        "repetition_penalty": 1.0,
        "max_new_tokens": 24,
        "stops": [],
    }
    return {**plain, **settings, "probe": PROMPTS[0], **more}


def generator(base, **more):
    pytest.importorskip("torch")
    from evoltune.generate.transformers_worker import Generator

    made = Generator(job(base, **more))
    made.model.float()
    return made


def texts(made, prompts, seeds=None):
    rows = [{"prompt": p, "seed": i} for i, p in enumerate(prompts)] if seeds is None else [
        {"prompt": p, "seed": s} for p, s in zip(prompts, seeds, strict=True)
    ]  # fmt: skip
    return made.answer(rows)


def test_greedy_text_is_that_of_transformers_own_generate(tiny_base):
    import torch

    made = generator(tiny_base)
    for prompt, answer in zip(PROMPTS, texts(made, PROMPTS), strict=True):
        ids = torch.tensor([made.prompter.ids(prompt)])
        out = made.model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False,
            eos_token_id=made.stop_ids.tolist(), pad_token_id=2,
        )[0, ids.shape[1] :].tolist()  # fmt: skip
        out = [t for t in out if t not in (*made.stop_ids.tolist(), 2)]
        assert answer["text"] == made.tokenizer.decode(out, skip_special_tokens=True)
        assert answer["prompt_tokens"] == ids.shape[1]


def test_a_prompt_gets_the_same_text_alone_and_in_a_left_padded_batch(tiny_base):
    made = generator(tiny_base)
    together = [a["text"] for a in texts(made, PROMPTS)]
    alone = [texts(made, [p])[0]["text"] for p in PROMPTS]
    assert together == alone


def test_rows_that_stop_early_leave_the_batch_and_change_nothing_for_the_others(tiny_base):
    import torch

    made = generator(tiny_base, max_new_tokens=60)
    ends = made.stop_ids.tolist()
    for token in range(5, len(made.tokenizer)):  # some byte ends the rows at different steps
        made.stop_ids = torch.tensor([*ends, token])
        together = texts(made, PROMPTS)
        if len({a["tokens"] for a in together}) == len(PROMPTS):
            break
    assert len({a["tokens"] for a in together}) == len(PROMPTS)
    assert [texts(made, [p])[0] for p in PROMPTS] == together


def test_a_stop_string_cuts_the_text_before_it(tiny_base):
    whole = texts(generator(tiny_base, max_new_tokens=40), PROMPTS[:1])[0]["text"]
    stop = whole[10:12]
    answer = texts(generator(tiny_base, max_new_tokens=40, stops=[stop]), PROMPTS[:1])[0]
    assert answer["text"] == whole[: whole.find(stop)] and answer["stop"] == "stop"


def test_sampling_depends_on_the_samples_own_seed_and_not_on_its_neighbours(tiny_base):
    made = generator(tiny_base, temperature=1.0, top_p=0.9)
    batch = [a["text"] for a in texts(made, PROMPTS, [5, 6, 7, 8])]
    assert texts(made, PROMPTS[1:2], [6])[0]["text"] == batch[1]
    assert texts(made, PROMPTS[1:2], [66])[0]["text"] != batch[1]


def test_a_tiny_nucleus_is_greedy(tiny_base):
    greedy = [a["text"] for a in texts(generator(tiny_base), PROMPTS)]
    assert [a["text"] for a in texts(generator(tiny_base, temperature=1.0, top_p=1e-9), PROMPTS)] == greedy


def test_sampled_tokens_follow_the_distribution():
    torch = pytest.importorskip("torch")
    from evoltune.generate.transformers_worker import Sampler

    logits = torch.log(torch.tensor([0.1, 0.6, 0.3])).repeat(4000, 1)
    sampler = Sampler({"temperature": 1.0, "top_p": 1.0}, range(4000), 1, torch.device("cpu"))
    share = torch.bincount(sampler.draw(logits, torch.arange(4000), 0), minlength=3) / 4000
    assert torch.allclose(share, torch.tensor([0.1, 0.6, 0.3]), atol=0.03)
    narrow = Sampler({"temperature": 1.0, "top_p": 0.7}, range(4000), 1, torch.device("cpu"))
    assert set(narrow.draw(logits, torch.arange(4000), 0).tolist()) == {1, 2}  # 0.6 alone is less than 0.7


def wanted(n=6, samples=1):
    return [
        SampleRequest(suite="s", problem=f"p{i}", sample=k, prompt=PROMPTS[i % 4] + "!" * i)
        for i in range(n)
        for k in range(samples)
    ]


def settings(weights, **more):
    return GenerationSettings(
        model="tiny", weights=weights.fingerprint, template="chat", max_new_tokens=12, **more
    )


def test_a_killed_generation_goes_on_and_the_file_holds_the_very_same_texts(tiny_base, tmp_path):
    weights = find_model(str(tiny_base))
    whole, broken = tmp_path / "whole.jsonl", tmp_path / "broken.jsonl"
    proof = generate(wanted(), settings(weights), weights, whole, batch_size=2)
    assert proof["template"] == "chat" and proof["prompt_tokens"] > 0
    lines = whole.read_bytes().splitlines(keepends=True)
    broken.write_bytes(b"".join(lines[:3]) + lines[3][:20])  # one batch and a half, and a torn line
    generate(wanted(), settings(weights), weights, broken, batch_size=2)
    assert sorted(broken.read_bytes().splitlines()) == sorted(whole.read_bytes().splitlines())


def test_nothing_is_generated_twice_and_other_settings_stand_beside(tiny_base, tmp_path):
    weights, out = find_model(str(tiny_base)), tmp_path / "out.jsonl"
    generate(wanted(2), settings(weights), weights, out)
    assert generate(wanted(2), settings(weights), weights, out) == {}
    other = settings(weights, temperature=1.0, n=2)
    generate(wanted(2, samples=2), other, weights, out)
    assert (
        len(finished_samples(out, settings(weights).key)) == 2 and len(finished_samples(out, other.key)) == 4
    )


def test_settings_that_decide_a_text_change_the_key_and_the_number_of_samples_does_not():
    plain = GenerationSettings(model="m", weights="w", template="chat")
    assert plain.key == GenerationSettings(model="elsewhere/m", weights="w", template="chat", n=10).key
    changed = [{"temperature": 0.5}, {"template": "alpaca"}, {"stops": ("x",)}, {"seed": 1}, {"system": "s"}]
    keys = {
        GenerationSettings(**{"model": "m", "weights": "w", "template": "chat", **c}).key for c in changed
    }
    assert len(keys) == len(changed) and plain.key not in keys


def test_batches_hold_every_sample_once_whatever_the_order_they_came_in():
    one, two = batches(wanted(23), 5), batches(list(reversed(wanted(23))), 5)
    assert one == two and sum(map(len, one)) == 23 and max(map(len, one)) <= 5


def test_a_model_that_cannot_be_loaded_is_one_line_and_exit_code_1(tiny_base, tmp_path):
    broken = tmp_path / "model"
    broken.mkdir()
    (broken / "config.json").write_text(json.dumps({"model_type": "nonsense"}))
    weights = find_model(str(broken))
    with pytest.raises(GenerationError, match="generator ended") as caught:
        generate(wanted(1), settings(weights), weights, tmp_path / "o.jsonl")
    assert caught.value.exit_code == 1 and "\n" not in str(caught.value)


def test_the_fingerprint_names_the_weights_and_not_the_folder(tiny_base, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(tiny_base, copy)
    assert find_model(str(copy)).fingerprint == find_model(str(tiny_base)).fingerprint
    with (copy / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    assert find_model(str(copy)).fingerprint != find_model(str(tiny_base)).fingerprint


STAND_IN = """
import types
class SamplingParams:
    def __init__(self, **options): self.options = options
class LLM:
    def __init__(self, model, tokenizer, **more): self.model = model
    def generate(self, prompts, sampling, lora_request=None, use_tqdm=True):
        def one(prompt, params):
            text = f"{len(prompt['prompt_token_ids'])} ids, seed {params.options['seed']}, {params.options['max_tokens']} at most"
            return types.SimpleNamespace(outputs=[types.SimpleNamespace(text=text, token_ids=[1, 2], finish_reason="stop", stop_reason=None)])
        return [one(p, s) for p, s in zip(prompts, sampling)]
"""


def test_vllm_is_given_ids_and_a_seed_for_each_sample(tiny_base, tmp_path, monkeypatch):
    """A stand-in package with vLLM's two names; vLLM itself needs a GPU."""
    (tmp_path / "vllm.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    weights, out = find_model(str(tiny_base)), tmp_path / "o.jsonl"
    chosen = settings(weights, engine="vllm")
    proof = generate(wanted(2), chosen, weights, out)
    texts = {row["text"] for row in finished_samples(out, chosen.key).values()}
    assert len(texts) == 2 and f"seed {wanted(1)[0].seed(chosen)}, 12 at most" in " ".join(texts)
    assert proof["device"] == "vllm" and any(t.startswith(f"{proof['prompt_tokens']} ids") for t in texts)


def test_vllm_that_is_not_installed_says_so(tiny_base, tmp_path):
    weights = find_model(str(tiny_base))
    with pytest.raises(RecipeError, match="vllm"):
        generate(wanted(1), settings(weights, engine="vllm"), weights, tmp_path / "o.jsonl")
