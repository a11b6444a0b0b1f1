"""A domain whose verifier can be told to hang, crash, raise or take all memory; and what several files here need."""

from __future__ import annotations

import pytest

TOY = """
import os
from pathlib import Path
from evoltune import Benchmark, Domain, Job, Profile, Record, Task, Verdict

def verify(task, candidate, context):
    if candidate == "bomb":
        9 ** 9 ** 9
    if candidate == "raise":
        raise ValueError("broken")
    if candidate == "exit":
        raise SystemExit(0)
    if candidate == "stop":
        raise KeyboardInterrupt
    if candidate == "leave":
        os._exit(0)
    if candidate == "fork":
        os.fork()
    if candidate == "wander":
        os.chdir("/")
    if candidate == "seven":
        return 7
    if candidate == "die":
        os.kill(os.getpid(), 9)
    if candidate == "hungry":
        "x" * 10 ** 10
    if candidate and context.policy.get("COUNT"):
        with open(context.policy["COUNT"], "a") as file:
            file.write(candidate + "\\n")
    if task.tests:
        return context.run(Job(program=candidate, tests=task.tests, entry_point=task.fields.get("entry_point", "")))
    if task.reference is None:
        return Verdict(status="unverifiable", reason="no reference")
    return Verdict(status="pass" if candidate == task.reference else "fail")

def lenient(task, candidate, context):
    return Verdict(status="pass")

def asked(task, candidate, context):
    return Verdict(status="pass" if candidate == task.instruction else "fail", reason=task.instruction)

def confirm(task, candidates, evidence, context):
    return [Verdict(status="pass", reason="vote") for _ in candidates]

def overlap(record, suite, context):
    return [t.name for t in suite if t.instruction == record.task.instruction]

def load(path):
    return [Task(instruction="q", reference=r, name=f"t{r}") for r in Path(path).read_text().split()]

domain = Domain(
    name="toy", verify=verify, operators=(), seeds=lambda: [], columns=("entry_point",), policy={"COUNT": ""}, confirm=confirm,
    overlap={"same": overlap},
    profiles={n: Profile(version=1, verify=v) for n, v in (("sound", None), ("lenient", lenient), ("asked", asked))},
    benchmarks={"tiny": Benchmark(load=load, sha256="", licence="", file="tiny.txt")},
)
"""


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("domains") / "toy_domain_for_tests"
    folder.mkdir()
    (folder / "__init__.py").write_text(TOY)
    return str(folder)
