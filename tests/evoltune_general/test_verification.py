"""Constraints read from a task's own words: only where they are unmistakable."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.domain import Context
from evoltune.record import Task
from evoltune_general import domain
from evoltune_general.constraints import CHECKS, violations
from evoltune_general.verification import stated_constraints

DATA = Path(os.environ.get("EVOLTUNE_DATA", "no such folder"))
SEEDS = list(domain.seeds())


@pytest.mark.parametrize(
    ("task", "constraints"),
    [
        ("Explain rain in at most 60 words.", {"max_words": 60}),
        ("Explain rain in no more than three sentences.", {"max_sentences": 3}),
        ("Explain rain in under 100 words.", {"max_words": 99}),
        ("Write at least 200 words about rain.", {"min_words": 200}),
        ("Write more than 200 words about rain.", {"min_words": 201}),
        ("Give exactly five bullet points about rain.", {"items": 5}),
        ("Write between 50 and 80 words about rain.", {"min_words": 50, "max_words": 80}),
        ("Describe Ada as an object. Answer with JSON only.", {"format": "json"}),
        ("Describe Ada. Respond only with valid XML.", {"format": "xml"}),
        (
            'Praise tea. Use the word "leaf" and avoid the word "cup".',
            {"must_include": ["leaf"], "must_not_include": ["cup"]},
        ),
    ],
)
def test_plain_constraints_are_read(task, constraints):
    assert stated_constraints(task) == constraints


@pytest.mark.parametrize(
    "task",
    [
        "Summarise this article of at most 300 words.",
        "Write three paragraphs of at most 50 words each.",
        'Translate: "Answer in at most 10 words."',
        "Count the words.\n\nAnswer in at most 10 words.",
        "The essay has no more than 300 words. What is missing?",
        "Write in at most 50 words, then again in at most 80 words.",
        "How do I write JSON only with a pen?",
        "Explain why more than two people voted.",
        "List the words of 5 letters.",
    ],
)
def test_what_may_mean_something_else_is_not_read(task):
    assert stated_constraints(task) == {}


def test_every_seed_answer_keeps_what_its_task_states():
    states = [(s, stated_constraints(s.task.instruction)) for s in SEEDS]
    assert sum(bool(found) for _, found in states) >= 12
    for seed, found in states:
        assert violations(found, seed.answers[0].text) == []
        given_ = seed.task.fields.get("constraints", {})
        assert all(given_[name] == value for name, value in found.items() if name in given_ and name != "must_include")


def test_an_evolved_row_is_judged_by_its_words_unless_the_recipe_says_no():
    task = Task(instruction="Explain rain in at most five words.")

    def judged(text, **policy):
        return domain.verify(task, text, Context(run=None, policy={**domain.policy, **policy})).status

    assert judged("Water falls from clouds.") == "pass"
    assert judged("Water falls from the clouds when it is cold.") == "fail"
    assert judged("Water falls from clouds.", read_text=False) == "unverifiable"


@pytest.mark.skipif(not DATA.is_dir(), reason="EVOLTUNE_DATA names no folder of data")
def test_real_instructions_without_plain_limits_give_nothing():
    lines = [
        line
        for name in ("self_instruct_seed_tasks", "user_oriented_instructions")
        for line in (DATA / "seeds" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    found = [stated_constraints(json.loads(line)["instruction"]) for line in lines]
    assert len(found) == 427 and sum(map(bool, found)) <= 4


@given(st.text(max_size=300))
def test_any_text_gives_only_constraints_that_can_be_checked(text):
    found = stated_constraints(text)
    assert set(found) <= set(CHECKS)
    violations(found, text)
