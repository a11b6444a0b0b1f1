"""A whole run, training included, that is ended again and again at moments of every stage: what is left, and what it ends in.

The short form kills one run in training; the long one (`-m slow`) is 50 kill -9, 20 SIGHUP and 20 SIGTERM over all stages.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import pytest
from openai_server import serving
from processes import below

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").is_file(), reason="processes are found in /proc")
CONCURRENCY = 4
LATENCY_S = 0.05
STAGES = ("evolve", "verify", "build", "train", "eval", "report")
GRACE_S = 5.0
"""Seconds after the end of the driver in which all its processes must be gone."""
MARK = "EVOLTUNE_TEST_OF_KILLS"
HARBOURS = """
import zlib
from evoltune import Answer, Domain, Operator, Record, Task, Verdict


def verify(task, candidate, context):
    return Verdict(status="pass" if zlib.crc32(f"{task.instruction}{candidate}".encode()) % 4 else "fail", reason="unlucky")


def seeds():
    for i in range(16):
        yield Record(domain="harbours", task=Task(instruction=f"Say in plain words what harbour {i} is known for.", name=str(i)),
                     answers=(Answer(text=f"For crane {i}.", model="seed"),))


domain = Domain(name="harbours", seeds=seeds, verify=verify, operators=(Operator(name="deeper", template="Rewrite:\\n{instruction}"),),
                answer_prompt="Answer:\\n{instruction}")
"""
STARTED = """
import signal, sys
from evoltune.cli import main
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it would be ignored
sys.exit(main(sys.argv[1:]))
"""


def write_recipe(folder: Path, url: str, base: Path) -> Path:
    package = folder / "harbours"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text(HARBOURS)
    suite = folder / "suite.jsonl"
    suite.write_text(
        "".join(json.dumps({"id": f"p{i}", "question": f"Count the lanterns on tower {i}."}) + "\n" for i in range(3))
    )
    recipe = {
        "domain": str(package),
        "teacher": {"kind": "http", "model": "m", "concurrency": CONCURRENCY, "endpoints": [{"url": url}]},
        "evolve": {"rounds": 2, "equal_check": False},
        "verify": {"workers": 1, "sandbox": {"require": "L0"}},
        "train": {
            "model_name_or_path": str(base), "template": "alpaca", "max_length": 512, "max_steps": 6, "save_steps": 2, "precision": "fp32",
            "finetuning_type": "full", "per_device_train_batch_size": 2, "learning_rate": 1e-2,
        },
        "eval": {"suites": [str(suite)], "baseline": False, "max_new_tokens": 4},
    }  # fmt: skip
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(recipe))
    return path


def of_run(mark: str) -> dict[int, str]:
    """Living processes that were started with this mark in their environment -> their command lines."""
    found = {}
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"{MARK}={mark}".encode() in environ.read_bytes().split(b"\0"):
                found[int(environ.parent.name)] = (
                    (environ.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                )
    return found


def is_running(pid: int) -> bool:
    with suppress(OSError):
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    return False


@dataclass
class Life:
    """One run's folder, and the processes that worked on it one after another."""

    folder: Path
    recipe: Path
    out: Path
    said: Path = field(init=False)
    process: subprocess.Popen[bytes] | None = None
    grace_s: float = GRACE_S
    most_trainers: int = 0
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.said = self.folder / "said"

    def start(self) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-c",
            STARTED,
            "run",
            str(self.recipe),
            "--out",
            str(self.out),
            "--allow-uncertified",
        ]
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=said, env=os.environ | {MARK: str(self.folder)}, start_new_session=True
            )  # fmt: skip
        return self.process

    def wait_for(self, stage: str, seconds: float) -> bool:
        """Waits until the run has begun this stage, and so long after. False: the run ended before."""
        assert self.process is not None
        end = time.monotonic() + 300
        reached = 0.0
        while self.process.poll() is None:
            assert time.monotonic() < end, self.said.read_text()
            if not reached and f"[{stage}]" in self.said.read_text(errors="replace"):
                reached = time.monotonic()
            if reached and time.monotonic() - reached >= seconds:
                return True
            self._count_trainers()
            time.sleep(0.02)
        return False

    def trainers(self) -> int:
        """How many trainers are at work."""
        lines = of_run(str(self.folder)).values()
        return sum("evoltune.train" in line and "evoltune.orphans" not in line for line in lines)

    def _count_trainers(self) -> None:
        self.most_trainers = max(self.most_trainers, self.trainers())

    def end(self, number: int) -> None:
        """Ends the run with a signal, and notes what is wrong after `grace_s`."""
        assert self.process is not None
        pids = {*below(self.process.pid), *of_run(str(self.folder))} - {self.process.pid}
        finished = self.finished()
        self.process.send_signal(number)
        status = self.process.wait(120)
        stage = self.said.read_text(errors="replace").rpartition("\n[")[2].partition("]")[0]
        if status not in (-signal.SIGKILL if number == signal.SIGKILL else 130, 0):
            self.problems.append(
                f"{signal.Signals(number).name} in {stage}: exit {status}: {self.said.read_text()[-500:]}"
            )
        end = time.monotonic() + self.grace_s
        while left := [p for p in {*pids, *of_run(str(self.folder))} if is_running(p)]:
            if time.monotonic() > end:
                commands = [
                    Path(f"/proc/{p}/cmdline").read_bytes().replace(b"\0", b" ")[:120] for p in left if is_running(p)
                ]
                self.problems.append(f"{signal.Signals(number).name} in {stage}: left {commands}")
                break
            time.sleep(0.05)
        if any(self.finished().get(path) != stamp for path, stamp in finished.items()):
            self.problems.append(f"{signal.Signals(number).name} in {stage}: finished work is gone or was made again")

    def finished(self) -> dict[str, int]:
        """Finished training -> when it was finished."""
        return {str(p): p.stat().st_mtime_ns for p in self.out.glob("checkpoint/manifest.json")}

    def finish(self) -> None:
        process = self.start()
        while process.poll() is None:
            self._count_trainers()
            time.sleep(0.05)
        assert process.returncode == 0, self.said.read_text()[-3000:]

    def results(self) -> dict[str, str]:
        """What two runs of one recipe must have in common: name -> digest."""
        files = [
            *self.out.glob("dataset/**/*.jsonl"),
            *self.out.glob("dataset/*.parquet"),
            self.out / "checkpoint" / "model.safetensors",
        ]
        found = {str(path.relative_to(self.out)): sha256(path.read_bytes()).hexdigest() for path in sorted(files)}
        lines = [json.loads(line) for line in (self.out / "checkpoint" / "metrics.jsonl").read_text().splitlines()]
        losses = {str(line["step"]): f"{line['loss']:.5f}" for line in lines if "loss" in line}
        return found | {"losses": json.dumps(losses, sort_keys=True)}


