"""Operators that edit the solution first: what they make, what they cost, and that a resumed run makes the same."""

import asyncio
import os
import random
import re
import sys
import threading
from collections import Counter
from dataclasses import replace

import msgspec
import pytest
from towns import COUNTED, ScriptedTeacher, counted, grown, lamps, recipe

from evoltune.domain import Operator, Rewritten
from evoltune.errors import DomainError, RecipeError, TeacherError
from evoltune.evolve import rewriting
from evoltune.evolve.loop import draws_step
from evoltune.evolve.rewriting import Rewriter
from evoltune.evolve.yields import operator_yield
from evoltune.record import Record, Task
from evoltune.run.store import Step, Store
from evoltune.teacher.protocol import GivenUpError, Reply


def children(rows):
    return [row for row in rows if row["parents"]]


def test_children_have_a_computed_reference_and_their_own_solution_and_cost_no_call(tmp_path):
    rows, ledger, teacher = grown(tmp_path, recipe(rounds=1), lamps(12))
    assert len(children(rows)) == 8 and ledger["no rewrite: no lamps are counted"] == 4
    assert teacher.asked == []
    for row in children(rows):
        (answer,) = row["answers"]
        assert answer["model"] == "rewrite" and answer["text"].endswith(row["task"]["reference"])
        assert row["operator_version"] == {o.name: o.version for o in COUNTED}[row["operator"]]


def test_a_fusion_gets_both_parents(tmp_path):
    domain = lamps(6, operators=(COUNTED[0], replace(COUNTED[2], weight=50.0)))
    rows, _, _ = grown(tmp_path, recipe(rounds=2, fuse_after=2), domain)
    fused = [row for row in rows if row["operator"] == "joined"]
    assert fused and all(len(row["parents"]) == 2 for row in fused)
    assert all(" Besides: " in row["task"]["instruction"] for row in fused)


def test_fusions_alone_are_drawn_from_the_first_round_on_and_need_a_second_chain(tmp_path):
    rules = recipe(rounds=1, fuse_after=1)
    rows, ledger, _ = grown(tmp_path / "many", rules, lamps(6, operators=COUNTED[2:]))
    assert {row["operator"] for row in children(rows)} == {"joined"} and ledger["pending"] == 0
    _, ledger, _ = grown(tmp_path / "one", rules, lamps(1, operators=COUNTED[2:]))
    assert ledger["no rewrite: no second chain to fuse with"] == 1 and ledger["pending"] == 0
    with pytest.raises(RecipeError, match="nothing to draw before fusion"):
        grown(tmp_path / "late", recipe(rounds=2, fuse_after=2), lamps(6, operators=COUNTED[2:]))


def test_where_a_function_refuses_the_next_operator_gets_the_draw(tmp_path):
    harder = Operator(name="harder", template="One more demand:\n{instruction}", weight=0.01)
    teacher = ScriptedTeacher({"evolve": lambda r: [f"Explain the mirror of number {r.seed} carefully and fully."],
                               "equal": lambda r: ["Not equal"]})  # fmt: skip
    rows, ledger, teacher = grown(tmp_path, recipe(rounds=1), lamps(6, operators=(*COUNTED, harder)), teacher=teacher)
    assert Counter(row["operator"] for row in children(rows))["harder"] == 2
    assert len(children(rows)) == 6 and ledger["pending"] == 0


def test_a_resumed_run_makes_the_same_and_runs_no_program_twice(tmp_path, monkeypatch):
    rules = recipe(rounds=3, answer_rewrites=True)
    whole, ledger, _ = grown(tmp_path / "whole", rules, lamps(9))
    with pytest.raises(TeacherError):
        grown(tmp_path / "cut", rules, lamps(9), teacher=ScriptedTeacher(die_after=3))
    assert grown(tmp_path / "cut", rules, lamps(9))[:2] == (whole, ledger)
    # Everything is decided and noted: a third run needs neither a sandbox nor a teacher.
    monkeypatch.setattr(Rewriter, "_workers", lambda self: pytest.fail("a program ran again"))
    assert grown(tmp_path / "cut", rules, lamps(9), teacher=ScriptedTeacher(die_after=0))[:2] == (whole, ledger)


def test_the_teacher_answers_too_where_the_recipe_asks(tmp_path):
    rows, _, teacher = grown(tmp_path, recipe(rounds=1, answers=2, answer_rewrites=True), lamps(6))
    assert {len(row["answers"]) for row in children(rows)} == {3}
    assert {row["answers"][0]["model"] for row in children(rows)} == {"rewrite"}
    assert Counter(r.purpose for r in teacher.asked) == {"answer": len(children(rows))}


