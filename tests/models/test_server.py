"""The OpenAI-compatible server of one checkpoint."""

from __future__ import annotations

import asyncio
import json

import pytest

pytest.importorskip("torch")


ASK = [{"role": "user", "content": "Add 3 and 6."}]


def test_the_server_speaks_the_openai_protocol(adapter):
    from aiohttp.test_utils import TestClient, TestServer

    from evoltune.models.chat import open_model
    from evoltune.models.server import application

    async def talk():
        async with TestClient(TestServer(application(open_model(adapter), "tiny"))) as client:
            models = await (await client.get("/v1/models")).json()
            request = {"model": "tiny", "messages": ASK, "max_tokens": 8, "temperature": 0}
            whole = await (await client.post("/v1/chat/completions", json=request)).json()
            streamed = await (await client.post("/v1/chat/completions", json={**request, "stream": True})).text()
            bad = await client.post("/v1/chat/completions", json={"messages": [{"role": "assistant", "content": "x"}]})
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
