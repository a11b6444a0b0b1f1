"""Draws: which calls are made, in which order, and what a failed one leaves behind."""

from collections import Counter

import pytest
from towns import ScriptedTeacher, grown, recipe, seed, towns

from evoltune.domain import Operator
from evoltune.evolve.chain import says_equal
from evoltune.record import record_from_json
from evoltune.teacher.protocol import GivenUpError, Reply


def test_a_failed_draw_leaves_the_head_for_the_next_round(tmp_path):
    drawn = Counter()

    def succeeds_the_second_time(request):
        head = request.messages[-1][1].partition("\n")[2]
        drawn[head] += 1
        return [f"{head} Count its seven lanterns too." if drawn[head] > 1 else ""]

    teacher = ScriptedTeacher({"evolve": succeeds_the_second_time, "equal": lambda r: ["Not equal"]})
    rows, ledger, _ = grown(tmp_path, recipe(rounds=2), teacher=teacher)
    children = [r for r in rows if r["parents"]]
    assert ledger["no text"] == 6
    assert len(children) == 6
    assert {r["round"] for r in children} == {2}


def test_an_equal_child_is_dropped_before_its_answer_is_paid(tmp_path):
    teacher = ScriptedTeacher(
        {
            "evolve": lambda r: [f"Explain the mirror of number {r.seed} carefully and fully."],
            "equal": lambda r: ["Equal"],
        }
    )
    _, ledger, _ = grown(tmp_path, recipe(rounds=1), teacher=teacher)
    assert ledger["no information gain"] == 6
    assert Counter(r.purpose for r in teacher.asked) == {"evolve": 6, "equal": 6}


def test_cheap_rules_save_the_judgement(tmp_path):
    teacher = ScriptedTeacher({"evolve": lambda r: ["#Rewritten Prompt#: Describe a castle."]})
    _, ledger, _ = grown(tmp_path, recipe(rounds=1), teacher=teacher)
    assert ledger["prompt residue"] == 6
    assert {r.purpose for r in teacher.asked} == {"evolve"}


def test_a_call_that_was_given_up_is_a_drop_with_a_reason_also_after_resuming(tmp_path):
    refuse = ScriptedTeacher({"evolve": lambda r: GivenUpError("HTTP 400", "too long")})
    _, ledger, _ = grown(tmp_path, recipe(rounds=1), teacher=refuse)
    assert ledger["teacher gave up: HTTP 400"] == 6
    _, again, teacher = grown(tmp_path, recipe(rounds=1))
    assert again == ledger
    assert teacher.asked == []


def test_earlier_turns_and_tags_pass_to_the_child(tmp_path):
    start = seed(1, history=(("user", "Hello."), ("assistant", "Hi.")), fields={"skill": "writing", "secret": 1})
    rows, _, teacher = grown(tmp_path, recipe(rounds=3), towns([start]))
    children = [r for r in rows if r["parents"]]
    assert children
    assert all(r["task"]["fields"] == {"skill": "writing"} for r in children)
    assert all(r.messages[0] == ("user", "Hello.") for r in teacher.asked)


def test_a_child_names_the_kind_of_reasoning_that_its_operator_asks_for_and_hands_it_on(tmp_path):
    template = "Rewrite with one more demand:\n{instruction}"
    tagged, plain = (
        Operator(name="odd", template=template, reasoning="lateral"),
        Operator(name="plain", template=template),
    )
    assert tagged.version != plain.version == Operator(name="other", template=template).version
    start = seed(1, fields={"reasoning": "one step"})
    for operators, kinds in (
        ((tagged,), {"lateral"}),
        ((plain,), {"one step"}),
        ((tagged, plain), {"lateral", "one step"}),
    ):
        domain = towns([start], operators=operators)
        rows, _, _ = grown(tmp_path / "-".join(o.name for o in operators), recipe(rounds=6, variants=4), domain)
        by_id = {record_from_json(row).id: row for row in rows}
        children = [row for row in rows if row["parents"]]
        assert {row["task"]["fields"]["reasoning"] for row in children} == kinds
        for row in children:
            handed = by_id[row["parents"][0]]["task"]["fields"]["reasoning"]
            assert row["task"]["fields"]["reasoning"] == ("lateral" if row["operator"] == "odd" else handed)


@pytest.mark.parametrize(("kind", "handed"), [("depth", "one step"), ("breadth", None), ("down", None)])
def test_a_new_or_easier_task_does_not_take_over_the_kind_of_reasoning(tmp_path, kind, handed):
    operator = Operator(name="other", template="Rewrite with one more demand:\n{instruction}", kind=kind)
    start = seed(1, fields={"reasoning": "one step", "skill": "writing"})
    rows, _, _ = grown(tmp_path, recipe(rounds=1, variants=8), towns([start], operators=(operator,)))
    child, *others = [row["task"]["fields"] for row in rows if row["parents"]]
    assert all(other == child for other in others)
    assert child == {"skill": "writing", **({"reasoning": handed} if handed else {})}


def test_the_first_survivor_is_the_head_of_the_next_round(tmp_path):
    teacher = ScriptedTeacher(
        {
            "evolve": lambda r: [f"Explain the mirror of number {r.seed} carefully and fully."],
            "equal": lambda r: ["Not equal"],
        }
    )
    rows, _, _ = grown(tmp_path, recipe(rounds=3, variants=2), towns(3), teacher=teacher)
    parents = [tuple(r["parents"]) for r in rows if r["parents"]]
    assert len(parents) == 3 * 2 * 3
    assert len(set(parents)) == 3 * 3  # each chain has a new head in each round


def test_a_child_that_repeats_the_operators_own_words_is_prompt_residue(tmp_path):
    echo = "Rewrite for a rarer case, and say which one of all cases it is:\n{instruction}"
    domain = towns(operators=(Operator(name="rarer", template=echo),))
    teacher = ScriptedTeacher({"evolve": lambda r: [f"Name a castle, and say which one of all cases it is, {r.seed}."]})
    _, ledger, _ = grown(tmp_path, recipe(rounds=1), domain, teacher=teacher)
    assert ledger["prompt residue"] == 6


def test_a_child_that_ended_at_the_token_limit_is_dropped(tmp_path):
    text = "Explain the mirror of number 7 carefully and fully."
    teacher = ScriptedTeacher({"evolve": lambda r: Reply(texts=(text,), truncated=(0,))})
    _, ledger, _ = grown(tmp_path, recipe(rounds=1), teacher=teacher)
    assert ledger["truncated"] == 6


@pytest.mark.parametrize(
    ("reply", "equal"),
    [("Equal", True), ("equal.", True), ("**Equal**", True), ("Not equal", False), ("They are not equal", False), ("NOT EQUAL.", False),
     ("They aren't equal", False), ("They aren’t equal", False), ("Equal? No.", False), ("Non-equal", False), ("Unequal", False), ("", False), ("I cannot say", False)],
)  # fmt: skip
def test_only_a_clear_equal_drops_a_child(reply, equal):
    assert says_equal(reply) is equal
