"""Scores: counts, resuming, and the published figures of authors' own generation files."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from evoltune.cli.stages import _score_lines
from evoltune.errors import DataError
from evoltune.evaluate.results import score_table
from evoltune.evaluate.samples import Sample, read_samples
from evoltune.evaluate.score import Outcome, majority, metrics, passes
from evoltune.evaluate.several import measures_of
from evoltune.evaluate.suites import Suite, load_suite
from evoltune.recipe import Verification
from evoltune.record import Task

DATA = Path(os.environ.get("EVOLTUNE_DATA", "/nonexistent"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="EVOLTUNE_DATA does not name the folder with benchmark files")
VERIFY = Verification(workers=2)


def read(name):
    with gzip.open(DATA / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


# ---- judging


def test_wrong_and_without_an_answer_are_counted_apart(tmp_path, sums, answers, judged):
    outcomes = judged(sums, answers("#### 2", "#### 3", "I do not know."), "gsm8k-strict", VERIFY, tmp_path / "v.jsonl")
    found = metrics(sums, outcomes)
    assert found["statuses"] == {"fail": 2, "pass": 1} and found["no_answer"] == 1
    assert found["measures"]["pass@1"]["value"] == pytest.approx(1 / 3)


def test_tables_by_skill_and_difficulty_hold_every_problem_once(tmp_path, sums, judged):
    samples = [Sample(problem=f"t/{i}", sample=0, text=f"#### {2 * i if i < 3 else 7}") for i in range(4)]
    found = metrics(sums, judged(sums, samples, "sound", VERIFY, tmp_path / "v.jsonl"))
    assert {k: (v["n"], v["value"]) for k, v in found["by_skill"].items()} == {"even": (2, 1.0), "odd": (2, 0.5)}
    assert list(found["by_difficulty"]) == ["Level 0", "Level 1", "Level 2", "Level 3"]


def test_verdicts_survive_a_kill_and_are_not_judged_again(tmp_path, sums, answers, judged):
    out = tmp_path / "v.jsonl"
    first = judged(sums, answers("2", "3", "4"), "sound", VERIFY, out)
    whole = out.read_bytes()
    lines = whole.splitlines(keepends=True)
    out.write_bytes(lines[0] + b'{"problem": "t/1", "sam')
    assert judged(sums, answers("2", "3", "4"), "sound", VERIFY, out) == first
    assert out.read_bytes() == whole
    judged(sums, answers("2", "3", "4"), "sound", VERIFY, out)
    assert out.read_bytes() == whole


def test_a_changed_text_is_judged_anew(tmp_path, sums, answers, judged):
    out = tmp_path / "v.jsonl"
    judged(sums, answers("3"), "sound", VERIFY, out)
    assert judged(sums, answers("2"), "sound", VERIFY, out)[0].passed


def test_two_samples_of_one_name_and_unknown_problems_are_refused(tmp_path, sums, answers, judged):
    twice = [*answers("2"), *answers("2")]
    with pytest.raises(DataError, match="two generations are named 't/1', sample 0"):
        judged(sums, twice, "sound", VERIFY, tmp_path / "v.jsonl")
    with pytest.raises(DataError, match="did you mean 't/1'"):
        judged(sums, answers("2", problem="t/11"), "sound", VERIFY, tmp_path / "v.jsonl")
    with pytest.raises(DataError, match=r"profile 'soud'.*did you mean 'sound'"):
        judged(sums, answers("2"), "soud", VERIFY, tmp_path / "v.jsonl")


def test_k_above_the_number_of_samples_is_refused(tmp_path, sums, answers, judged):
    outcomes = judged(sums, answers("2", "3"), "sound", VERIFY, tmp_path / "v.jsonl")
    with pytest.raises(DataError, match="pass@3 needs at least 3 samples"):
        passes(outcomes, 3)


# ---- the authors' files


@needs_data
@pytest.mark.parametrize("label", ["6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"])
def test_gpt3_solutions_get_their_labels_under_openai_a(tmp_path, label, judged):
    suite, path = load_suite("gsm8k", DATA), DATA / "gsm8k_model_solutions/openai_gpt3_solutions.jsonl.gz"
    samples = read_samples(path, suite, column=f"{label}.solution")
    outcomes = judged(suite, samples, "openai-A", VERIFY, tmp_path / "v.jsonl")
    assert [o.passed for o in outcomes] == [row[label]["is_correct"] for row in read(path.relative_to(DATA))]


@needs_data
def test_tora_70b_solves_670_of_the_791_rows(tmp_path, judged):
    suite = load_suite("gsm8k", DATA)
    samples = read_samples(DATA / "gsm8k_model_solutions/tora_70b.jsonl.gz", suite, column="pred")
    assert sum(o.passed for o in judged(suite, samples, "sound", VERIFY, tmp_path / "v.jsonl")) == 670


@needs_data
@pytest.mark.parametrize(
    ("file", "label"), [("starcoder2_15b_instruct", "base_status"), ("reflexion_gpt4", "rerun"), ("evol_teacher_replit3b", "rerun")]
)  # fmt: skip
def test_humaneval_status_agrees_with_the_authors_on_every_row(tmp_path, file, label, judged):
    suite, path = load_suite("humaneval", DATA), DATA / f"humaneval_model_solutions/{file}.jsonl.gz"
    outcomes = judged(suite, read_samples(path, suite), "sound", VERIFY, tmp_path / "v.jsonl")
    assert [o.passed for o in outcomes] == [row[label] == "pass" for row in read(path.relative_to(DATA))]


@needs_data
@pytest.mark.slow
def test_starcoder2s_plus_status_agrees_on_every_row(tmp_path, judged):
    suite, file = (load_suite("humaneval-plus", DATA), "humaneval_model_solutions/starcoder2_15b_instruct.jsonl.gz")
    outcomes = judged(suite, read_samples(DATA / file, suite), "sound", VERIFY, tmp_path / "v.jsonl")
    assert [o.passed for o in outcomes] == [row["plus_status"] == "pass" for row in read(file)]


@needs_data
@pytest.mark.slow
def test_humaneval_gold_times_200_is_scored_in_flat_memory_after_a_kill():
    """32,800 programs, the driver killed half-way: `benchmarks/evaluation.py --only many` prints the figures."""
    script = Path(__file__).parents[2] / "benchmarks" / "evaluation.py"
    done = subprocess.run([sys.executable, str(script), "--only", "many"], capture_output=True, text=True, check=True)
    print(done.stdout)
    seconds = int(done.stdout.split(" programs: ")[1].split(" s in all")[0])
    early, most = (int(part.split(" MB")[0]) for part in done.stdout.split("driver: ")[1].split(", "))
    assert seconds < 25 * 60 and most < early + 120


@needs_data
def test_humaneval_gold_solutions_all_pass(tmp_path, judged):
    suite = load_suite("humaneval", DATA)
    gold = [Sample(problem=t.name, sample=0, text=t.reference or "") for t in suite.tasks]
    assert sum(o.passed for o in judged(suite, gold, "sound", VERIFY, tmp_path / "v.jsonl")) == 164


@needs_data
def test_codegens_pass_at_1_and_10_equal_an_independent_computation(tmp_path, judged):
    """The first 4 problems here; all 1,960 samples are a bar (`make bars`)."""
    _codegen(tmp_path, 4, judged)


@needs_data
@pytest.mark.slow
def test_codegens_pass_at_1_and_10_equal_an_independent_computation_on_all_samples(tmp_path, judged):
    _codegen(tmp_path, 10**6, judged)


def _codegen(tmp_path, problems, judged):
    file = "humaneval_model_solutions/codegen16b_20_samples.jsonl.gz"
    suite, labels = load_suite("humaneval", DATA), read(file)
    names = list(dict.fromkeys(row["task_id"] for row in labels))[:problems]
    samples = [s for s in read_samples(DATA / file, suite) if s.problem in names]
    outcomes = judged(suite, samples, "humaneval", VERIFY, tmp_path / "v.jsonl")
    for k in (1, 10):
        theirs = []
        for name in names:
            right = [row["rerun"] == "pass" for row in labels if row["task_id"] == name]
            wrong, miss = right.count(False), 1.0
            for i in range(k):  # k draws without replacement, all of them wrong
                miss *= max(0, wrong - i) / (len(right) - i)
            theirs.append(1 - miss)
        ours = passes(outcomes, k)
        assert [ours[name] for name in names] == pytest.approx(theirs)


VERIFY = Verification(workers=2)


def test_equal_answers_in_other_forms_vote_together_and_a_tie_goes_to_the_first(tmp_path, sums, judged):
    texts = {
        "t/1": ["3", "2", "2.0", "4/2", "3"],
        "t/2": ["4", "5", "5.0", "4.0", ""],
        "t/3": ["7", "7", "6", "6", "7.0"],
    }
    samples = [Sample(problem=p, sample=i, text=t) for p, group in texts.items() for i, t in enumerate(group)]
    outcomes = judged(sums, samples, "sound", VERIFY, tmp_path / "v.jsonl")
    assert majority(sums, outcomes, 5, VERIFY).value == pytest.approx(2 / 3)  # t/1 and t/2 right, t/3 wrong
    assert majority(sums, outcomes, 1, VERIFY).value == pytest.approx(1 / 3)
    with pytest.raises(DataError, match="maj@6 needs 6 samples"):
        majority(sums, outcomes, 6, VERIFY)


SLOW_EQUALITY = r"""
from evoltune import Domain, Job, Verdict

