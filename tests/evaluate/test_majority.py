"""maj@k: answers vote with the domain's own equality, under the recipe's limits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evoltune.errors import DataError
from evoltune.evaluate.majority import majority
from evoltune.evaluate.samples import Sample
from evoltune.evaluate.score import Outcome
from evoltune.evaluate.suites import Suite
from evoltune.recipe import Verification
from evoltune.record import Task

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
