"""Each parameter that a server refuses, by its words alone, is found out with hundreds of calls waiting, and no call is lost."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from evoltune import recipe as recipes
from evoltune.teacher.dialects import MAX_TOKENS, SEARCH_ORDER, SYSTEM
from evoltune.teacher.protocol import make_request
from evoltune.teacher.stack import open_teacher

CALLS = CONCURRENCY = 256


@asynccontextmanager
async def serving(refused, failures=0, refuses=lambda number: True):
    """A server of which the requests with these numbers refuse one parameter; its first `failures` requests end in 502. Yields (address, statuses so far)."""
    statuses = []

    async def chat(request):
        body = await request.json()
        sent = {*body, *(SYSTEM for m in body["messages"] if m["role"] == SYSTEM)}
        statuses.append(502 if len(statuses) < failures else 400 if refused in sent and refuses(len(statuses)) else 200)
        if statuses[-1] == 502:
            return web.Response(status=502, text="<html>502 Bad Gateway</html>")
        if statuses[-1] == 400:
            return web.json_response({"error": {"message": f"{refused} is not for this model"}}, status=400)
        await asyncio.sleep(0.01)
        texts = [f"{body['messages'][-1]['content']} {i}" for i in range(body.get("n", 1))]
        choices = [{"index": i, "message": {"content": text}, "finish_reason": "stop"} for i, text in enumerate(texts)]
        return web.json_response({"choices": choices, "usage": {"prompt_tokens": 5, "completion_tokens": 5}})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v1", statuses
    finally:
        await runner.cleanup()


async def asked(refused, n=1, failures=0):
    """(replies, statuses) of calls that all wait at once and send every parameter that there is."""
    async with serving(refused, failures) as (url, statuses):
        config = recipes.Teacher(
            kind="http", model="m", concurrency=CONCURRENCY, endpoints=(recipes.Endpoint(url=url),), stop=("END",),
            frequency_penalty=0.5,
        )  # fmt: skip
        async with open_teacher(config) as teacher:
            requests = [
                make_request(config, [("system", "Be short."), ("user", f"Tell {i}.")], purpose="answer", seed=i, n=n)
                for i in range(CALLS)
            ]
            return await asyncio.gather(*map(teacher.complete, requests)), statuses


@pytest.mark.parametrize("refused", [name for name in SEARCH_ORDER if name != "n"])
def test_a_refused_parameter_is_left_out_before_the_other_calls_leave(refused):
    replies, statuses = asyncio.run(asked(refused))
    assert len({reply.texts for reply in replies}) == CALLS
    assert statuses.count(400) <= 2  # the request that goes alone, and its probe
    assert len(statuses) <= CALLS + 3


def test_refused_samples_are_asked_one_by_one():
    replies, statuses = asyncio.run(asked("n", n=2))
    assert all(len(reply.texts) == 2 for reply in replies)
    assert (statuses.count(400) <= 2, len(statuses) <= 2 * CALLS + 3) == (True, True)


@pytest.mark.parametrize("refused", ["seed", MAX_TOKENS])
def test_failures_of_a_gateway_teach_nothing_and_what_follows_is_learnt(refused):
    replies, statuses = asyncio.run(asked(refused, failures=3))
    assert len({reply.texts for reply in replies}) == CALLS
    assert statuses.count(400) <= 4


def test_a_parameter_that_one_server_behind_a_balancer_refuses_costs_no_row():
    async def main():
        async with serving("seed", refuses=lambda number: number % 2 == 0) as (url, statuses):
            config = recipes.Teacher(kind="http", model="m", endpoints=(recipes.Endpoint(url=url),))
            async with open_teacher(config) as teacher:
                for i in range(6):
                    await teacher.complete(make_request(config, f"Tell {i}.", purpose="answer", seed=i))
        return statuses

    assert asyncio.run(main()) == [400, 200, 200, 200, 200, 200, 200, 200]  # refused, the probe, and as it was wanted
