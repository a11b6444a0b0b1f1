"""How cost grows with rows: unit costs from small runs, a simulation of larger ones, and its error against real runs.

    python benchmarks/growth.py                          # calibrate, predict 1,000 and 10,000 rows, run both, compare
    python benchmarks/growth.py --rows 1000 --json
    python benchmarks/growth.py --plan                   # the table of docs/scale.md: 100k, 1M and 10M rows

A row is one draw: an evolution call and an answer call to a loopback teacher of fixed latency, then a program run at the
strongest isolation of the host, then dedup and the dataset. Two small runs give the unit costs: driver seconds per call,
worker seconds per program, build seconds per row, and the start of each stage. A discrete-event simulation then predicts a
larger run at another latency and concurrency. Exit 1 when a prediction is off by more than `--within`.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "fixtures"))
ROUNDS, WORKERS = 2, 2
CALIBRATION = ((100, 16, 0.05), (600, 16, 0.05))
"""(seeds, concurrency, latency in seconds) of the runs that give the unit costs."""
SIZES = {"100k": 100_000, "1M": 1_000_000, "10M": 10_000_000}
DOMAIN = """
from evoltune.domain import Domain, Job, Operator
from evoltune.record import Answer, Record, Task

SEEDS = {seeds}
CHECK = "def check(candidate):\\n    assert [candidate(n) for n in range(40)] == [n * (n + 1) // 2 for n in range(40)]\\n"


def verify(task, candidate, context):
    program = f"def f(n):\\n    # {{hash((task.instruction, candidate))}}\\n    return sum(range(n + 1))\\n"
    return context.run(Job(program=program, tests=CHECK, entry_point="f"))


def seeds():
    for i in range(SEEDS):
        task = Task(instruction=f"Describe the bridge, the {{i % 97}} gates and the harbour of town {{i}} in plain words.", name=str(i))
        yield Record(domain="growth", task=task, answers=(Answer(text=f"There are {{i}} of them.", model="seed"),))


domain = Domain(name="growth", seeds=seeds, verify=verify, answer_prompt="Answer: {{instruction}}",
                operators=(Operator(name="deepen", template="Rewrite the task:\\n{{instruction}}"),))
"""


@dataclass(frozen=True, kw_only=True)
class Units:
    """Measured unit costs, in seconds (wall, of one process each) and bytes."""

    evolve_start: float
    driver_per_call: float
    verify_start: float
    worker_per_program: float
    build_start: float
    build_per_row: float
    store_bytes_per_row: float
    dataset_bytes_per_row: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="1000,10000", help="sizes of the real runs")
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--latency-s", type=float, default=0.2)
    parser.add_argument("--within", type=float, default=0.2, help="largest error allowed, as a share")
    parser.add_argument("--plan", action="store_true", help="print the table of docs/scale.md")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    units = calibrate()
    if args.plan:
        plan(units)
        return
    results = [compare(units, int(rows), args.concurrency, args.latency_s) for rows in args.rows.split(",")]
    if args.json:
        print(json.dumps({"units": asdict(units), "runs": results}))
    else:
        show(units, results)
    if any(abs(r["predicted"]["total"] / r["real"]["total"] - 1) > args.within for r in results):
        sys.exit(1)


# ---- real runs


def real(seeds: int, concurrency: int, latency: float) -> dict[str, float]:
    """Wall seconds of evolve, verify and build as a user starts them, and what they leave on disk."""
    from openai_server import serving

    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as home, serving(latency_s=latency) as server:
        package = Path(home) / "growth"
        package.mkdir()
        (package / "__init__.py").write_text(DOMAIN.format(seeds=seeds))
        recipe = {
            "domain": str(package),
            "teacher": {"kind": "http", "model": "m", "concurrency": concurrency, "endpoints": [{"url": server.url}]},
            "evolve": {"rounds": ROUNDS, "equal_check": False},
            "verify": {"workers": WORKERS},
        }
        (Path(home) / "recipe.yaml").write_text(json.dumps(recipe))
        for stage in ("evolve", "verify", "build"):
            command = [sys.executable, "-m", "evoltune", "run", "recipe.yaml", "--stages", stage, "--out", "run"]
            used, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            done = subprocess.run(command, cwd=home, capture_output=True, text=True)
            found[stage] = time.perf_counter() - began
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            found[f"{stage}_cpu"] = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
            if done.returncode:
                sys.exit(f"{stage}: {done.stderr}")
        found["store"] = (Path(home) / "run" / "store.sqlite").stat().st_size
        found["dataset"] = (Path(home) / "run" / "dataset" / "train.parquet").stat().st_size
    return found | {"total": found["evolve"] + found["verify"] + found["build"]}


def calibrate() -> Units:
    """Unit costs from a small and a less small run: their difference is what a row costs, the rest is the start."""
    (few, _, _), (many, concurrency, latency) = CALIBRATION
    small, large = (real(*size) for size in CALIBRATION)
    rows = ROUNDS * (many - few)
    programs = rows + (many - few)  # the seeds' own answers are judged too

    def slope(name: str, by: int) -> float:
        return max(0.0, large[name] - small[name]) / by

    driver = slope("evolve_cpu", 2 * rows)
    pure = simulate_evolve(many, concurrency, latency, driver)
    program = slope("verify", programs) * WORKERS
    return Units(
        evolve_start=max(0.0, large["evolve"] - pure),
        driver_per_call=driver,
        verify_start=max(0.0, large["verify"] - programs_of(many) * program / WORKERS),
        worker_per_program=program,
        build_start=max(0.0, large["build"] - programs_of(many) * slope("build", programs)),
        build_per_row=slope("build", programs),
        store_bytes_per_row=slope("store", rows),
        dataset_bytes_per_row=slope("dataset", rows),
    )


def programs_of(seeds: int) -> int:
    return seeds * (1 + ROUNDS)


# ---- the simulation


def simulate_evolve(seeds: int, concurrency: int, latency: float, driver: float) -> float:
    """Seconds until the last chain ends. A chain makes 2 calls a round, one after the other; a call needs one of
    `concurrency` places, then the driver (one process, first come first served), then the teacher's latency."""
    events: list[tuple[float, int, int]] = []  # (when a call is answered, chain, calls that it still has to make)
    waiting = [(chain, 2 * ROUNDS) for chain in range(seeds - 1, -1, -1)]
    now = free = 0.0

    def begin(chain: int, left: int) -> None:
        nonlocal free
        free = max(free, now) + driver
        heapq.heappush(events, (free + latency, chain, left - 1))

    while waiting and len(events) < concurrency:
        begin(*waiting.pop())
    while events:
        now, chain, left = heapq.heappop(events)
        if left:
            begin(chain, left)
        elif waiting:
            begin(*waiting.pop())
    return now


