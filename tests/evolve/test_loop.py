"""The evolve stage: conservation, determinism, resuming, what is drawn and from which seeds."""

import pytest
from budgeted import Budgeted
from msgspec.structs import replace
from towns import ScriptedTeacher, grown, recipe, seed, towns

from evoltune import recipe as recipes
from evoltune.domain import Operator
from evoltune.errors import BudgetError, RecipeError, TeacherError
from evoltune.evolve.loop import evolve, evolve_step
from evoltune.run.store import Store
from evoltune.teacher.budget import BudgetMeter
from evoltune.teacher.journal import Journalled


def test_every_planned_draw_ends_as_one_decision(tmp_path):
    rows, ledger, _ = grown(tmp_path, recipe(rounds=3, variants=2))
    assert ledger["in"] == 6 + 6 * 3 * 2
    assert ledger["pending"] == 0
    assert {"no text", "prompt residue", "no information gain"} <= set(ledger)
    assert len(rows) == ledger["kept"] > 6


def test_seeds_are_kept_as_they_are(tmp_path):
    rows, _, _ = grown(tmp_path, recipe(rounds=0))
    assert [r["answers"][0]["model"] for r in rows] == ["seed"] * 6


def test_data_do_not_depend_on_the_order_of_replies(tmp_path):
    first, one, _ = grown(tmp_path / "a", recipe(variants=2))
    second, two, _ = grown(tmp_path / "b", recipe(variants=2))
    assert first == second
    assert one == two


def test_another_recipe_seed_draws_other_data(tmp_path):
    first, _, _ = grown(tmp_path / "a")
    second, _, _ = grown(tmp_path / "b", replace(recipe(), seed=7))
    assert {r["task"]["instruction"] for r in first} != {r["task"]["instruction"] for r in second}


def test_a_second_run_asks_nothing_and_changes_nothing(tmp_path):
    first, ledger, _ = grown(tmp_path)
    again, same_ledger, teacher = grown(tmp_path)
    assert teacher.asked == []
    assert (again, same_ledger) == (first, ledger)


@pytest.mark.parametrize("after", [0, 1, 5, 13, 30])
def test_a_teacher_that_dies_leaves_a_run_that_can_go_on(tmp_path, after):
    whole, ledger, unbroken = grown(tmp_path / "whole")
    with pytest.raises(TeacherError, match="gone"):
        grown(tmp_path / "broken", teacher=ScriptedTeacher(die_after=after))
    rows, again, teacher = grown(tmp_path / "broken")
    assert rows == whole
    assert again == ledger
    assert len(teacher.asked) + after == len(unbroken.asked)


def test_rounds_can_be_run_one_by_one(tmp_path):
    whole, _, _ = grown(tmp_path / "whole")
    for k in (1, 2, 3):
        rows, ledger, _ = grown(tmp_path / "steps", max_round=k)
        assert ledger["in"] == 6 + 6 * k
    assert rows == whole


def test_concurrency_is_bounded_by_the_number_of_chains(tmp_path):
    _, _, teacher = grown(tmp_path, recipe(rounds=1), towns(40))
    assert teacher.most_in_flight <= 9  # twice the 4 calls, and one more


def test_recipe_weights_draw_only_what_they_name(tmp_path):
    rows, _, _ = grown(tmp_path, recipe(operators={"rarer": 2.0}))
    assert {r["operator"] for r in rows} == {"", "rarer"}


def test_an_unknown_operator_is_named_with_the_nearest(tmp_path):
    with pytest.raises(RecipeError, match="did you mean 'harder'"):
        grown(tmp_path, recipe(operators={"harde": 1.0}))


def test_the_step_changes_with_what_decisions_depend_on_but_not_with_rounds():
    base = evolve_step(recipe(), towns()).version
    assert evolve_step(recipe(rounds=9), towns()).version == base
    assert evolve_step(recipe(answers=2), towns()).version != base
    assert evolve_step(replace(recipe(), seed=1), towns()).version != base


def test_a_budget_stops_the_run_and_a_higher_one_goes_on(tmp_path):
    rules = recipe(budget=recipes.Budget(calls=10))
    teacher = ScriptedTeacher()
    with Store.open(tmp_path) as store:
        meter = BudgetMeter(rules.teacher.budget, rules.teacher.price, store)
        with pytest.raises(BudgetError, match="calls: 10 of 10"):
            evolve(rules, towns(), store, teacher=Journalled(Budgeted(teacher, meter), store))
    assert len(teacher.asked) == 10
    whole, _, _ = grown(tmp_path / "whole")
    rows, _, _ = grown(tmp_path)
    assert rows == whole


def test_chains_can_grow_from_some_of_the_seeds_and_the_others_stay(tmp_path):
    rows, ledger, _ = grown(tmp_path, recipe(rounds=2, chains=2))
    assert ledger["in"] == 6 + 2 * 2
    assert sum(not r["parents"] for r in rows) == 6
    domain = towns([seed(i, answers=()) for i in range(6)])
    rows, ledger, _ = grown(tmp_path / "b", recipe(rounds=1, chains=2, answer_seeds=True), domain)
    assert ledger["in"] == 6 + 2
    assert all(r["answers"] for r in rows)


def test_fusion_begins_late_and_has_two_parents(tmp_path):
    join = Operator(name="join", template="Join {instruction} AND {other}", kind="fuse", weight=9.0)
    domain = towns(operators=(*towns().operators, join))
    rows, ledger, teacher = grown(tmp_path / "a", recipe(rounds=4, fuse_after=3), domain)
    fused = [r for r in rows if r["operator"] == "join"]
    assert fused
    assert all(len(r["parents"]) == 2 and r["round"] >= 3 for r in fused)
    assert all("{other}" not in str(r.messages) for r in teacher.asked)
    again, _, _ = grown(tmp_path / "b", recipe(rounds=4, fuse_after=3), domain)
    assert again == rows
    assert ledger["in"] == 6 + 24
