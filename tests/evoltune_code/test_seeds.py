"""The shipped seeds: enough of each kind, and each solution passes its own tests in the sandbox."""

import os
from collections import Counter
from pathlib import Path

import pytest

from evoltune.record import Answer, Record
from evoltune.verification.checker import open_checker
from evoltune_code import domain
from evoltune_code.mutants import mutants

SKILLS = {"writing", "completing", "summarising", "operations", "data-analysis", "scraping", "pipelines"}
DATA = Path(os.environ.get("EVOLTUNE_DATA", "/nonexistent"))


@pytest.fixture(scope="module")
def checker():
    with open_checker("code", program_s=1.0) as opened:
        yield opened


def judged(checker, records):
    return {record.task.name: record.answers[0].verdict for record in checker.verify(records)}


def test_there_are_at_least_sixty_seeds_of_seven_skills_with_names_of_their_own():
    records = list(domain.seeds())
    assert len(records) >= 60
    assert len({r.id for r in records}) == len({r.task.name for r in records}) == len(records)
    counts = Counter(r.task.fields["skill"] for r in records)
    assert set(counts) == SKILLS and min(counts.values()) >= 6


def test_every_seed_answer_passes_its_tests(checker):
    verdicts = judged(checker, domain.seeds())
    assert {name: v.reason for name, v in verdicts.items() if v.status != "pass"} == {}


def test_the_tests_of_the_seeds_notice_faults(checker):
    changed = [
        Record(domain="code", task=r.task, draw=i, answers=(Answer(text=m.source, model="mutant"),))
        for r in domain.seeds()
        for i, m in enumerate(mutants(r.task.reference or "", limit=1) if r.task.fields["entry_point"] else ())
    ]
    statuses = Counter(record.answers[0].verdict.status for record in checker.verify(changed))
    assert statuses["pass"] <= 0.25 * len(changed), statuses


def test_no_seed_names_a_function_of_humaneval_or_mbpp():
    if not DATA.exists():
        pytest.skip("set EVOLTUNE_DATA")
    names = {
        task.fields["entry_point"] for suite in ("humaneval", "mbpp-all")
        for task in domain.benchmarks[suite].load(DATA / domain.benchmarks[suite].file)
    }  # fmt: skip
    assert not {r.task.fields["entry_point"] for r in domain.seeds()} & names - {""}
