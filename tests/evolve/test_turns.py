"""Dialogues that grow: the next turn follows a kept answer, and a row whose earlier turn failed is refused."""

from dataclasses import replace

import pytest
from towns import ScriptedTeacher, grown, recipe, seed, towns

from evoltune.curate.turns import failed_turn
from evoltune.domain import Operator
from evoltune.evolve.loop import draws_step
from evoltune.record import Answer, Drop, Record, Task, Verdict
from evoltune.run.store import Step, Store

NEXT = Operator(name="next", template="They said: {instruction}\nReply: {answer}\nWhat do they say next?", kind="turn")
HARDER = Operator(name="harder", template="Rewrite with one more demand:\n{instruction}")


def says(request):
    return [f"And which of them is the oldest, number {request.seed}?"]


def asks(**script):
    return ScriptedTeacher({"evolve": says, "equal": lambda r: ["Not equal"], **script})


def test_a_next_turn_follows_the_instruction_and_its_answer(tmp_path):
    rows, ledger, teacher = grown(tmp_path, recipe(rounds=2), towns(3, operators=(NEXT,)), teacher=asks())
    turns = {len(r["task"]["history"]) for r in rows}
    assert ledger["kept"] == 9 and turns == {0, 2, 4}
    byid = {(r["task"]["instruction"]): r for r in rows}
    for row in rows:
        if row["task"]["history"]:
            *_, (asker, asked), (replier, reply) = row["task"]["history"]
            assert (asker, replier) == ("user", "assistant") and reply == byid[asked]["answers"][0]["text"]
    assert {r.purpose for r in teacher.asked} == {"evolve", "answer"}  # a next turn is not compared with the one before
    answer = next(r for r in teacher.asked if r.purpose == "answer" and len(r.messages) == 5)
    assert [role for role, _ in answer.messages] == ["user", "assistant", "user", "assistant", "user"]


def test_a_struck_answer_is_not_followed(tmp_path):
    starts = [
        seed(
            1, answers=(Answer(text="Bad.", model="m", verdict=Verdict(status="fail")), Answer(text="Good.", model="m"))
        ),
        seed(2, answers=()),
    ]
    rows, ledger, _ = grown(tmp_path, recipe(rounds=1), towns(starts, operators=(NEXT,)), teacher=asks())
    assert [r["task"]["history"][-1] for r in rows if r["parents"]] == [("assistant", "Good.")]
    assert ledger["no reply to follow"] == 1


def test_a_head_without_a_reply_draws_another_operator(tmp_path):
    domain = towns([seed(i, answers=()) for i in range(4)], operators=(NEXT, HARDER))
    rows, ledger, _ = grown(tmp_path, recipe(rounds=1), domain, teacher=asks())
    assert {r["operator"] for r in rows if r["parents"]} == {"harder"} and "no reply to follow" not in ledger


def test_a_resumed_run_asks_nothing_and_keeps_the_same_dialogues(tmp_path):
    domain, rules = towns(4, operators=(NEXT, HARDER)), recipe(rounds=3, answer_seeds=True)
    first, _, _ = grown(tmp_path, rules, domain, teacher=asks())
    again, _, teacher = grown(tmp_path, rules, domain, teacher=asks())
    assert again == first and teacher.asked == []
    with Store.open(tmp_path) as store:  # verdicts of a later stage do not change which answer was followed
        step = draws_step(rules, domain)
        verify = Step(name="verify", version="1", before=step)
        failed = Verdict(status="fail")
        store.decide(
            verify,
            [Drop(record=replace(r, answers=tuple(replace(a, verdict=failed) for a in r.answers)), reason="fail") for r in store.todo(verify)],
        )  # fmt: skip
    again, _, teacher = grown(tmp_path, recipe(rounds=4, answer_seeds=True), domain, teacher=asks())
    assert sum(r.purpose == "evolve" for r in teacher.asked) == 4  # the draws of the new round, and no other
    assert [r["task"] for r in again if r["round"] < 4] == [r["task"] for r in first]


@pytest.mark.parametrize(
    ("status", "reason"), [("pass", ""), ("fail", "an earlier turn failed"), ("unverifiable", "an earlier turn failed")]
)
def test_a_row_with_a_failed_turn_is_refused_with_all_that_grew_from_it(tmp_path, status, reason):
    first = seed(1, answers=(Answer(text="Because.", model="m"),))
    history = (("user", first.task.instruction), ("assistant", "Because."))
    second = Record(domain="towns", task=Task(instruction="And then?", history=history), parents=(first.id,), round=1)
    rewritten = Record(
        domain="towns", task=Task(instruction="And then, in May?", history=history), parents=(second.id,), round=2
    )
    other = seed(2, history=(("user", "Hello."), ("assistant", "Hi.")))
    evolve, verify = Step(name="evolve", version="1"), None
    verify = Step(name="verify", version="1", before=evolve)
    with Store.open(tmp_path) as store:
        store.decide(evolve, [first, second, rewritten, other])
        judged = replace(first, answers=(replace(first.answers[0], verdict=Verdict(status=status)),))
        store.decide(verify, [judged, second, rewritten, other])
        refuse = failed_turn(store, verify, ("pass",))
        assert [refuse(store.record(r.id, verify)) for r in (first, second, rewritten, other)] == [
            "",
            reason,
            reason,
            "",
        ]