def simulate_verify(programs: int, workers: int, seconds: float) -> float:
    """Seconds until the last program is judged: the next one goes to the worker that is free first."""
    busy = [0.0] * workers
    for _ in range(programs):
        heapq.heappush(busy, heapq.heappop(busy) + seconds)
    return max(busy)


def predict(units: Units, seeds: int, concurrency: int, latency: float) -> dict[str, float]:
    programs = programs_of(seeds)
    found = {
        "evolve": units.evolve_start + simulate_evolve(seeds, concurrency, latency, units.driver_per_call),
        "verify": units.verify_start + simulate_verify(programs, WORKERS, units.worker_per_program),
        "build": units.build_start + programs * units.build_per_row,
    }
    return found | {"total": sum(found.values())}


def compare(units: Units, rows: int, concurrency: int, latency: float) -> dict:
    seeds = rows // ROUNDS
    return {
        "rows": rows,
        "predicted": predict(units, seeds, concurrency, latency),
        "real": real(seeds, concurrency, latency),
    }


def show(units: Units, results: list[dict]) -> None:
    print(f"unit costs (load {os.getloadavg()[0]:.1f}):")
    for name, value in asdict(units).items():
        print(f"  {name:24} " + (f"{value:10.0f} B" if "bytes" in name else f"{1000 * value:10.2f} ms"))
    print(f"\n{'rows':>7} {'':10} {'evolve':>8} {'verify':>8} {'build':>8} {'total':>8}")
    for result in results:
        for arm in ("predicted", "real"):
            seconds = "".join(f"{result[arm][stage]:8.1f} " for stage in ("evolve", "verify", "build", "total"))
            print(f"{result['rows']:7} {arm:10} {seconds}")
        print(f"{'':7} {'error':10} {result['predicted']['total'] / result['real']['total'] - 1:+.1%}")


# ---- on paper


def plan(units: Units) -> None:
    """Markdown: what rows cost under the assumptions of docs/scale.md, and the measured units."""
    calls, tokens_in, tokens_out = 3, 350, 400  # evolve, equality, answer; tokens a call
    per_gpu, usd_in, usd_out, cores = 2500, 0.15, 0.60, 64
    print(f"| evolved rows | {' | '.join(SIZES)} |\n|---|{'---:|' * len(SIZES)}")

    def line(name: str, value) -> None:
        print(f"| {name} | {' | '.join(value(n) for n in SIZES.values())} |")

    line("teacher calls", lambda n: f"{calls * n:,}")
    line("tokens out", lambda n: f"{calls * n * tokens_out / 1e9:.2f} G")
    line("teacher: GPU hours", lambda n: f"{calls * n * tokens_out / per_gpu / 3600:,.0f}")
    line(
        "teacher: US$ at a provider", lambda n: f"{calls * n * (tokens_in * usd_in + tokens_out * usd_out) / 1e6:,.0f}"
    )
    line("driver, CPU hours", lambda n: f"{calls * n * units.driver_per_call / 3600:.1f}")
    line("verifier, CPU hours", lambda n: f"{n * units.worker_per_program / 3600:.2f}")
    line(f"verifier, minutes on {cores} cores", lambda n: f"{n * units.worker_per_program / cores / 60:.2f}")
    line("build, CPU minutes", lambda n: f"{n * units.build_per_row / 60:.1f}")
    line("shuffle of near-dedup", lambda n: f"{n * 128 * 4 / 1e9:.2f} GB")
    text = (tokens_in + tokens_out) * 4  # bytes a token
    line("run store", lambda n: f"{n * (calls * text + units.store_bytes_per_row) / 1e9:,.1f} GB")
    line("dataset, Parquet", lambda n: f"{n * 2 * tokens_out * 4 / 3 / 1e9:,.1f} GB")


if __name__ == "__main__":
    main()
