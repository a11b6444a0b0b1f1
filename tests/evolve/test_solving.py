"""Seeds without a worked solution: rewrite functions get the teacher's once it is verified, and never another."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from towns import ScriptedTeacher, grown, number_said, recipe, towns, unsolved_domain

from evoltune.errors import TeacherError
from evoltune.evolve.solving import completed
from evoltune.evolve.verifying import AnswerVerifier
from evoltune.recipe import Verification
from evoltune.record import Answer, Task, Verdict


def rules(**options):
    made = recipe(domain="towns:unsolved_domain", answer_seeds=True, **{"rounds": 1, "answers": 3, **options})
    return replace(made, verify=Verification(workers=1))


def town_of(request):
    return next(int(word) for word in request.messages[0][1].split() if word.isdigit())


def teacher(wrong=(), doubted=(), **options):
    """Right about every town's lamps (100 and its number), but for some towns; of its answers the first is wrong."""

    def answer(request):
        town = town_of(request)
        said = 7 if town in wrong else 100 + town
        return ["A guess = 3", *(f"The sum is 90 + {said - 90} = {said}" for _ in range(request.n - 1))]

    def count(request):
        return ["8" if town_of(request) in doubted else str(100 + town_of(request))]

    return ScriptedTeacher({"answer": answer, "count": count}, **options)


def references(rows):
    return sorted(row["task"]["reference"] for row in rows if row["parents"])


def test_a_verified_answer_is_built_on_with_a_reference_or_by_agreement(tmp_path):
    rows, ledger, asked = grown(tmp_path, rules(), unsolved_domain, teacher=teacher())
    assert references(rows) == ["101", "102", "103", "104", "105", "106"] and ledger["pending"] == 0
    # What nothing else can judge is asked for evidence as well.
    assert Counter(r.purpose for r in asked.asked) == {"answer": 6, "count": 3}
    assert [row["task"]["reference"] for row in rows if not row["parents"]].count(None) == 3, (
        "the seeds stay as they are"
    )


def test_an_answer_that_is_not_verified_is_not_built_on(tmp_path):
    rows, ledger, _ = grown(tmp_path, rules(), unsolved_domain, teacher=teacher(wrong=(0, 2), doubted=(3,)))
    assert references(rows) == ["102", "105", "106"]
    assert ledger["no rewrite: no worked solution"] == 3 and ledger["kept"] + 3 == ledger["in"]


def test_a_resumed_run_builds_on_the_same_and_judges_nothing_twice(tmp_path, monkeypatch):
    whole, ledger, _ = grown(tmp_path / "whole", rules(rounds=2), unsolved_domain, teacher=teacher())
    with pytest.raises(TeacherError):
        grown(tmp_path / "cut", rules(rounds=2), unsolved_domain, teacher=teacher(die_after=5))
    assert grown(tmp_path / "cut", rules(rounds=2), unsolved_domain, teacher=teacher())[:2] == (whole, ledger)
    monkeypatch.setattr(AnswerVerifier, "_verify", lambda *_: pytest.fail("an answer was judged again"))
    again = grown(tmp_path / "cut", rules(rounds=2), unsolved_domain, teacher=teacher(die_after=0))
    assert again[:2] == (whole, ledger)


WORDS = st.text("abc", min_size=1, max_size=3)
COLUMNS = st.dictionaries(st.sampled_from(["unit", "place", "other"]), WORDS)


@given(st.none() | WORDS, st.none() | WORDS, COLUMNS, COLUMNS, st.none() | WORDS)
def test_a_task_is_completed_and_never_changed(reference, tests, fields, evidence, found_tests):
    domain = towns(1, columns=("unit", "place"), extract=number_said)
    task = Task(instruction="How many?", reference=reference, tests=tests, fields=fields)
    told = {**evidence, **({"tests": found_tests} if found_tests else {})}
    done = completed(domain, task, [Answer(text="x = 5", model="m", verdict=Verdict(status="pass", evidence=told))])
    assert done.instruction == task.instruction
    assert done.reference == (reference or "5") and done.tests == (tests if tests is not None else found_tests)
    assert done.fields == {**{k: v for k, v in evidence.items() if k != "other"}, **fields}