def keeps_numbers(task, wording):
    return "" if task.instruction.split()[-1] in wording else "another number"


def one_worker(rules):
    return msgspec.structs.replace(rules, verify=msgspec.structs.replace(rules.verify, workers=1))


def told(request):
    """What the function itself says of its lamps: "Then 7 lamps are added to 5."."""
    return request.messages[-1][1].rpartition("Then ")[2]


def adds_up(request):
    """A teacher that reads a question: what is added is added, what is taken is taken."""
    more, there = map(int, re.findall(r"(\d+) lamps are \w+ \w+ (\d+)", request.messages[-1][1])[0])
    total = there - more if "taken" in request.messages[-1][1] else there + more
    return [f"... = {total}", f"It is {there} and {more}, ... = {total}", "... = -1"]


@pytest.mark.parametrize(
    ("reply", "answers", "is_used"),
    [
        (lambda r: [f"How many lamps are there? {told(r)}"], adds_up, True),
        (lambda r: ["How many lamps are there?"], adds_up, False),
        (lambda r: [f"How many lamps are there? {told(r).replace('added to', 'taken from')}"], adds_up, False),
        (lambda r: [f"How many lamps are there? {told(r)}"], lambda r: GivenUpError("HTTP 400", "no"), False),
        (lambda r: [f"How many lamps\x07 are there? {told(r)}"], adds_up, False),
        (lambda r: [""], adds_up, False),
        (lambda r: Reply(texts=(f"How many lamps? {told(r)}",), truncated=(0,)), adds_up, False),
        (lambda r: GivenUpError("HTTP 400", "no"), adds_up, False),
    ],
)
def test_a_wording_is_used_where_it_states_the_same_and_is_solved_to_the_same(tmp_path, reply, answers, is_used):
    worded = Operator(name="counted", rewrite=counted, template="Other words:\n{instruction}", faithful=keeps_numbers)
    rules = one_worker(recipe(rounds=1, reword=True, answers=3, domain="towns:lamps_domain"))
    domain, script = lamps(6, operators=(worded,)), {"reword": reply, "answer": answers}
    rows, ledger, _ = grown(tmp_path, rules, domain, teacher=ScriptedTeacher(script))
    assert ["Describe" not in row["task"]["instruction"] for row in children(rows)] == [is_used] * 4
    again, same_ledger, silent = grown(tmp_path, rules, domain, teacher=ScriptedTeacher(script))
    assert (again, same_ledger) == (rows, ledger)
    assert not silent.asked or not is_used


def test_a_function_that_fails_is_an_error_that_names_operator_and_seed(tmp_path):
    def broken(parents, rng, context):
        raise KeyError("lamp")

    with pytest.raises(DomainError, match=r"operator 'broken' raised KeyError: 'lamp' on \['seed\d'\]"):
        grown(tmp_path, recipe(rounds=1), lamps(3, operators=(Operator(name="broken", rewrite=broken),)))


def test_an_operator_is_a_template_or_a_function_and_wordings_are_checked():
    with pytest.raises(DomainError, match="neither a template nor a rewrite function"):
        Operator(name="empty")
    with pytest.raises(DomainError, match="which nothing checks: give it `faithful`"):
        Operator(name="counted", rewrite=counted, template="{instruction}")
    with pytest.raises(DomainError, match="cannot be a rewrite"):
        Operator(name="counted", rewrite=counted, kind="turn")


def test_the_limits_of_programs_belong_to_the_step_only_where_functions_rewrite():
    def steps(domain):
        rules = recipe(rounds=1)
        return {draws_step(replaced, domain).key for replaced in (rules, _with_program_s(rules, 2.0))}

    assert len(steps(lamps(3))) == 2
    assert len(steps(lamps(3, operators=(Operator(name="harder", template="{instruction}"),)))) == 1


def _with_program_s(rules, seconds):
    return msgspec.structs.replace(rules, verify=msgspec.structs.replace(rules.verify, program_s=seconds))


def test_two_versions_of_an_operator_are_drawn_in_one_run_and_told_apart(tmp_path):
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "harder@short.txt").write_text("Shorter: {instruction}")
    rules = recipe(rounds=1, prompts=str(tmp_path / "prompts"))
    domain = lamps(30, operators=(Operator(name="harder", template="Harder: {instruction}"),))
    grown(tmp_path / "run", rules, domain)
    with Store.read(tmp_path / "run") as store:
        table = operator_yield(store, draws_step(rules, domain))
    assert [y.operator for y in table] == ["harder", "harder"] and len({y.version for y in table}) == 2
    assert sum(y.draws for y in table) == 30 and all(y.calls for y in table)