def verify(task, candidate, context):
    if "x" in (task.reference, candidate):
        return Verdict(status="fail")
    return context.run(Job(program="import time\nwhile time.process_time() < 0.6: pass\n"))

domain = Domain(name="slow", verify=verify, operators=(), seeds=lambda: [])
"""


def test_votes_are_compared_under_the_limits_of_the_recipe(tmp_path):
    package = tmp_path / "slow_equality_for_tests"
    package.mkdir()
    (package / "__init__.py").write_text(SLOW_EQUALITY)
    task = Task(instruction="q", reference="2", name="t")
    suite = Suite(name="slow", domain=str(package), tasks=(task,), sha256="0" * 64, licence="ours")
    votes = [("x", "fail"), ("2", "pass"), ("2.0", "pass")]
    outcomes = [Outcome(problem="t", sample=i, status=status, extracted=text) for i, (text, status) in enumerate(votes)]
    # Comparing 2 and 2.0 takes 0.6 s of CPU. Under 0.1 s they are not equal, so the first answer wins the tie.
    assert majority(suite, outcomes, 3, Verification(workers=1, program_s=5.0)).value == 1.0
    assert majority(suite, outcomes, 3, Verification(workers=1, program_s=0.1)).value == 0.0


def test_programs_cannot_vote(sums):
    programs = replace(sums, tasks=(Task(instruction="q", tests=["assert f(1)"], name="t"),))
    with pytest.raises(DataError, match="judged by tests, so they cannot vote"):
        majority(programs, [], 1, VERIFY)


def test_a_suite_that_nothing_can_judge_has_no_score(sums):
    open_answers = [Outcome(problem=f"t/{i}", sample=0, status="unverifiable") for i in range(3)]
    found = metrics(sums, open_answers)
    assert found["measures"] == {} and "no verifier can judge" in found["not_judged"] and found["by_skill"] == {}
    assert measures_of(sums, open_answers, (1,), VERIFY) == {}
    mixed = metrics(sums, [*open_answers, Outcome(problem="t/3", sample=0, status="fail")])
    assert mixed["measures"]["pass@1"]["value"] == 0.0 and "not_judged" not in mixed


def test_what_was_not_judged_is_said_and_is_never_zero_per_cent(sums):
    entry = metrics(sums, [Outcome(problem="t/0", sample=0, status="unverifiable")])
    scores = {"suites": {"open": {**entry, "profile": "general/sound@1"}}}
    table = "\n".join(score_table({"mine": scores}, beside=False))
    line = "\n".join(_score_lines(scores))
    assert "not judged" in table and "not judged" in line and "0.0%" not in table + line
