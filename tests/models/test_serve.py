"""Merging, chatting and serving stand under the same template proof as training."""

from __future__ import annotations

import asyncio
import json
import shutil

import pytest

from evoltune.errors import TrainingError
from evoltune.recipe import load_recipe
from evoltune.train.launch import train

pytest.importorskip("torch")
ASK = [{"role": "user", "content": "Add 3 and 6."}]


@pytest.fixture(scope="module")
def adapter(tiny_base, tiny_rows, tmp_path_factory):
    out = tmp_path_factory.mktemp("adapter") / "checkpoint"
    recipe = load_recipe(
        "smoke/math",
        [
            f"train.model_name_or_path={tiny_base}",
            "eval.suites=[]",
            "train.precision=fp32",
            "train.max_steps=3",
            "train.warmup_steps=2",
        ],
    )
    train(recipe, tiny_rows, out, suites={})
    return out


@pytest.fixture(scope="module")
def merged(adapter):
    from evoltune.models.merge import merge

    out = adapter.with_name("merged")
    return out, merge(adapter, out, "float32")


def test_a_merged_model_is_the_same_function_within_the_stated_bound(merged):
    out, manifest = merged
    assert 0 <= manifest["merge"]["difference"] <= manifest["merge"]["bound"] == 1e-4
    assert {"model.safetensors", "template.json", "README.md"} <= set(manifest["files"])
    assert not (out / "adapter_config.json").exists()


def test_a_merge_does_not_overwrite_a_finished_model(merged, adapter):
    from evoltune.models.merge import merge

    with pytest.raises(TrainingError, match="holds a finished model already"):
        merge(adapter, merged[0], "float32")


def test_a_bad_merge_is_not_published(adapter, tmp_path, monkeypatch):
    from peft.tuners.lora import LoraModel

    from evoltune.models.merge import merge

    right = LoraModel.merge_and_unload

    def wrong(self, *args, **kwargs):
        model = right(self, *args, **kwargs)
        model.get_output_embeddings().weight.data.mul_(1.5)
        return model

    monkeypatch.setattr(LoraModel, "merge_and_unload", wrong)
    with pytest.raises(TrainingError, match="another function than base \\+ adapter"):
        merge(adapter, tmp_path / "out", "float32")
    assert not (tmp_path / "out").exists()


def test_an_adapter_of_zeros_is_refused(adapter, tmp_path):
    from safetensors.torch import load_file, save_file

    from evoltune.models.merge import merge

    copy = tmp_path / "zero"
    shutil.copytree(adapter, copy)
    path = copy / "adapter_model.safetensors"
    save_file({k: v * 0 for k, v in load_file(path).items()}, path)
    with pytest.raises(TrainingError, match="all zeros"):
        merge(copy, tmp_path / "out", "float32")


def test_adapter_and_merged_model_answer_alike(adapter, merged):
    from evoltune.models.chat import SamplingConfig, open_model

    replies = [
        open_model(folder).answer(ASK, SamplingConfig(max_tokens=12)) for folder in (adapter, merged[0])
    ]
    # Random weights nearly tie: the merge's rounding may turn a late token. The logits themselves are compared by `merge`.
    assert replies[0].text[:2] == replies[1].text[:2]
    assert replies[0].prompt_tokens == replies[1].prompt_tokens and replies[0].finish_reason in (
        "stop",
        "length",
    )


def test_a_checkpoint_whose_tokenizer_was_changed_does_not_open(adapter, tmp_path):
    from evoltune.models.chat import open_model

    copy = tmp_path / "changed"
    shutil.copytree(adapter, copy)
    path = copy / "chat_template.jinja"
    path.write_text(path.read_text().replace("<|im_end|>\n", "<|im_end|>"))
    with pytest.raises(TrainingError, match="other ids than training saw"):
        open_model(copy)


def test_the_server_speaks_the_openai_protocol(adapter):
    from aiohttp.test_utils import TestClient, TestServer

    from evoltune.models.chat import open_model
    from evoltune.models.server import application

    async def talk():
        async with TestClient(TestServer(application(open_model(adapter), "tiny"))) as client:
            models = await (await client.get("/v1/models")).json()
            request = {"model": "tiny", "messages": ASK, "max_tokens": 8, "temperature": 0}
            whole = await (await client.post("/v1/chat/completions", json=request)).json()
            streamed = await (
                await client.post("/v1/chat/completions", json={**request, "stream": True})
            ).text()
            bad = await client.post(
                "/v1/chat/completions", json={"messages": [{"role": "assistant", "content": "x"}]}
            )
            return models, whole, streamed, bad.status, await bad.json()

    models, whole, streamed, status, refusal = asyncio.run(talk())
    assert models["data"][0]["id"] == "tiny"
    text = whole["choices"][0]["message"]["content"]
    assert 0 < whole["usage"]["completion_tokens"] <= 8
    events = [line.removeprefix("data: ") for line in streamed.splitlines() if line]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(e)["choices"][0] for e in events[:-1]]
    assert "".join(c["delta"].get("content", "") for c in chunks) == text
    assert chunks[-1]["finish_reason"] in ("stop", "length")
    assert status == 400 and "roles" in refusal["error"]["message"]


def test_the_verbs_are_reachable(adapter, capsys):
    from evoltune.cli import main

    assert main(["chat", str(adapter), "--once", "Add 1 and 2.", "--max-tokens", "4"]) == 0
    assert main(["merge", str(adapter.parent), "--out", str(adapter.parent / "x")]) == 2
    assert "nothing to merge" in capsys.readouterr().err
