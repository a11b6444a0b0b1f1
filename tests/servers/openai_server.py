"""A fake OpenAI-compatible chat server on loopback that misbehaves on demand, in a process of its own.

    with serving(latency_s=0.2) as server:        # or the fixture: server = openai_server(latency_s=0.2)
        ... f"{server.url}/v1" ...; server.stats()["ok"]

A reply depends on the request alone (its seed and last message), so two runs can be compared; "depth 1" in a prompt becomes
"depth 2" in the new instruction. Options, all off by default:

  latency_s: delay of each reply
  rate_429, rate_500, rate_malformed, rate_dropped, rate_null, rate_truncated, rate_slow (with slow_s): rates of faults
  once: each request body meets at most one fault
  limit_per_s: a token bucket that holds `burst` (default: one second's worth); headers: also send x-ratelimit-*
  die_after: drops every connection after this many calls
  error: this HTTP status for every call, with `message` and `code`
  no_n: answers one choice whatever n is
  key: the bearer token that must be sent
  judge: compares answers by a rule: fair (an answer is worth the number in it), first (the first answer always wins),
    nonsense (never readable), shy (nonsense at temperature 0, fair above); any other prompt gets "I say 5."
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import re
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from aiohttp import web

WORDS = (
    "river castle violin engine forest planet bridge garden mirror ladder window kettle anchor lantern compass "
    "harbour orchard marble falcon timber copper velvet saddle beacon meadow cavern pepper rocket basket hammer"
).split()
FAULTS = ("429", "500", "malformed", "dropped", "null", "truncated", "slow")


@dataclass(frozen=True)
class RunningServer:
    """A server that `serving` started; `url` has no path."""

    url: str

    def stats(self) -> dict:
        """Counts so far: requests, ok, duplicates (the same request served again), most_in_flight, span_s, each fault."""
        with urllib.request.urlopen(f"{self.url}/stats") as reply:
            return Counter(json.load(reply))


@contextmanager
def serving(**options) -> Iterator[RunningServer]:
    """Starts a server, and stops it at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, __file__, json.dumps(options)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield RunningServer(process.stdout.readline().strip())
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


# ---- replies


def text_of(body, judge=""):
    """The reply to a request body: an instruction, a judgement or an answer, by the words of the prompt."""
    prompt = body["messages"][-1]["content"]
    if judge:
        return judgement(judge, prompt, body.get("temperature", 1))
    rng = random.Random(f"{body.get('seed')}/{prompt}")
    if "Equal, Not equal" in prompt:
        return rng.choice(["Not equal"] * 9 + ["Equal"])
    if "number only" in prompt:
        return str(rng.randint(1, 10))
    pick = rng.sample(WORDS, 9)
    if "Answer:" in prompt:
        return f"The {pick[0]} goes with the {pick[1]}, and {rng.randrange(1000)} is the number."
    depth = re.search(r"depth (\d+)", prompt)
    deeper = f" at depth {int(depth[1]) + 1}" if depth else ""
    return f"Explain how the {' '.join(pick[:5])} relate to a {pick[5]} of size {rng.randrange(10**6)} in practice{deeper}."


def judgement(rule, prompt, temperature):
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


def worth(answer):
    found = re.findall(r"\d+", answer)
    return int(found[-1]) if found else 1


# ---- the server process


