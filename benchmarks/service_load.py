"""A verifier service under mixed load at twice its capacity, attack programs included: answers, memory, queue and verdicts.

    python benchmarks/service_load.py --seconds 600
    python benchmarks/service_load.py --seconds 8 --json

Starts `evoltune serve-verifier` (code and math, isolation L3), measures what it answers with a few callers in a closed
loop, then sends twice that rate at fixed times, whether or not they are answered. Half of the requests are single maths
answers, a quarter batches of them, a quarter programs: right ones, wrong ones, and those of tests/sandbox/attacks. Exit 1 when
a bar is missed: every request answered, no 5xx but 504, accepted requests within the time limit + 1 s (99th percentile),
right verdicts on the rows with a known one, memory and queue flat, exit 0 after SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import resource
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import aiohttp

ATTACKS = Path(__file__).parents[1] / "tests/sandbox/attacks/programs.json"
ATTACK_TESTS = "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(10, -4) == 6\n"
GROWTH_MB = 48
"""MiB that the server's own process may grow between the second and the last quarter."""


def attacks() -> list[dict]:
    """The attack programs with a known outcome, without targets: no canary file, a closed port, a mark that no process has."""
    rows = []
    for row in json.loads(ATTACKS.read_text(encoding="utf-8")):
        text = row["program"].replace("@CANARY@", "/nowhere").replace("@PORT@", "1").replace("@MARK@", "mark")
        if text.startswith("\ufeff"):
            continue  # a byte order mark starts a file, not a block in an answer
        expected = row["expected"] if row["expected"] in ("pass", "any") else "not pass"
        rows.append({"id": expected, "answer": f"```python\n{text}\n```", "tests": ATTACK_TESTS, "entry_point": "f"})
    return rows


def maths(draw: random.Random) -> dict:
    a, b = draw.randrange(1, 10**6), draw.randrange(1, 999)
    right = draw.random() < 0.5
    return {
        "id": "pass" if right else "fail",
        "answer": f"So it is $\\boxed{{\\frac{{{a * 3}}}{{{b * 3}}}}}$.",
        "reference": f"{a if right else a + 1}/{b}",
    }


def code(draw: random.Random) -> dict:
    n, right = draw.randrange(10**6), draw.random() < 0.5
    body = f"```python\ndef f(x):\n    return x + {n}\n```"
    return {"id": "pass" if right else "fail", "answer": body, "tests": f"assert f(1) == {n + 1 + (not right)}"}


def request(draw: random.Random, hostile: list[dict]) -> dict:
    """One request body. Each row's id is the verdict that it must get."""
    kind = draw.random()
    if kind < 0.5:
        return {"domain": "math", "rows": [maths(draw)]}
    if kind < 0.75:
        return {"domain": "math", "rows": [maths(draw) for _ in range(16)]}
    if kind < 0.9:
        return {"domain": "code", "rows": [code(draw) for _ in range(draw.randrange(1, 9))]}
    return {"domain": "code", "rows": [draw.choice(hostile)]}


class Load:
    """A caller of the service that counts answers."""

    def __init__(self, url: str, token: str, session: aiohttp.ClientSession) -> None:
        self.url, self.session = url, session
        self.headers = {"Authorization": f"Bearer {token}"}
        self.statuses: Counter[str] = Counter()
        self.seconds: list[float] = []
        self.wrong: Counter[str] = Counter()
        self.rows = 0

    async def send(self, body: dict) -> None:
        began = time.monotonic()
        try:
            async with self.session.post(f"{self.url}/v1/verify", json=body, headers=self.headers) as reply:
                answer = await reply.json()
                status = reply.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.statuses[type(error).__name__] += 1
            return
        self.statuses[str(status)] += 1
        if status in (200, 504):
            self.seconds.append(time.monotonic() - began)
        for row in answer.get("verdicts", ()):
            self.rows += 1
            passed = row["status"] == "pass"
            if row["id"] != "any" and passed != (row["id"] == "pass"):
                self.wrong[f"{row['id']} got {row['status']}: {row['reason'][:60]}"] += 1

    async def gauge(self, name: str) -> float:
        async with self.session.get(f"{self.url}/metrics", headers=self.headers) as reply:
            text = await reply.text()
        return sum(float(v) for v in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE))


async def capacity(load: Load, draw: random.Random, hostile: list[dict], seconds: float) -> float:
    """Requests per second of 8 callers that each wait for an answer before the next request."""
    end, done = time.monotonic() + seconds, 0

    async def caller() -> None:
        nonlocal done
        while time.monotonic() < end:
            await load.send(request(draw, hostile))
            done += 1

    began = time.monotonic()
    await asyncio.gather(*(caller() for _ in range(8)))
    return done / (time.monotonic() - began)


