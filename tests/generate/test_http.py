"""The backend for OpenAI-compatible servers, against a loopback server."""

from __future__ import annotations

import pytest

from evoltune.errors import EvoltuneError
from evoltune.generate.completions import finished_samples, generate
from evoltune.generate.http import http_engine
from evoltune.generate.job import GenerationSettings, ModelSource, SampleRequest


def sample(i=0):
    return SampleRequest(suite="s", problem=f"p{i}", sample=0, prompt=f"Question {i}?")


def test_a_server_answers_chats_and_raw_prompts(tmp_path, openai_server):
    server = openai_server(judge="fair")
    weights = ModelSource(model="m", endpoint=f"{server.url}/v1", fingerprint="f")
    chat = GenerationSettings(model="m", weights="f", template="chat", engine="http")
    raw = GenerationSettings(model="m", weights="f", template="alpaca", engine="http")
    generate([sample(i) for i in range(5)], chat, weights, tmp_path / "o.jsonl")
    proof = generate([sample()], raw, weights, tmp_path / "o.jsonl")
    assert {row["text"] for row in finished_samples(tmp_path / "o.jsonl", chat.key).values()} == {"I say 5."}
    text = finished_samples(tmp_path / "o.jsonl", raw.key)["p0", 0]["text"]
    assert text.startswith("completed: ") and text.endswith("### Response:") and proof["rendered_by"] == "evoltune"


def test_a_server_that_is_not_there_is_one_line(tmp_path):
    weights = ModelSource(model="m", endpoint="http://127.0.0.1:9/v1", fingerprint="f")
    for template in ("chat", "alpaca"):
        settings = GenerationSettings(model="m", weights="f", template=template, engine="http")
        with pytest.raises(EvoltuneError, match=r"127\.0\.0\.1:9") as caught:
            http_engine([[sample()]], settings, weights, lambda request, completion: None)
        assert "\n" not in str(caught.value) and caught.value.exit_code == 1
