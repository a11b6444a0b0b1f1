"""Records: an id that depends on task and lineage alone, JSON without loss, scores of statuses."""

import json
from dataclasses import asdict, replace

import pytest

from evoltune.record import Answer, Record, Task, Verdict, record_from_json

TASK = Task(
    instruction="Add 1 and 2.", reference="3", tests=["assert f(1, 2) == 3"], fields={"entry_point": "f"},
    history=(("user", "Hello"), ("assistant", "Hi")), name="sums:1",
)  # fmt: skip
VERDICT = Verdict(status="fail", reason="3 is not 4", seconds=0.5, evidence={"extracted": "4"})
RECORD = Record(
    domain="math", task=TASK, parents=("a", "b"), operator="fuse", round=2, draw=1,
    answers=(Answer(text="4", model="m", verdict=VERDICT), Answer(text="3", model="seed")),
    evidence={"tests": ("assert True",)},
)  # fmt: skip


def test_an_id_is_the_same_on_every_machine():
    assert RECORD.id == "fb06a4052ec80220"


def test_an_id_does_not_depend_on_answers_or_evidence():
    assert replace(RECORD, answers=(), evidence={}).id == RECORD.id


@pytest.mark.parametrize(
    "change",
    [
        {"domain": "code"}, {"task": replace(TASK, reference="4")}, {"task": replace(TASK, name="sums:2")},
        {"parents": ("a",)}, {"operator": "depth"}, {"round": 3}, {"draw": 2},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_an_id_depends_on_task_and_lineage(change):
    assert replace(RECORD, **change).id != RECORD.id


def test_a_record_survives_json():
    copy = record_from_json(json.loads(json.dumps(asdict(RECORD))))
    assert copy == RECORD and copy.id == RECORD.id


@pytest.mark.parametrize(
    ("status", "score"),
    [("pass", 1.0), ("fail", 0.0), ("timeout", 0.0), ("memory", 0.0), ("error", None), ("unverifiable", None)],
)
def test_what_could_not_be_verified_has_no_score(status, score):
    assert Verdict(status=status).score == score
