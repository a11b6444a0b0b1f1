"""The backend for OpenAI-compatible servers, against a loopback server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from openai_server import serving

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
            http_engine([[sample()]], settings, weights, lambda request, completion: None, tmp_path)
        assert "\n" not in str(caught.value) and caught.value.exit_code == 1


SAMPLES = 60


def started(folder, url):
    rows = folder / "rows.jsonl"
    rows.write_text(
        "".join(json.dumps({"instruction": f"Question {i}?", "reference": "1"}) + "\n" for i in range(SAMPLES))
    )
    command = ["-m", "evoltune", "eval", "--model", "m", "--engine", "http", "--endpoint", f"{url}/v1", "--suite", f"general:{rows}",
               "--out", str(folder / "out"), "--set", "verify.sandbox.require=L0"]  # fmt: skip
    return subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    "ending",
    [
        signal.SIGTERM,
        pytest.param(signal.SIGKILL, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
    ],
)
def test_an_evaluation_that_is_stopped_pays_for_no_reply_twice(tmp_path, ending):
    with serving(latency_s=0.2) as server:
        first = started(tmp_path, server.url)
        begin = time.monotonic()
        while server.stats()["requests"] < 20 and time.monotonic() - begin < 60:
            time.sleep(0.01)
        os.kill(first.pid, ending)
        _, said = first.communicate(timeout=60)
        again = started(tmp_path, server.url)
        _, said = again.communicate(timeout=120)
        assert again.returncode == 0, said
        paid = server.stats()["requests"]
    in_flight = 16 if ending == signal.SIGKILL else 0
    assert SAMPLES <= paid <= SAMPLES + in_flight, said
    assert len((tmp_path / "out" / "rows.jsonl").read_text().splitlines()) == SAMPLES
