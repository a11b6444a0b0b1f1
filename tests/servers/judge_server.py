"""An OpenAI-compatible server that judges by a rule: `python judge_server.py RULE`. Prints its URL, serves until stdin closes.

Rules: fair (an answer is worth the number in it), first (the first answer always wins), nonsense (never readable), shy
(nonsense at temperature 0, fair at the second try). Requests that are no judging prompt get "I say 5." GET /count: calls.
"""

import asyncio
import json
import re
import sys

from aiohttp import web

CALLS = 0


def worth(text):
    found = re.findall(r"\d+", text)
    return int(found[-1]) if found else 1


def verdict(rule, prompt, temperature):
    blocks = re.split(r"\[Answer \w+\]\n", prompt.partition("[End of the answers]")[0])[1:]
    if not blocks:
        return "I say 5."
    if rule == "nonsense" or (rule == "shy" and temperature == 0):
        return "Both are lovely, 11 out of 10, thank you."
    points = [9, *[2] * (len(blocks) - 1)] if rule == "first" else [worth(block) for block in blocks]
    if "TIE" in prompt:
        a, b = points[:2]
        return "I weighed them.\n**" + ("A" if a > b else "B" if b > a else "TIE") + "**"
    if "Rank their answers" in prompt:
        order = sorted(set(points), reverse=True)
        return " ".join(str(order.index(p) + 1) for p in points) + "\nThe best first."
    return f"{points[0]} {points[1]}\nBecause of the number in it."


async def main():
    rule = sys.argv[1]

    async def chat(request):
        global CALLS
        CALLS += 1
        body = await request.json()
        text = verdict(rule, body["messages"][-1]["content"], body.get("temperature", 1))
        usage = {"prompt_tokens": 10, "completion_tokens": 5}
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        return web.json_response({"choices": [choice], "usage": usage})

    async def completions(request):
        body = await request.json()
        choice = {"index": 0, "finish_reason": "stop", "text": "completed: " + body["prompt"][-40:]}
        return web.json_response({"choices": [choice]})

    async def count(request):
        return web.json_response(CALLS)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_post("/v1/completions", completions)
    app.router.add_get("/count", count)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(json.dumps(f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v1"), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
