"""The OpenAI-compatible server of one checkpoint."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from itertools import pairwise

import pytest

pytest.importorskip("torch")
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer

from evoltune.cli import main
from evoltune.models.chat import open_model
from evoltune.models.server import application

ASK = [{"role": "user", "content": "Add 3 and 6."}]
CHAT, RAW = "/v1/chat/completions", "/v1/completions"


@pytest.fixture(scope="module")
def model(adapter):
    with open_model(adapter) as opened:
        yield opened


@pytest.fixture
def talk(model):
    """talk(coroutine function of a client): what it returns."""

    def run(conversation):
        async def inside():
            async with TestClient(TestServer(application(model, "tiny"))) as client:
                return await conversation(client)

        return asyncio.run(inside())

    return run


def body(**more):
    return {"model": "tiny", "messages": ASK, "max_tokens": 8, "temperature": 0, **more}


def chunks_of(text):
    events = [line.removeprefix("data: ") for line in text.splitlines() if line]
    assert events[-1] == "[DONE]"
    return [json.loads(event) for event in events[:-1]]


def test_an_answer_whole_and_streamed_is_the_same(talk):
    async def conversation(client):
        models = await (await client.get("/v1/models")).json()
        whole = await (await client.post(CHAT, json=body())).json()
        options = {"stream": True, "stream_options": {"include_usage": True}}
        return models, whole, await (await client.post(CHAT, json=body(**options))).text()

    models, whole, streamed = talk(conversation)
    assert [entry["id"] for entry in models["data"]] == ["tiny"]
    text = whole["choices"][0]["message"]["content"]
    assert 0 < whole["usage"]["completion_tokens"] <= 8
    first, *middle, last, usage = chunks_of(streamed)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""} and first["usage"] is None
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in middle) == text
    assert last["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert usage["choices"] == [] and usage["usage"] == whole["usage"]


def test_choices_seeds_stops_and_log_probabilities_are_honoured(talk):
    async def conversation(client):
        async def answer(path=CHAT, **more):
            return await (await client.post(path, json={**body(temperature=1.0, seed=5), **more})).json()

        two, again, other = await answer(n=2), await answer(n=2), await answer(n=2, seed=6)
        logs = await answer(logprobs=True, top_logprobs=3)
        return two, again, other, logs

    two, again, other, logs = talk(conversation)
    texts = [[choice["message"]["content"] for choice in found["choices"]] for found in (two, again, other)]
    assert texts[0] == texts[1] != texts[2] and texts[0][0] != texts[0][1]
    content = logs["choices"][0]["logprobs"]["content"]
    assert len(content) == logs["usage"]["completion_tokens"]
    assert all(len(entry["top_logprobs"]) == 3 and entry["logprob"] <= 0 for entry in content)


def test_raw_prompts_are_completed_as_they_are(talk, model):
    async def conversation(client):
        ids = model.prompt_ids(ASK)
        chat = await (await client.post(CHAT, json=body())).json()
        request = {"prompt": [ids, ids[:5]], "max_tokens": 8, "temperature": 0, "logprobs": 2}
        raw = await (await client.post(RAW, json=request)).json()
        streamed = await (await client.post(RAW, json={"prompt": "Add", "max_tokens": 4, "stream": True})).text()
        return chat, raw, streamed

    chat, raw, streamed = talk(conversation)
    assert raw["choices"][0]["text"] == chat["choices"][0]["message"]["content"] and len(raw["choices"]) == 2
    found = raw["choices"][0]["logprobs"]
    assert (
        len(found["tokens"]) == len(found["token_logprobs"]) == len(found["top_logprobs"]) == len(found["text_offset"])
    )
    assert all("text" in chunk["choices"][0] for chunk in chunks_of(streamed))


@pytest.mark.parametrize(
    ("path", "sent", "status", "code"),
    [
        (CHAT, body(model="gpt-4"), 404, "model_not_found"), (CHAT, body(max_tokens=0), 400, "invalid_value"),
        (CHAT, body(max_tokens=100_000), 400, "context_length_exceeded"), (CHAT, body(messages=[{"role": "user", "content": "x" * 3000}]), 400, "context_length_exceeded"),
        (CHAT, body(messages=[{"role": "assistant", "content": "x"}]), 400, "invalid_value"), (CHAT, "no JSON", 400, "invalid_value"),
        (CHAT, "[" * 100_000, 400, "invalid_value"), (CHAT, '{"messages": [{"role": "user", "content": "\\ud800"}]}', 400, "invalid_value"),
        (CHAT, '{"messages": [{"role": "user", "content": "x"}], "max_tokens": 1e400}', 400, "invalid_value"),
        (CHAT, body(response_format={"type": "json_object"}), 400, "unsupported_parameter"), (RAW, {"prompt": ""}, 400, "invalid_value"),
        (RAW, {"prompt": [10**6]}, 400, "invalid_value"), ("/v1/embeddings", {}, 404, "not_served"),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_served_has_an_error_that_clients_read(talk, path, sent, status, code):
    async def conversation(client):
        how = {"data": sent} if isinstance(sent, str) else {"json": sent}
        response = await client.post(path, **how)
        return response.status, await response.json()

    found, answer = talk(conversation)
    assert (found, answer["error"]["code"]) == (status, code) and answer["error"]["message"]


def test_requests_that_come_together_are_decoded_together(talk, model, monkeypatch):
    from evoltune.models import chat

    sizes, decode = [], chat.decode
    monkeypatch.setattr(chat, "decode", lambda *a, **k: (sizes.append(len(a[2])), decode(*a, **k)))

    async def conversation(client):
        asked = [client.post(CHAT, json=body(max_tokens=20 + i)) for i in range(8)]
        return [await response.json() for response in await asyncio.gather(*asked)]

    answers = talk(conversation)
    # greedy: the same, only longer, apart from the beginning of a character at the end
    texts = [answer["choices"][0]["message"]["content"].rstrip("\ufffd") for answer in answers]
    assert all(longer.startswith(shorter) for shorter, longer in pairwise(texts))
    assert sum(sizes) == 8 and len(sizes) < 8


def test_a_client_that_leaves_during_a_stream_is_no_error_in_the_log(model, caplog):
    """Also where its answer goes on for a moment: the server writes to a connection that is closed."""

    async def conversation():
        runner = web.AppRunner(application(model, "tiny"))  # leaving cancels nothing
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}{CHAT}"
        async with ClientSession() as client:
            response = await client.post(url, json=body(max_tokens=900, stream=True, temperature=1.0))
            await response.content.readany()
            response.close()
            while runner.app["prompts"]:
                await asyncio.sleep(0.01)
        await runner.cleanup()

    asyncio.run(conversation())
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


# ---- as a process


@pytest.fixture
def served(adapter):
    """(process, URL) of `evoltune model serve`."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "evoltune", "model", "serve", str(adapter), "--port", str(port), "--name", "tiny"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    while True:
        assert process.poll() is None
        try:
            urllib.request.urlopen(f"{url}/health", timeout=60).read()
            break
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    yield process, url
    process.kill()
    process.wait()


