"""What the Ray engine costs compared with this machine's own workers, and a million rows deduplicated on it.

    python benchmarks/scale_out.py                       # 20,000 answer checks, both engines, interleaved
    python benchmarks/scale_out.py --only million        # near-dedup on Ray: groups as local, memory of each worker

Both engines have equal workers; start-up is excluded; medians. Answers are synthetic: fractions, decimals and intervals
of which a third are wrong; no two are equal.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import threading
import time
from pathlib import Path

from curation import instructions

from evoltune.cluster import engine
from evoltune.curate.dedup import near_duplicates
from evoltune.record import Answer, Record, Task
from evoltune.verification.checker import open_checker


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="checks,million")
    parser.add_argument("--checks", type=int, default=20_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    if "checks" in args.only:
        checks(args.checks, args.rounds, args.workers)
    if "million" in args.only:
        million(args.rows)


def answers(count: int) -> list[Record]:
    rng = random.Random(4)
    forms = ("{a}/{b}", "\\frac{{{a}}}{{{b}}}", "[{a}, {b}]", "{a}.{b}", "({a}, {b}, {i})", "\\sqrt{{{a}}} + {b}")
    records = []
    for i in range(count):
        form, a, b = rng.choice(forms), rng.randrange(1, 99), rng.randrange(101, 999)
        answer = form.format(a=a + (i % 3 == 0), b=b, i=i)
        task = Task(instruction=f"Problem {i}", reference=form.format(a=a, b=b, i=i))
        records.append(
            Record(domain="math", task=task, answers=(Answer(text=f"It is \\boxed{{{answer}}}.", model=""),))
        )
    return records


def checks(count: int, rounds: int, workers: int) -> None:
    records = answers(count)
    local = open_checker("math", workers=workers, cache=False)
    with engine.using("ray"), local, open_checker("math", workers=workers, cache=False) as cluster:
        arms, seconds = {"local": local, "ray": cluster}, {"local": [], "ray": []}
        verdicts = {}
        for number in range(rounds + 1):
            for name, checker in arms.items():
                began = time.perf_counter()
                verdicts[name] = [r.answers[0].verdict.status for r in checker.verify(records)]
                if number:  # the first round warms up
                    seconds[name].append(time.perf_counter() - began)
    assert verdicts["ray"] == verdicts["local"]
    ratio = statistics.median(b / a for a, b in zip(seconds["local"], seconds["ray"], strict=True))
    print(f"{count} answer checks, {workers} workers, {rounds} rounds, load {os.getloadavg()[0]:.1f}")
    for name, took in seconds.items():
        print(f"{name:6} {count / statistics.median(took):9.0f} checks/s")
    print(f"ray takes {100 * (ratio - 1):+.0f}% more time than local; {verdicts['ray'].count('pass')} pass under both")


def million(rows: int) -> None:
    texts, _ = instructions(rows)
    here = near_duplicates(texts, 0.7)
    with engine.using("ray"), PeakMemory() as memory:
        began = time.perf_counter()
        there = near_duplicates(texts, 0.7)
        took = time.perf_counter() - began
    print(f"near-dedup of {rows} rows on Ray: {took:.0f} s, {sum(p is not None for p in there)} duplicates, "
          f"groups {'equal to' if here == there else 'NOT equal to'} local's; peak of a worker {memory.peak_mb:.0f} MB")  # fmt: skip


class PeakMemory(threading.Thread):
    """The largest resident set that one of Ray's workers reached."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_mb, self.finished = 0.0, threading.Event()

    def __enter__(self) -> PeakMemory:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finished.set()
        self.join()

    def run(self) -> None:
        while not self.finished.wait(0.1):
            for status in Path("/proc").glob("[0-9]*/status"):
                try:
                    text = status.read_text()
                    if "ray::" in (status.parent / "cmdline").read_text():
                        kib = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS"))
                        self.peak_mb = max(self.peak_mb, kib / 1024)
                except (OSError, StopIteration):
                    continue


if __name__ == "__main__":
    main()