async def overload(load: Load, args: argparse.Namespace, rate: float, draw: random.Random, pid: int) -> dict:
    """Sends requests at fixed times; samples the server's memory and queue four times a second."""
    hostile, tasks = attacks(), set()
    memory: list[float] = []
    queue: list[float] = []
    began, sent = time.monotonic(), 0
    sampled = began
    while (now := time.monotonic()) < began + args.seconds:
        while sent < (now - began) * rate:
            task = asyncio.create_task(load.send(request(draw, hostile)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            sent += 1
        if now >= sampled:
            sampled = now + 0.25
            memory.append(resident_mb(pid))
            queue.append(await load.gauge("evoltune_waiting_rows"))
        await asyncio.sleep(0.01)
    await asyncio.gather(*tasks)
    return {"sent": sent, "memory": memory, "queue": queue, "seconds": time.monotonic() - began}


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def start(args: argparse.Namespace, token: str) -> tuple[subprocess.Popen, str]:
    command = [sys.executable, "-m", "evoltune", "serve-verifier", "--domain", "code,math", "--port", "0",
               "--workers", str(args.workers), "--program-s", "1", "--memory-mb", "512", "--require-isolation", "L3",
               "--timeout-s", str(args.timeout_s), "--queue-rows", str(args.queue_rows)]  # fmt: skip
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))
    with tempfile.TemporaryFile("w+") as log:
        env = os.environ | {"EVOLTUNE_SERVICE_TOKEN": token}
        process = subprocess.Popen(command, env=env, stderr=log)
        for _ in range(600):
            log.seek(0)
            if found := re.search(r"http://\S+?:\d+", log.read()):
                return process, found[0]
            if process.poll() is not None:
                break
            time.sleep(0.1)
        log.seek(0)
        raise SystemExit(f"the service did not start: {log.read()}")


async def measure(args: argparse.Namespace) -> dict:
    token, draw = secrets.token_hex(16), random.Random(args.seed)
    process, url = start(args, token)
    try:
        timeout = aiohttp.ClientTimeout(total=args.timeout_s + 60)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            calm = Load(url, token, session)
            rate = await capacity(calm, draw, attacks(), min(args.seconds, max(3.0, args.seconds / 10)))
            load = Load(url, token, session)
            run = await overload(load, args, args.times * rate, draw, process.pid)
        alive = process.poll() is None
        process.send_signal(signal.SIGTERM)
        code_ = await asyncio.to_thread(process.wait, args.timeout_s + 60)
    finally:
        process.kill()
    return figures(args, rate, calm, load, run) | {"alive": alive, "exit": code_}


def figures(args: argparse.Namespace, rate: float, calm: Load, load: Load, run: dict) -> dict:
    quarter = max(1, len(run["memory"]) // 4)
    early = statistics.median(run["memory"][quarter : 2 * quarter])
    late = statistics.median(run["memory"][-quarter:])
    ranked = sorted(load.seconds)
    return {
        "capacity_requests_s": round(rate, 1),
        "sent_requests_s": round(run["sent"] / args.seconds, 1),
        "sent": run["sent"],
        "statuses": dict(load.statuses),
        "judged_rows_s": round(load.rows / run["seconds"], 1),
        "accepted_p50_s": round(ranked[len(ranked) // 2], 3),
        "accepted_p99_s": round(ranked[int(len(ranked) * 0.99)], 3),
        "accepted_max_s": round(ranked[-1], 3),
        "waiting_rows_max": max(run["queue"]),
        "memory_mb": {"second_quarter": round(early, 1), "last_quarter": round(late, 1), "max": round(max(run["memory"]), 1)},
        "wrong": dict(calm.wrong + load.wrong),
    }  # fmt: skip


def missed(args: argparse.Namespace, f: dict) -> list[str]:
    """The bars that these figures miss."""
    memory = f["memory_mb"]
    bars = {
        "every request is answered": set(f["statuses"]) <= {"200", "429", "504"},
        "some load is refused, most capacity used": f["statuses"].get("200", 0) > 0,
        "p99 of accepted requests": f["accepted_p99_s"] <= args.timeout_s + 1,
        "bounded queue": f["waiting_rows_max"] <= 2 * args.queue_rows,
        "flat memory": memory["last_quarter"] - memory["second_quarter"] <= GROWTH_MB,
        "right verdicts": not f["wrong"],
        "alive, and exit 0 after SIGTERM": f["alive"] and f["exit"] == 0,
    }
    return [bar for bar, held in bars.items() if not held]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--times", type=float, default=2.0, help="load, as a multiple of the measured capacity")
    parser.add_argument("--workers", type=int, default=1, help="worker processes a domain")
    parser.add_argument("--timeout-s", type=float, default=20.0, help="the service's time limit of a request")
    parser.add_argument("--queue-rows", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = asyncio.run(measure(args))
    misses = missed(args, found)
    if args.json:
        print(json.dumps(found | {"missed": misses}))
    else:
        for name, value in found.items():
            print(f"{name:22} {value}")
        print("missed: " + (", ".join(misses) or "none"))
    return int(bool(misses))


if __name__ == "__main__":
    sys.exit(main())
