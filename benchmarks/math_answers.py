"""Pairs per CPU second, accuracy, slowest pair and memory: our answer verifier, math-verify and the published scorers.

    EVOLTUNE_DATA=../shared/data python benchmarks/math_answers.py [--rounds 5] [--venv DIR]

Ours runs what the verify stage of a recipe runs: `Domain.extract` on the response, then `Domain.verify` on the candidate with
the domain's default policy. A response without a candidate counts as wrong.

Each contestant runs in a new process, so that no cache survives a round; the rounds are interleaved, and the table has the
medians. Imports do not count. math-verify gets its answers in `$`, as its authors recommend; it is installed from the
package index into a virtual environment of its own, which is kept between runs.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import statistics
import subprocess
import sys
import time
import venv
from pathlib import Path

from public_data import data_folder

PROFILES = ["hendrycks", "minerva", "wizardmath"]
HERE = Path(__file__).resolve().parent


def pairs() -> list[dict]:
    """The labelled pairs whose label does not depend on the policy."""
    path = data_folder() / "math_pairs/dev.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [r for r in rows if not r["category"].startswith("policy/")]


def chosen(rows: list[dict], which: str) -> list[dict]:
    """mixed: 140 generated and 60 real pairs, evenly spaced; real: the pairs of real responses; all."""
    real = [r for r in rows if r["category"].startswith("real/")]
    if which != "mixed":
        return real if which == "real" else rows
    generated = [r for r in rows if r["category"].startswith("gen/")]
    return generated[:: len(generated) // 140][:140] + real[:: len(real) // 60][:60]


# ---- contestants


def profile(name: str):
    """`sound` is ours: its extract and verify are the domain's own."""
    import mpmath  # noqa: F401  a worker's zygote has these two loaded
    import sympy  # noqa: F401

    from evoltune.domain import Context
    from evoltune.record import Task, Verdict
    from evoltune_math import domain

    context = Context(run=lambda job: Verdict(status="error"), policy=domain.policy)
    how = domain.profiles[name]
    extract, verify = how.extract or domain.extract, how.verify or domain.verify

    def same(answer: str, gold: str) -> bool:
        task = Task(instruction="", reference=gold)
        candidate = extract(task, answer)
        return candidate is not None and verify(task, candidate, context).status == "pass"

    def same_bare(answer: str, gold: str) -> bool:
        """The published scorers know one way to state an answer; here a bare one counts too, on both sides."""
        task = Task(instruction="", reference=extract(Task(instruction=""), gold) or gold)
        return verify(task, extract(task, answer) or answer, context).status == "pass"

    return same if name == "sound" else same_bare


def math_verify():
    from math_verify import parse, verify

    def wrapped(text: str) -> str:
        return text if "$" in text or "\\boxed" in text or "\\(" in text or "\\[" in text else f"${text}$"

    def same(answer: str, gold: str) -> bool:
        try:
            return bool(verify(parse(wrapped(gold)), parse(wrapped(answer))))
        except Exception:
            return False

    return same


def contestant(name: str):
    return math_verify() if name == "math-verify" else profile("sound" if name == "ours" else name)


def measure(name: str, which: str) -> dict:
    """One round in this process: CPU seconds, the longest wall time of a pair, peak memory, verdicts."""
    same = contestant(name)
    same("\\frac{1}{2}+\\sqrt{3}", "x^2+1")  # imports on first use
    rows = chosen(pairs(), which)
    worst, verdicts = 0.0, []
    started = time.process_time()
    for row in rows:
        at = time.perf_counter()
        verdicts.append(same(row["pred"], row["gold"]))
        worst = max(worst, time.perf_counter() - at)
    cpu = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu": cpu, "worst": worst, "rss": peak, "verdicts": verdicts}


# ---- the driver


def python_of(folder: Path) -> str:
    """The interpreter of a virtual environment with math-verify; creates it if it is missing."""
    python = folder / "bin/python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "math-verify[antlr4_13_2]==0.9.0"], check=True)
    return str(python)


def round_of(name: str, which: str, peer: str) -> dict:
    python = peer if name == "math-verify" else sys.executable
    done = subprocess.run(
        [python, __file__, "--measure", name, which], capture_output=True, text=True, check=True, timeout=1800
    )
    return json.loads(done.stdout.splitlines()[-1])


def speed(which: str, rounds: int, peer: str) -> None:
    names = ["ours", "math-verify"]
    seen: dict[str, list[dict]] = {n: [] for n in names}
    for _ in range(rounds):
        for name in names:
            seen[name].append(round_of(name, which, peer))
    count = len(seen["ours"][0]["verdicts"])
    medians = {n: statistics.median(r["cpu"] for r in seen[n]) for n in names}
    print(f"\n{which}: {count} pairs, medians of {rounds} interleaved rounds")
    print("| checker | CPU ms a pair | pairs per CPU s | ratio | worst pair s | peak MB |")
    print("|---|---|---|---|---|---|")
    for name in names:
        worst, rss = max(r["worst"] for r in seen[name]), max(r["rss"] for r in seen[name])
        ratio = medians["math-verify"] / medians[name]
        print(
            f"| {name} | {1000 * medians[name] / count:.3f} | {count / medians[name]:.0f} | {ratio:.1f}x | {worst:.2f} | {rss:.0f} |"
        )


def accuracy(names: list[str], peer: str) -> None:
    rows = pairs()
    print(f"\nAll {len(rows)} scored pairs, one round each")
    print("| checker | accuracy % | false positives % | false negatives % | worst pair s | peak MB | CPU s |")
    print("|---|---|---|---|---|---|---|")
    for name in names:
        got = round_of(name, "all", peer)
        wrong = [(r["expected"], v) for r, v in zip(rows, got["verdicts"], strict=True) if r["expected"] != v]
        positives = sum(r["expected"] for r in rows)
        fp = sum(not e for e, _ in wrong) / (len(rows) - positives)
        fn = sum(e for e, _ in wrong) / positives
        right = 1 - len(wrong) / len(rows)
        print(
            f"| {name} | {100 * right:.1f} | {100 * fp:.2f} | {100 * fn:.2f} | {got['worst']:.2f} | {got['rss']:.0f} | {got['cpu']:.1f} |"
        )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--venv", type=Path, default=HERE.parent / ".venv-math-verify")
    options.add_argument("--measure", nargs=2, metavar=("NAME", "SET"), help=argparse.SUPPRESS)
    chosen_options = options.parse_args()
    if chosen_options.measure:
        print(json.dumps(measure(*chosen_options.measure)))
        return
    peer = python_of(chosen_options.venv)
    for which in ("mixed", "real"):
        speed(which, chosen_options.rounds, peer)
    accuracy(["ours", "math-verify", *PROFILES], peer)


if __name__ == "__main__":
    main()
