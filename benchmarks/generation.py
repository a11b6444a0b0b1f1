"""Figures of generation: throughput against Little's limit, CPU, memory and faults, beside distilabel; and a long run.

    python benchmarks/generation.py                       # everything; distilabel is installed into its own venv
    python benchmarks/generation.py --only faults --passes 3
    python benchmarks/generation.py --only simulate --calls 624000

500 seeds x (2 evolutions + 2 answers) = 2,000 calls against a loopback server that takes 200 ms a call. Each arm runs in its
own process, the passes are interleaved, and medians are shown. The limit is concurrency / latency; distilabel keeps more
calls in flight than its batch size (two answers a row), which is shown. CPU includes start-up and imports from compiled
modules, as in an installed package; the server's CPU is not counted.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests" / "fixtures"))
PEERS = ROOT / ".venv-peers" / "generation"
REQUIREMENTS = ("distilabel[openai]==1.5.3", "requests")  # it imports requests without declaring it
LATENCY_S = 0.2
FAULTS = {"rate_429": 0.05, "rate_500": 0.03, "rate_malformed": 0.01, "rate_dropped": 0.02, "rate_null": 0.01,
          "rate_slow": 0.01, "slow_s": 4.0, "once": True}  # fmt: skip
WORDS = (
    "river castle violin engine forest planet bridge garden mirror ladder window kettle anchor lantern compass "
    "harbour orchard"
).split()


def _peak_mb():
    """This process's own peak: ru_maxrss includes the memory of the parent at the fork."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="throughput,faults,simulate")
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument("--calls", type=int, default=60_000, help="calls of the simulated run")
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--venv", type=Path, default=PEERS)
    parser.add_argument("--arm", nargs=4, metavar=("NAME", "URL", "CONCURRENCY", "SEEDS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.arm:
        ARMS[args.arm[0]](args.arm[1], int(args.arm[2]), int(args.arm[3]))
        return
    wanted = args.only.split(",")
    if "throughput" in wanted:
        throughput(args)
    if "faults" in wanted:
        faults(args)
    if "simulate" in wanted:
        simulate(args.calls)


# ---- the table of throughput


def throughput(args: argparse.Namespace) -> None:
    """Interleaved passes of each arm; prints medians and the ratio of CPU to the peer's."""
    arms = [("evoltune", 50), ("evoltune", 256)]
    arms += [] if args.no_peer else [("distilabel", 50), ("distilabel", 250)]
    found: dict[tuple[str, int], list[dict]] = {arm: [] for arm in arms}
    for number in range(args.passes):
        for arm in arms:
            result = measure(args, *arm, args.seeds, {"latency_s": LATENCY_S})
            found[arm].append(result)
            print(f"pass {number + 1}: {arm[0]} {arm[1]}: {result}", file=sys.stderr)
    calls = args.seeds * 4
    print(
        f"\n{calls} calls at {LATENCY_S * 1000:.0f} ms, median of {args.passes} passes (load {os.getloadavg()[0]:.1f})"
    )
    print(f"{'':24} {'req/s':>8} {'% of limit':>10} {'in flight':>9} {'CPU s/1k':>9} {'MB':>6} {'rows':>6}")
    cpu = {}
    for (name, concurrency), results in found.items():
        done = [r for r in results if r["span_s"]]
        if not done:
            print(f"{name + ' ' + str(concurrency):24} no pass finished")
            continue
        rate = statistics.median(r["ok"] / r["span_s"] for r in done)
        cpu[name, concurrency] = statistics.median(r["cpu_s"] / r["ok"] * 1000 for r in done)
        print(
            f"{name + ' ' + str(concurrency):24} {rate:8.0f} {100 * rate * LATENCY_S / concurrency:10.0f} "
            f"{max(r['most_in_flight'] for r in done):9} {cpu[name, concurrency]:9.2f} "
            f"{statistics.median(r['mb'] for r in done):6.0f} {min(r['rows'] for r in done):6}"
        )
    for ours, theirs in ((("evoltune", 50), ("distilabel", 50)), (("evoltune", 256), ("distilabel", 250))):
        if ours in cpu and theirs in cpu:
            print(f"CPU of {theirs[0]} {theirs[1]} / {ours[0]} {ours[1]}: {cpu[theirs] / cpu[ours]:.1f}x")


def faults(args: argparse.Namespace) -> None:
    """Complete rows of 300 seeds when one call in eight meets a fault (each call at most one)."""
    print(f"\nfaults {FAULTS}")
    for name in ("evoltune",) if args.no_peer else ("evoltune", "distilabel"):
        result = measure(args, name, 50, 300, {"latency_s": 0.02, **FAULTS})
        print(
            f"{name:12} complete rows {result['rows']}/300, exit {result['exit']}, CPU {result['cpu_s']:.1f} s, "
            f"duplicate completions {result['duplicates']}"
        )


def measure(args: argparse.Namespace, name: str, concurrency: int, seeds: int, options: dict) -> dict:
    """Runs one arm in its own process against a new server."""
    from openai_server import serving  # here, so that the arms do not pay for the import

    python = str(args.venv / "bin" / "python") if name == "distilabel" else sys.executable
    if name == "distilabel" and not Path(python).exists():
        import venv

        print(f"installing {', '.join(REQUIREMENTS)} into {args.venv}", file=sys.stderr)
        venv.create(args.venv, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *REQUIREMENTS], check=True)
    with serving(**options) as server, tempfile.TemporaryDirectory() as home:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [python, __file__, "--arm", name, server.url, str(concurrency), str(seeds)]
        try:
            run = subprocess.run(
                command,
                cwd=home,
                env={k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {"HOME": home},
                capture_output=True,
                text=True,
                timeout=240,
            )
            code, out = run.returncode, run.stdout
        except subprocess.TimeoutExpired:
            code, out = -1, ""
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        stats = server.stats()
    lines = [line for line in out.splitlines() if line.startswith("{")]
    reported = json.loads(lines[-1]) if lines else {"rows": 0, "mb": 0}
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    keys = ("ok", "span_s", "duplicates", "most_in_flight")
    return {k: stats[k] for k in keys} | reported | {"cpu_s": round(used, 2), "exit": code}


def seed_text(i: int) -> str:
    return f"Describe the {' and the '.join(random.Random(i).sample(WORDS, 3))} of town {i} in plain words."


# ---- the arms


def ours(url: str, concurrency: int, seeds: int) -> None:
    """The real loop with journal, ledger and elimination rules; without the equality question, which the peer does not ask."""
    from evoltune import recipe as recipes
    from evoltune.evolve.loop import evolve
    from evoltune.run.store import Store

    recipe = recipes.Recipe(
        domain="towns",
        teacher=recipes.Teacher(
            kind="http", model="m", concurrency=concurrency, timeout_s=3.0, endpoints=(recipes.Endpoint(url=url),)
        ),
        evolve=recipes.Evolve(rounds=2, equal_check=False),
    )
    with Store.open(Path("run")) as store:
        step = evolve(recipe, towns(seeds), store)
        ledger = store.check_ledger(step)
    complete = (ledger["kept"] - seeds) / 2  # both rounds of every seed, when nothing was lost
    print(json.dumps({"rows": complete, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))


def towns(seeds: int):
    from evoltune.domain import Domain, Operator
    from evoltune.record import Answer, Record, Task, Verdict

    def records():
        for i in range(seeds):
            task = Task(instruction=seed_text(i), name=str(i))
            yield Record(domain="towns", task=task, answers=(Answer(text="Old.", model="seed"),))

    names = ("constraints", "deepen", "concretise", "reasoning", "breadth")
    return Domain(
        name="towns",
        seeds=records,
        operators=tuple(Operator(name=n, template=f"Rewrite the task ({n}):\n{{instruction}}") for n in names),
        verify=lambda task, candidate, context: Verdict(status="unverifiable"),
        answer_prompt="Answer: {instruction}",
    )


def theirs(url: str, batch: int, seeds: int) -> None:
    """distilabel's EvolInstruct with answers for every evolution, in a pipeline, from its own documentation's pattern."""
    from distilabel.models import OpenAILLM
    from distilabel.pipeline import Pipeline
    from distilabel.steps import LoadDataFromDicts
    from distilabel.steps.tasks import EvolInstruct

    rows = [{"instruction": seed_text(i)} for i in range(seeds)]
    with Pipeline(name="bench") as pipeline:
        load = LoadDataFromDicts(data=rows, batch_size=batch)
        llm = OpenAILLM(model="m", base_url=f"{url}/v1", api_key="x", max_retries=6, timeout=3)
        evolve = EvolInstruct(
            llm=llm, num_evolutions=2, store_evolutions=True, generate_answers=True, input_batch_size=batch
        )
        load >> evolve
    found = pipeline.run(use_cache=False)["default"]["train"]
    complete = sum(
        bool(r["evolved_instructions"]) and all(r["evolved_instructions"]) and bool(r["answers"]) and all(r["answers"])
        for r in found
    )
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(
        json.dumps({"rows": complete, "mb": max(children, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) // 1024})
    )


ARMS = {"evoltune": ours, "distilabel": theirs}


# ---- a long simulated run


class InProcess:
    """A teacher without network or latency; records the CPU time of each tenth of the planned calls."""

    def __init__(self, planned: int) -> None:
        self.calls = self.text_bytes = 0
        self.planned, self.tenths = planned, [time.process_time()]

    async def complete(self, request):
        from evoltune.run.store import Usage
        from evoltune.teacher.protocol import Reply

        self.calls += 1
        if self.calls % (self.planned // 10) == 0:
            self.tenths.append(time.process_time())
        rng = random.Random(request.seed)
        text = "Not equal" if request.purpose == "equal" else f"{' '.join(rng.choices(WORDS, k=60))} {request.seed}."
        self.text_bytes += len(text) + sum(len(c) for _, c in request.messages)
        return Reply(texts=(text,), usage=Usage(prompt_tokens=100, completion_tokens=60))


def simulate(calls: int) -> dict:
    """calls/12 seeds x 4 rounds x 3 calls, as in the paper: CPU of each tenth, peak memory, bytes a call in the store."""
    from evoltune import recipe as recipes
    from evoltune.evolve.loop import evolve
    from evoltune.run.store import Store
    from evoltune.teacher.journal import Journalled
    from evoltune.teacher.stack import ConcurrencyLimited

    recipe = recipes.Recipe(domain="towns", evolve=recipes.Evolve(rounds=4))
    teacher = InProcess(calls)
    with tempfile.TemporaryDirectory() as folder:
        with Store.open(Path(folder)) as store:
            limited = ConcurrencyLimited(teacher, 32)
            step = evolve(recipe, towns(calls // 12), store, teacher=Journalled(limited, store))
            store.check_ledger(step)
        size = sum(p.stat().st_size for p in Path(folder).iterdir())
    tenths = [b - a for a, b in pairwise(teacher.tenths)]
    result = {
        "calls": teacher.calls,
        "cpu_s_per_1k": 1000 * (time.process_time() - teacher.tenths[0]) / teacher.calls,
        "last_tenth_to_first": tenths[-1] / tenths[0],
        "peak_mb": _peak_mb(),
        "store_bytes_per_call_beyond_texts": (size - teacher.text_bytes) / teacher.calls,
    }
    print(
        "\nsimulated: " + ", ".join(f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in result.items())
    )
    return result


if __name__ == "__main__":
    if importlib.util.find_spec("evoltune") is None and "distilabel" not in sys.argv:
        sys.exit("install evoltune first: pip install -e .")
    main()
