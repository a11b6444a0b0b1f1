"""Repairs and further tries: what is sent back, when it ends, what stays with the row, and that nothing is paid twice."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from towns import ScriptedTeacher, grown, recipe, unanswered_domain

from evoltune.errors import RecipeError, TeacherError
from evoltune.evolve.tries import check_tries, refers_back
from evoltune.evolve.verifying import MAX_FEEDBACK, AnswerVerifier, feedback
from evoltune.recipe import Verification
from evoltune.record import Answer, Record, Task, Verdict
from evoltune.teacher.protocol import GivenUpError, Reply
from evoltune.verification.records import NO_ANSWER, REPAIRS, Repair, repairs_of, times_repaired


def rules(rounds=0, **options):
    made = recipe(domain="towns:unanswered_domain", rounds=rounds, answer_seeds=True, **options)
    return replace(made, verify=Verification(workers=1))


def town_of(request):
    """The number that stands in the task: its reference is 100 more."""
    return next(int(word) for word in request.messages[0][1].split() if word.isdigit())


def repaired_at(depth):
    """A teacher that is right once `depth` of its answers have been sent back in one conversation, or in a row."""

    def answer(request):
        told = sum(role == "user" for role, _ in request.messages) - 1
        return [f"The sum is 1 + 1 = {100 + town_of(request)}" if told >= depth else f"I count = {told}"] * request.n

    return ScriptedTeacher({"answer": answer, "repair": answer})


def answers(row):
    return [answer["text"] for answer in row["answers"]]


def test_a_failed_answer_goes_back_with_what_is_wrong_until_one_passes(tmp_path):
    rows, ledger, teacher = grown(tmp_path, rules(repair=2), unanswered_domain, teacher=repaired_at(1))
    assert ledger["kept"] == len(rows) == 4 and ledger["pending"] == 0
    assert Counter(r.purpose for r in teacher.asked) == {"answer": 4, "repair": 4}
    for row in rows:
        record = Record(
            domain="towns", task=Task(instruction=""), answers=tuple(row["answers"]), evidence=row["evidence"]
        )
        assert answers(row) == ["I count = 0", f"The sum is 1 + 1 = {row['task']['reference']}"]
        assert [times_repaired(record, i) for i in (0, 1)] == [0, 1]
        assert repairs_of(record)[1].of == 0 and "its final answer, 0, is not right" in repairs_of(record)[1].reason


def test_the_conversation_holds_the_failed_answer_and_never_the_reference(tmp_path):
    _, _, teacher = grown(tmp_path, rules(repair=3), unanswered_domain, teacher=repaired_at(9))
    sent = [r for r in teacher.asked if r.purpose == "repair"]
    assert len(sent) == 12
    for request in sent:
        assert [role for role, _ in request.messages] == ["user", "assistant", "user"]
        said = " ".join(text for _, text in request.messages)
        assert str(100 + town_of(request)) not in said and request.messages[1][1].startswith("I count = ")


@pytest.mark.parametrize(
    ("options", "answers_each"),
    [({}, 1), ({"answers": 2, "repair": 1}, 4), ({"repair": 9, "tries": 4}, 4), ({"answers": 2, "repair": 2, "tries": 10}, 10)],
)  # fmt: skip
def test_tries_end_at_their_number(tmp_path, options, answers_each):
    rows, _, teacher = grown(tmp_path, rules(**options), unanswered_domain, teacher=repaired_at(99))
    assert {len(row["answers"]) for row in rows} == {answers_each}
    assert len({r.seed for r in teacher.asked}) == len(teacher.asked)


def test_new_answers_follow_when_repairs_are_used_up_and_stop_with_the_first_that_passes(tmp_path):
    def second_answer(request):
        first = request.seed == starts.setdefault(request.record, request.seed)
        return ["I count = 1" if first else f"So = {100 + town_of(request)}"]

    starts = {}
    teacher = ScriptedTeacher({"answer": second_answer, "repair": lambda r: ["Then = 2"]})
    rows, _, teacher = grown(tmp_path, rules(repair=2, tries=10), unanswered_domain, teacher=teacher)
    assert Counter(r.purpose for r in teacher.asked) == {"answer": 8, "repair": 8}
    for row in rows:
        assert answers(row)[:3] == ["I count = 1", "Then = 2", "Then = 2"] and len(row["answers"]) == 4
        assert [bool(text) for text in row["evidence"][REPAIRS]] == [False, True, True, False]


def test_a_resumed_run_asks_for_nothing_twice_and_judges_nothing_again(tmp_path, monkeypatch):
    options = {"rounds": 1, "repair": 1, "tries": 3, "answer_rewrites": True}
    whole, ledger, teacher = grown(tmp_path / "whole", rules(**options), unanswered_domain, teacher=repaired_at(1))
    with pytest.raises(TeacherError):
        first = repaired_at(1)
        first.die_after = 5
        grown(tmp_path / "cut", rules(**options), unanswered_domain, teacher=first)
    again, same, second = grown(tmp_path / "cut", rules(**options), unanswered_domain, teacher=repaired_at(1))
    assert (again, same) == (whole, ledger)
    assert len(first.asked) + len(second.asked) == len(teacher.asked)
    monkeypatch.setattr(AnswerVerifier, "_verify", lambda *_: pytest.fail("an answer was judged again"))
    silent = ScriptedTeacher(die_after=0)
    assert grown(tmp_path / "cut", rules(**options), unanswered_domain, teacher=silent)[:2] == (whole, ledger)


def test_tasks_that_only_agreement_could_judge_get_no_further_try(tmp_path):
    script = {
        "evolve": lambda r: [f"Explain the mirror of number {r.seed} carefully and fully."],
        "equal": lambda r: ["Not equal"],
    }
    options = {"rounds": 1, "repair": 1, "tries": 9, "operators": {"harder": 1.0}}
    rows, _, _ = grown(tmp_path, rules(**options), unanswered_domain, teacher=ScriptedTeacher(script))
    assert {len(row["answers"]) for row in rows if row["operator"] == "harder"} == {1}
    assert {len(row["answers"]) for row in rows if not row["parents"]} == {9}


@pytest.mark.parametrize(
    ("reply", "struck"),
    [
        (lambda r: Reply(texts=(f"= {100 + town_of(r)}",), truncated=(0,)), "truncated"),
        (lambda r: ["My previous answer was wrong. The sum is = 3"], "speaks of an earlier answer"),
        (lambda r: [""], "empty answer"),
    ],
)
def test_a_repair_is_held_to_the_rules(tmp_path, reply, struck):
    teacher = ScriptedTeacher({"answer": lambda r: ["I count = 0"], "repair": reply})
    rows, _, _ = grown(tmp_path, rules(repair=1), unanswered_domain, teacher=teacher)
    assert {row["answers"][1]["verdict"]["reason"] for row in rows} == {struck}


def test_a_call_that_is_given_up_leaves_the_row_as_it_was(tmp_path):
    teacher = ScriptedTeacher({"answer": lambda r: ["= 0"], "repair": lambda r: GivenUpError("HTTP 400", "no")})
    rows, ledger, _ = grown(tmp_path, rules(repair=2), unanswered_domain, teacher=teacher)
    assert {len(row["answers"]) for row in rows} == {1} and ledger["kept"] == 4


def test_thoughts_stay_beside_their_answers(tmp_path):
    def thinking(request):
        told = len(request.messages) > 1
        text = f"= {100 + town_of(request)}" if told else "= 0"
        return Reply(texts=(text,), thoughts=("told",) if told else ())

    teacher = ScriptedTeacher({"answer": thinking, "repair": thinking})
    rows, _, _ = grown(tmp_path, rules(repair=1, keep_reasoning=True), unanswered_domain, teacher=teacher)
    assert {tuple(row["evidence"]["reasoning"]) for row in rows} == {("", "told")}


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        (Verdict(status="fail", reason="failed: assert f(2) == 4"), "failed: assert f(2) == 4"),
        (Verdict(status="fail", reason="case 3: got 5, expected 4", evidence={"test": "f(2)"}), "f(2): got 5, expected 4"),
        (Verdict(status="timeout", reason="more than 5 s of CPU"), "more than 5 s of CPU"),
        (Verdict(status="fail", reason=NO_ANSWER), "no final answer can be found in it"),
        (Verdict(status="fail"), "it does not solve the task"),
        (Verdict(status="error", reason="the worker died"), ""),
        (Verdict(status="unverifiable", reason="no tests"), ""),
        (Verdict(status="pass"), ""),
    ],
)  # fmt: skip
def test_what_the_teacher_is_told(verdict, told):
    assert feedback(Task(instruction="x", tests=["assert f(2) == 4"]), verdict) == told


@given(st.text("0123456789abc=+ ", min_size=1, max_size=12), st.text(max_size=30), st.text(max_size=30))
def test_a_reason_that_states_the_reference_is_not_passed_on(reference, before, after):
    reason = f"{before} expected {reference} , not {after}"
    if not reference.strip():
        return
    found = feedback(Task(instruction="x", reference=reference), Verdict(status="fail", reason=reason))
    assert found == "it does not solve the task"


@given(st.text(max_size=3 * MAX_FEEDBACK), st.text(max_size=3 * MAX_FEEDBACK))
def test_what_the_teacher_is_told_is_bounded(reason, extracted):
    verdict = Verdict(status="fail", reason=reason, evidence={"extracted": extracted})
    assert 0 < len(feedback(Task(instruction="x"), verdict)) <= MAX_FEEDBACK


@pytest.mark.parametrize(
    "text",
    ["You're right, the sum is 4.", "I apologise: 4.", "Here is the corrected code:", "My mistake was the sign.",
     "As in my first attempt, we add.", "The previous answer was 5."],
)  # fmt: skip
def test_texts_that_speak_of_an_answer_before_them(text):
    assert refers_back(text)


@pytest.mark.parametrize(
    "text",
    ["The first solution is x = 2, the last one x = 3.", "The previous term is 4.", "She made two mistakes in the test.",
     "An error was raised.", "The updated price is 5."],
)  # fmt: skip
def test_texts_that_do_not(text):
    assert not refers_back(text)


def test_tries_must_leave_room_for_one():
    with pytest.raises(RecipeError, match="leave no further try"):
        check_tries(recipe(answers=4, tries=4).evolve)
    check_tries(recipe(answers=4, tries=5).evolve)


def test_a_repair_survives_its_text_and_is_found_at_its_answer():
    chain = ("", Repair(of=0, reason="a").to_text(), Repair(of=1, reason="b").to_text())
    several = tuple(Answer(text=str(i), model="m") for i in range(4))
    record = Record(domain="x", task=Task(instruction="x"), answers=several, evidence={REPAIRS: chain})
    assert [times_repaired(record, i) for i in range(4)] == [0, 1, 2, 0]
