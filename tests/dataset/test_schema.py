"""How a record becomes rows: chosen answers, messages, difficulty, licence and terms."""

from dataclasses import replace

import pytest

from evoltune.curate.licences import licence_of, refusal, terms_of
from evoltune.curate.quality import chosen_answers, difficulty, level_of
from evoltune.dataset.schema import COLUMNS, arrow_schema, to_rows
from evoltune.recipe import Curate, Evolve, Recipe, Seeds, Teacher, Verification
from evoltune.record import Record, Task, Verdict
from evoltune.verification.records import REPAIRS, ROUTE, Repair

PASS, FAIL, UNKNOWN = (Verdict(status=s) for s in ("pass", "fail", "unverifiable"))


def test_the_first_answer_that_passes_is_the_output_and_a_knob_gives_several_rows(record):
    answers = (("wrong", FAIL), ("right", PASS), ("also right", PASS), ("right", PASS))
    one = list(to_rows(record(answers=answers), Recipe(domain="toy")))
    assert [row["output"] for row in one] == ["right"]
    several = list(to_rows(record(answers=answers), Recipe(domain="toy", curate=Curate(answers_per_task=5))))
    assert [row["output"] for row in several] == ["right", "also right"]
    assert [row["id"] for row in several] == [record(answers=answers).id, record(answers=answers).id + ".1"]


def test_an_unverified_answer_is_taken_only_where_the_recipe_keeps_its_status(record):
    unsure = record(answers=(("maybe", UNKNOWN),))
    assert list(to_rows(unsure, Recipe(domain="toy"))) == []
    keeping = Recipe(domain="toy", verify=Verification(keep=("pass", "unverifiable")))
    (row,) = to_rows(unsure, keeping)
    assert (row["output"], row["verified_by"], row["confidence"]) == ("maybe", "", 0.0)


def test_a_failed_answer_is_never_the_output(record):
    assert chosen_answers(record(answers=(("failed", FAIL),))) == []


def test_messages_hold_the_earlier_turns(record):
    turns = record(history=(("user", "one"), ("assistant", "two")))
    (row,) = to_rows(turns, Recipe(domain="toy"))
    assert [m["role"] for m in row["messages"]] == ["user", "assistant", "user", "assistant"]
    assert row["messages"][-1]["content"] == row["output"]


def test_a_row_names_its_kind_of_reasoning(record):
    named = replace(record(), task=replace(record().task, fields={"reasoning": "critical"}))
    kinds = [next(to_rows(r, Recipe(domain="toy")))["reasoning_kind"] for r in (named, record())]
    assert kinds == ["critical", ""]


def test_repairs_do_not_count_for_the_difficulty(record):
    answers = (("wrong", FAIL), ("right", PASS), ("wrong again", FAIL), ("repaired", PASS))
    repairs = ("", "", "", Repair(of=2, reason="wrong").to_text())
    plain = record(answers=answers)
    assert difficulty(plain) == 5.5 and round(difficulty(replace(plain, evidence={REPAIRS: repairs})), 6) == 7.0


def test_difficulty_is_the_teachers_number_else_the_share_that_failed(record):
    judged = record(answers=(("a", PASS), ("b", FAIL)))
    rated = Record(domain="toy", task=Task(instruction="x"), evidence={"difficulty": ("Score: 8", "10/10", "about 3")})
    assert difficulty(rated) == 8.0 and difficulty(judged) == 5.5 and difficulty(record()) is None
    sampled = Verdict(status="pass", evidence={"pass_rate": {"passes": 1, "of": 4}})
    measured = replace(record(answers=(("a", sampled),)), evidence=rated.evidence)
    assert difficulty(measured) == 7.75  # before the rating
    assert [level_of(difficulty(r)) for r in (record(), judged, rated)] == ["not measured", "complex", "very complex"]


def test_licence_and_terms_stand_on_each_row_and_gate_it(record):
    recipe = Recipe(
        domain="toy",
        seeds=Seeds(licence="MIT"),
        teacher=Teacher(terms="Apache-2.0"),
        curate=Curate(licences=("MIT", "CC0")),
    )
    seed, own = record(), record(fields={"licence": "GPL-3.0"})
    evolved = Record(domain="toy", task=Task(instruction="x"), operator="deepen", parents=(seed.id,))
    assert licence_of(seed, recipe) == "MIT" and terms_of(seed, recipe) == ""
    assert refusal(seed, recipe) == ""
    assert refusal(own, recipe) == "licence GPL-3.0 not allowed"
    assert refusal(evolved, recipe) == "teacher terms Apache-2.0 not allowed"
    assert refusal(own, Recipe(domain="toy")) == ""


def by_route(*answers):
    return tuple((text, replace(PASS, evidence={ROUTE: where})) for text, where in answers)


def test_answers_of_different_routes_come_first(record):
    answers = by_route(("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b"), ("c1", "c"))
    chosen = [a.text for a in chosen_answers(record(answers=answers), most=9)]
    assert sorted(chosen[:3]) == ["a1", "b1", "c1"] and chosen[3:] == ["a2", "a3"]
    assert chosen == [a.text for a in chosen_answers(record(answers=answers), most=9)]


def test_no_route_is_preferred_for_having_been_asked_first(record):
    answers = by_route(*((f"a{i}", "a") for i in range(5)), ("b", "b"))
    firsts = [chosen_answers(record(i, answers=answers))[0].text for i in range(200)]
    assert 70 < firsts.count("b") < 130 and set(firsts) == {"a0", "b"}


def test_the_schema_is_the_one_that_the_datasets_library_writes():
    datasets = pytest.importorskip("datasets")
    recipe = Recipe(domain="toy", evolve=Evolve(keep_reasoning=True, repair=1))
    text = datasets.Value("string")
    types = {"messages": datasets.List({"role": text, "content": text}), "strings": datasets.List(text)}
    features = {name: types.get(kind) or datasets.Value(kind) for name, (kind, _) in COLUMNS.items()}
    wanted = datasets.Features(features | {"reasoning": text, "repaired": datasets.Value("int32")}).arrow_schema
    assert arrow_schema(recipe).equals(wanted, check_metadata=True)