class Server:
    def __init__(self, options):
        self.options = options
        self.stats = Counter()
        self.ok = Counter()
        self.faulted = set()
        self.rng = random.Random(options.get("seed", 1))
        self.flying = self.most = 0
        rate = options.get("limit_per_s", 0)
        self.tokens = options.get("burst", rate)
        self.at = time.monotonic()
        self.times = []

    def fault(self, key):
        if self.options.get("once") and key in self.faulted:
            return None
        x = self.rng.random()
        for name in FAULTS:
            x -= self.options.get(f"rate_{name}", 0)
            if x < 0:
                self.faulted.add(key)
                return name
        return None

    def over_limit(self):
        rate = self.options.get("limit_per_s", 0)
        if not rate:
            return False
        now = time.monotonic()
        self.tokens = min(self.options.get("burst", rate), self.tokens + (now - self.at) * rate)
        self.at = now
        if self.tokens < 1:
            return True
        self.tokens -= 1
        return False

    async def chat(self, request):
        raw = await request.read()
        self.stats["requests"] += 1
        self.flying += 1
        self.most = max(self.most, self.flying)
        try:
            return await self.reply(request, raw)
        finally:
            self.flying -= 1

    async def reply(self, request, raw):
        o = self.options
        if o.get("key") and request.headers.get("Authorization") != f"Bearer {o['key']}":
            sent = request.headers.get("Authorization")
            return web.json_response({"error": {"message": f"Incorrect API key: {sent}"}}, status=401)
        if o.get("die_after") and self.stats["requests"] > o["die_after"]:
            request.transport.abort()
            return web.Response()
        if o.get("error"):
            return web.json_response(
                {"error": {"message": o.get("message", "no"), "code": o.get("code", "")}}, status=o["error"]
            )
        key = hashlib.sha256(raw).hexdigest()[:16]
        if self.over_limit():
            self.stats["429"] += 1
            return web.json_response(
                {"error": {"message": "slow down"}}, status=429, headers=self.limit_headers()
            )
        fault = self.fault(key)
        if fault:
            self.stats[fault] += 1
        if fault == "429":
            return web.json_response(
                {"error": {"message": "slow down"}}, status=429, headers={"Retry-After": "0.05"}
            )
        if fault == "500":
            return web.Response(text="oops", status=500)
        await asyncio.sleep(o.get("slow_s", 4.0) if fault == "slow" else o.get("latency_s", 0))
        if fault == "dropped":
            request.transport.abort()
            return web.Response()
        body = json.loads(raw)
        payload = self.payload(body, null=fault == "null")
        if fault == "malformed":
            return web.Response(
                text='{"choices": [{"message": {"content": "half', content_type="application/json"
            )
        if fault == "truncated":
            return web.Response(body=payload[: len(payload) // 2], content_type="application/json")
        if fault is None or fault == "slow":
            self.ok[key] += 1
            self.times.append(time.monotonic())
        return web.Response(body=payload, content_type="application/json", headers=self.limit_headers())

    def limit_headers(self):
        rate = self.options.get("limit_per_s", 0)
        if not (rate and self.options.get("headers")):
            return {}
        used = self.options.get("burst", rate) - self.tokens
        return {
            "x-ratelimit-limit-requests": str(rate * 60),
            "x-ratelimit-remaining-requests": str(int(rate * 60 - used)),
            "x-ratelimit-reset-requests": f"{max(1, round(1000 * used / rate))}ms",
        }

    def payload(self, body, null):
        n = 1 if self.options.get("no_n") else body.get("n", 1)
        judge = self.options.get("judge", "")
        texts = [text_of({**body, "seed": body.get("seed", 0) + i}, judge) for i in range(n)]
        choices = [
            {
                "index": i,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": None if null else t},
            }
            for i, t in enumerate(texts)
        ]
        prompt = sum(len(m["content"].split()) for m in body["messages"])
        usage = {"prompt_tokens": prompt, "completion_tokens": sum(len(t.split()) for t in texts)}
        return json.dumps({"choices": choices, "usage": usage}).encode()

    async def complete_text(self, request):
        """The older /completions, which echoes the end of its prompt."""
        prompt = (await request.json())["prompt"]
        choice = {"index": 0, "finish_reason": "stop", "text": f"completed: {prompt[-40:]}"}
        return web.json_response({"choices": [choice]})

    async def report(self, request):
        span = self.times[-1] - self.times[0] if len(self.times) > 1 else 0.0
        return web.json_response(
            {**self.stats, "ok": sum(self.ok.values()), "duplicates": sum(n - 1 for n in self.ok.values()),
             "most_in_flight": self.most, "span_s": span}
        )  # fmt: skip


async def main():
    server = Server(json.loads(sys.argv[1]) if len(sys.argv) > 1 else {})
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/v1/chat/completions", server.chat)
    app.router.add_post("/v1/completions", server.complete_text)
    app.router.add_get("/stats", server.report)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", server.options.get("port", 0), backlog=2048)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{port}", flush=True)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    try:
        import uvloop

        uvloop.install()
    except ImportError:
        pass
    asyncio.run(main())
