"""The verifier against labelled solutions of other people's harnesses: agreement must be complete.

The short form judges a sample; `make bars` (marker `slow`) judges everything.
"""

import gzip
import json
import os
from pathlib import Path

import pytest

from evoltune.record import Answer, Record, Task
from evoltune.verification.checker import open_checker
from evoltune_code import domain

DATA = Path(os.environ.get("EVOLTUNE_DATA", "/nonexistent"))
pytestmark = pytest.mark.skipif(not DATA.exists(), reason="set EVOLTUNE_DATA to the folder with the labelled solutions")
WRONG_LABELS: set[str] = set()


def suite(name):
    return {t.name: t for t in domain.benchmarks[name].load(DATA / domain.benchmarks[name].file)}


def rows(path):
    return [json.loads(line) for line in gzip.open(DATA / path, "rt")]


def solutions(file, text, label, suite_name="humaneval"):
    tasks = suite(suite_name)
    return [
        (tasks[r["task_id"]], r[text], r[label] in (True, "pass"))
        for r in rows(f"humaneval_model_solutions/{file}.jsonl.gz")
    ]


def plain(file, text, entry, want):
    found = rows(file)
    return [
        (Task(instruction="", tests=r.get("test") or r["tests"], name=r["name"],
              fields={"entry_point": r[entry], "prompt": r.get("prompt", "")}), r[text], want(r))
        for r in found
    ]  # fmt: skip


def gold(name):
    return [(t, t.reference, True) for t in suite(name).values()]


SETS = {
    "humaneval gold": lambda: gold("humaneval"),
    "humanevalpack canonical": lambda: solutions("humanevalpack_python_bugs", "canonical_solution", "canonical_rerun"),
    "humanevalpack buggy": lambda: solutions("humanevalpack_python_bugs", "buggy_solution", "buggy_rerun"),
    "starcoder2 base": lambda: solutions("starcoder2_15b_instruct", "solution", "base_status"),
    "starcoder2 plus": lambda: solutions("starcoder2_15b_instruct", "solution", "plus_status", "humaneval-plus"),
    "reflexion": lambda: solutions("reflexion_gpt4", "solution", "rerun"),
    "evol-replit": lambda: solutions("evol_teacher_replit3b", "completion", "rerun"),
    "codegen": lambda: solutions("codegen16b_20_samples", "completion", "rerun"),
    "gpt-4 mbpp": lambda: plain("mbpp_model_solutions/gpt4_simple.jsonl.gz", "solution", "entry_point", lambda r: r["rerun"] == "pass"),
    "quixbugs": lambda: plain("quixbugs/quixbugs_python.jsonl.gz", "solution", "name", lambda r: True),
    "quixbugs buggy": lambda: plain("quixbugs/quixbugs_python.jsonl.gz", "buggy_program", "name", lambda r: False),
    "mbpp gold": lambda: gold("mbpp-all"),
    "mbpp sanitized gold": lambda: gold("mbpp-sanitized"),
    "humaneval-plus-mini gold": lambda: gold("humaneval-plus-mini"),
    "humaneval-plus gold": lambda: gold("humaneval-plus"),
    "mbpp-plus gold": lambda: gold("mbpp-plus"),
}  # fmt: skip
SAMPLE = {"codegen": 97, "mbpp gold": 41, "mbpp sanitized gold": 53, "mbpp-plus gold": 37, "humaneval-plus gold": 29,
          "starcoder2 plus": 23, "humaneval-plus-mini gold": 17, "humanevalpack buggy": 9}  # fmt: skip
"""Every n-th row in the short form (4 by default): a second or two a set."""


@pytest.fixture(scope="module")
def checker():
    with open_checker("code") as opened:
        yield opened


def disagreements(checker, items):
    records = [Record(domain="code", task=task, answers=(Answer(text=text, model="m"),)) for task, text, _ in items]
    judged = [record.answers[0].verdict for record in checker.verify(records)]
    return [
        f"{task.name}: labelled {'pass' if expected else 'fail'}, judged {v.status}: {v.reason}"
        for (task, _, expected), v in zip(items, judged, strict=True)
        if (v.status == "pass") != expected and task.name not in WRONG_LABELS
    ]


@pytest.mark.parametrize("name", SETS)
def test_a_sample_of_labelled_solutions_is_judged_as_labelled(checker, name):
    assert disagreements(checker, SETS[name]()[:: SAMPLE.get(name, 4)]) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_all_labelled_solutions_are_judged_as_labelled(checker, name):
    assert disagreements(checker, SETS[name]()) == []


@pytest.mark.slow
def test_pass_at_k_of_twenty_codegen_samples_is_that_of_their_labels(checker):
    items = solutions("codegen16b_20_samples", "completion", "rerun")
    records = [Record(domain="code", task=task, answers=(Answer(text=text, model="m"),)) for task, text, _ in items]
    passed = [record.answers[0].verdict.status == "pass" for record in checker.verify(records)]
    assert sum(passed) == sum(expected for _, _, expected in items) == 396