@pytest.fixture(scope="module")
def whole(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], int, dict[str, float]]:
    """(results of a run that nobody ends, the teacher's calls, seconds of each stage)."""
    folder = tmp_path_factory.mktemp("whole")
    with serving(latency_s=LATENCY_S) as server:
        life = Life(folder, write_recipe(folder, server.url, tiny_base), folder / "run")
        begun: dict[str, float] = {}
        process = life.start()
        while process.poll() is None:
            said = life.said.read_text(errors="replace")
            for stage in STAGES:
                if f"[{stage}]" in said:
                    begun.setdefault(stage, time.monotonic())
            time.sleep(0.02)
        assert process.returncode == 0, life.said.read_text()[-3000:]
        ends = [*[begun[s] for s in STAGES[1:]], time.monotonic()]
        seconds = {stage: end - begun[stage] for stage, end in zip(STAGES, ends, strict=True)}
        return life.results(), server.stats()["ok"], seconds


Plan = list[tuple[int, str, float]]
"""Signals, each with the stage and the share of its time at which it comes."""


def plans(kinds: dict[int, int], rng: random.Random, each: int = 9) -> Iterator[Plan]:
    """The signals in random order, spread over the stages (training twice as often), `each` to a run."""
    numbers = [number for number, count in kinds.items() for _ in range(count)]
    rng.shuffle(numbers)
    stages = ("evolve", "evolve", "verify", "build", "train", "train", "train", "eval", "report")
    for start in range(0, len(numbers), each):
        some = numbers[start : start + each]
        yield [(number, stage, rng.random()) for number, stage in zip(some, stages, strict=False)]


def live(
    plan: Plan, folder: Path, base: Path, seconds: dict[str, float], calls: int, counts: Counter[str]
) -> tuple[Life, list[str]]:
    """A run under a plan; (it, what went wrong)."""
    with serving(latency_s=LATENCY_S) as server:
        life = Life(folder, write_recipe(folder, server.url, base), folder / "run")
        kills = 0
        for number, stage, share in plan:
            life.start()
            if life.wait_for(stage, share * seconds[stage]):
                life.end(number)
                kills += number == signal.SIGKILL and stage == "evolve"
                counts[f"{signal.Signals(number).name} {stage}"] += 1
        life.finish()
        paid = server.stats()["ok"]
    problems = life.problems
    if not calls <= paid <= calls + kills * CONCURRENCY:
        problems.append(f"{paid} calls were paid, {calls} were needed, {kills} kills at {CONCURRENCY} in flight")
    if life.most_trainers > 1:
        problems.append(f"{life.most_trainers} trainers at once")
    return life, problems


def test_a_run_that_is_killed_in_training_leaves_no_process(tiny_base, tmp_path):
    with serving() as server:
        life = Life(tmp_path, write_recipe(tmp_path, server.url, tiny_base), tmp_path / "run", grace_s=60)
        process = life.start()
        while not life.trainers() and process.poll() is None:
            time.sleep(0.05)
        life.end(signal.SIGKILL)
    assert life.problems == [] and process.returncode == -signal.SIGKILL


KINDS = {signal.SIGKILL: 50, signal.SIGHUP: 20, signal.SIGTERM: 20}
PLANS = [*plans(KINDS, random.Random(3))]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(PLANS)))
def test_ninety_ends_over_all_stages(number, tiny_base, tmp_path, whole):
    """Nine of the ninety to a run, each in another stage."""
    results, calls, seconds = whole
    counts: Counter[str] = Counter()
    life, problems = live(PLANS[number], tmp_path, tiny_base, seconds, calls, counts)
    print(f"\n{sum(counts.values())} of {len(PLANS[number])} met the run alive: {dict(counts)}")
    assert problems == []
    assert life.results() == results
    assert sum(counts.values()) >= len(PLANS[number]) // 2