def test_clients_that_leave_free_the_server_and_a_signal_ends_it(served, adapter, tmp_path):
    process, url = served
    port = int(url.rpartition(":")[2])
    for stream in (True, False) * 3:  # each asks for a very long answer and hangs up
        text = json.dumps(body(max_tokens=900, stream=stream, temperature=1.0)).encode()
        with socket.create_connection(("127.0.0.1", port)) as client:
            head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
            client.sendall(head.encode() + text)
            if stream:
                assert client.recv(100)
    # our own evaluation asks the same server: raw completions, and chats
    for template in ("alpaca", "chat"):
        words = ["--engine", "http", "--endpoint", f"{url}/v1", "--suite", "math/gradeschool-heldout", "--limit", "3"]
        more = ["--template", template, "--set", "eval.max_new_tokens=8", "--out", str(tmp_path / template)]
        assert main(["eval", "--model", "tiny", *words, *more]) == 0
    text = json.dumps(body(max_tokens=900, stream=True, temperature=1.0)).encode()
    with urllib.request.urlopen(
        urllib.request.Request(f"{url}{CHAT}", text, {"Content-Type": "application/json"})
    ) as answer:
        answer.readline()
        process.send_signal(signal.SIGTERM)  # in the middle of an answer
        assert process.wait(60) == 0