def test_the_version_is_part_of_the_lineage():
    plain = Record(domain="towns", task=Task(instruction="x"), operator="harder")
    assert replace(plain, operator_version="1").id != replace(plain, operator_version="2").id != plain.id


def test_a_changed_function_or_prompt_is_another_version():
    one = Operator(name="a", template="{instruction}")
    assert one.version == Operator(name="b", template="{instruction}").version != replace(one, template="x").version
    assert replace(one, rewrite=counted, faithful=keeps_numbers).version != one.version


def test_what_a_function_made_survives_its_note(tmp_path):
    class Once:
        """A rewrite function that may be asked once."""

        asked = 0

        def __call__(self, parents, rng, context):
            self.asked += 1
            from evoltune.domain import Job

            context.run(Job(program="pass"))
            task = Task(instruction="x", tests={"cases": [[[1], 2]]}, fields={"entry_point": "f"})
            return Rewritten(task=task, solution="y")

    import asyncio

    operator, blank = Operator(name="once", rewrite=Once()), Record(domain="towns", task=Task(instruction=""))

    async def ask(store):
        async with Rewriter(recipe(), lamps(3), Step(name="evolve", version="1"), store) as rewriter:
            return await rewriter.rewrite(blank, operator, [blank])

    with Store.open(tmp_path) as store:
        first, second = asyncio.run(ask(store)), asyncio.run(ask(store))
    assert first == second and operator.rewrite.asked == 1


def _made(text="A lamp.", **task):
    return Rewritten(task=Task(instruction=text, **task), solution="1")


FAULTS = {
    "returned NoneType": lambda p, r, c: None,
    "returned tuple": lambda p, r, c: (_made(), "x"),
    "task.reference that is no text": lambda p, r, c: _made(reference=12),
    "task.instruction that is no text": lambda p, r, c: _made(text=None),
    "cannot be stored as JSON text: Out of range": lambda p, r, c: _made(fields={"a": float("nan")}),
    "cannot be stored as JSON text: Object of type set": lambda p, r, c: _made(fields={"a": {1}}),
    "cannot be stored as JSON text: 'utf-8'": lambda p, r, c: _made(text="\ud800"),
    "fields that are no mapping with names": lambda p, r, c: _made(fields={1: 2}),
    r"called sys\.exit\(0\)": lambda p, r, c: sys.exit(0),
    r"called os\._exit\(0\)": lambda p, r, c: os._exit(0),  # a run would end as if it were done
    "CancelledError": lambda p, r, c: (_ for _ in ()).throw(asyncio.CancelledError()),
    "KeyboardInterrupt": lambda p, r, c: (_ for _ in ()).throw(KeyboardInterrupt()),
}


@pytest.mark.parametrize("said", FAULTS)
def test_what_an_authors_function_must_not_do_is_said_with_its_name(said, tmp_path):
    domain = lamps(2, operators=(Operator(name="faulty", rewrite=FAULTS[said]),))
    with pytest.raises(DomainError, match=f"operator 'faulty'.*{said}.*leave the operator out"):
        grown(tmp_path, recipe(rounds=1), domain)


def test_a_function_that_changes_its_parents_changes_copies(tmp_path):
    def thief(parents, rng, context):
        parents[0].task.fields["licence"] = "mine"
        object.__setattr__(parents[0].task, "instruction", "Something else.")
        return counted(parents, rng, context)

    domain = lamps(6, operators=(Operator(name="thief", rewrite=thief),))
    first, second = (grown(tmp_path, recipe(rounds=2), domain)[0] for _ in range(2))
    assert first == second
    assert "mine" not in str(first) and "Something else. Then" in str(first)


def test_a_function_that_is_no_function_of_its_parents_is_named_when_the_run_resumes(tmp_path):
    def moody(parents, rng, context):
        return counted(parents, random.Random(), context)

    domain = lamps(6, operators=(Operator(name="moody", rewrite=moody),))
    grown(tmp_path, recipe(rounds=1), domain)
    with pytest.raises(DomainError, match="operator 'moody' made another child of the same parents"):
        grown(tmp_path, recipe(rounds=1), domain)


def test_a_call_without_end_is_named_and_left_behind(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(rewriting, "SLOW_S", 0.01)
    monkeypatch.setattr(rewriting, "ENDLESS_S", 0.02)
    stopped = threading.Event()
    domain = lamps(1, operators=(Operator(name="endless", rewrite=lambda p, r, c: stopped.wait(60)),))
    with pytest.raises(DomainError, match="operator 'endless' does not end on"):
        grown(tmp_path, recipe(rounds=1), domain)
    stopped.set()
    assert "has been at work for" in capsys.readouterr().err
