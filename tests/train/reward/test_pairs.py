"""Pairs of instructions out of a run's records, and labels out of verdicts."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.domain import Domain, Operator, load_domain
from evoltune.record import Answer, Record, Task, Verdict
from evoltune.train.reward.pairs import degrade, pairs_of
from evoltune.train.reward.stage import by_verdict, labelled
from evoltune.train.reward.steps import Label, hard_labels

TEXT = "Tom has 3 bags of 4 pens. He buys 5 more. How many pens does he have?"
DOMAIN = Domain(
    name="toy", seeds=list, verify=load_domain("math").verify,
    operators=(Operator(name="harder", template="{instruction}"), Operator(name="other", template="{instruction}", kind="breadth")),
)  # fmt: skip


def record(text: str, parent: Record | None = None, operator: str = "", *passed: bool) -> Record:
    answers = tuple(Answer(text="a", model="m", verdict=Verdict(status="pass" if p else "fail")) for p in passed)
    return Record(
        domain="toy", task=Task(instruction=text), parents=(parent.id,) if parent else (), operator=operator,
        round=int(parent is not None), answers=answers,
    )  # fmt: skip


@given(st.text(max_size=80), st.integers())
def test_a_degraded_text_is_another_text_or_none(text: str, seed: int):
    found = degrade(text, random.Random(seed))
    assert found is None or (found[0].strip() and found[0] != text)


def test_each_degradation_takes_something_away():
    found = {kind: text for seed in range(40) if (made := degrade(TEXT, random.Random(seed))) for text, kind in [made]}
    assert found["without its question"] == "Tom has 3 bags of 4 pens. He buys 5 more."
    assert found["without numbers"].startswith("Tom has some bags of some pens")
    assert sorted(found["shuffled"].split()) == sorted(TEXT.split()) and TEXT.startswith(found["cut"])


def test_pairs_come_from_degradations_parents_and_siblings_that_clearly_differ():
    seed = record(TEXT, None, "", True)
    good, bad = record("Harder one?", seed, "harder", True, True), record("Harder two?", seed, "harder", False, False)
    side = record("Another?", seed, "other", True, False)
    records = [seed, good, bad, side]
    rows = list(pairs_of(records, DOMAIN, ("parents", "siblings"), seed=1))
    told = [(row["chosen"], row["rejected"], row["method"]) for row in rows]
    assert ("Harder one?", TEXT, "parent") in told and ("Another?", TEXT, "parent") not in told
    assert ("Harder one?", "Harder two?", "pass rate") in told and len([t for t in told if t[2] == "pass rate"]) == 3
    assert {row["group"] for row in rows} == {seed.id}  # a family is never on both sides of the split
    only = list(pairs_of(records, DOMAIN, ("degraded",), seed=1, limit=2))
    assert [row["chosen"] for row in only] == [TEXT, "Harder one?"] == [r["chosen"] for r in only]
    assert only == list(pairs_of(records, DOMAIN, ("degraded",), seed=1, limit=2))


def test_what_an_easing_operator_was_given_is_above_what_it_wrote():
    easing = Operator(name="easier", template="{instruction}", kind="down")
    domain = Domain(name="toy", seeds=list, verify=DOMAIN.verify, operators=(easing,))
    seed = record(TEXT, None, "", True)
    rows = list(pairs_of([seed, record("Easy?", seed, "easier", True)], domain, ("parents",), seed=1))
    assert [(row["chosen"], row["rejected"]) for row in rows] == [(TEXT, "Easy?")]
    unsolved = record(TEXT, None, "", False)
    assert not list(pairs_of([unsolved, record("Easy?", unsolved, "easier", True)], domain, ("parents",), seed=1))


EXACT = hard_labels(3, first_error=-1, method="check")


@pytest.mark.parametrize(
    ("exact", "score", "values"),
    [
        (EXACT, 1.0, [1.0, 1.0, 1.0]),
        (EXACT, 0.0, [None, None, 0.0]),
        (EXACT, None, [None, None, None]),
        (hard_labels(3, first_error=1, method="check"), 1.0, [1.0, 0.0, None]),
        (hard_labels(3, first_error=0, method="check"), 0.0, [0.0, None, None]),
        ((Label(),) * 3, 1.0, [1.0, 1.0, 1.0]),
        ((), 0.0, []),
    ],
)
def test_a_wrong_equation_goes_before_the_verdict(exact, score, values):
    assert [label.value for label in by_verdict(exact, score)] == values


def test_an_answer_is_labelled_by_its_domain_and_its_verdict():
    task = Task(instruction=TEXT, reference="17", name="t")
    answer = Answer(text="3 * 4 = 13\n13 + 5 = 18\n#### 18", model="m", verdict=Verdict(status="fail"))
    solution = labelled(load_domain("math"), Record(domain="math", task=task), answer, use_check=True)
    assert [label.value for label in solution.labels] == [0.0, None, None] and solution.extra == {"reference": "17"}
    alone = labelled(load_domain("math"), Record(domain="math", task=task), answer, use_check=False)
    assert [label.value for label in alone.labels] == [None, None, 0.0]
