"""Which siblings a judge tells apart, asked in both orders."""

import asyncio
import re

import pytest

from evoltune.recipe import Teacher, load_recipe
from evoltune.record import Record, Task
from evoltune.teacher.protocol import GivenUpError, Reply, Request
from evoltune.train.plan import make_plan
from evoltune.train.reward.siblings import in_rows, judged_pairs, most_calls


class Judge:
    """Replies by a function of the two instructions and of how often it was asked about them in this order."""

    def __init__(self, says) -> None:
        self.says, self.asked = says, []

    async def complete(self, request: Request) -> Reply:
        a, b = re.findall(r"\[Instruction [AB]\]\n(.*)", request.messages[0][1])
        self.asked.append((a, b))
        if (word := self.says(a, b, self.asked.count((a, b)))) is None:
            raise GivenUpError("refused")
        return Reply(texts=(f"A or B, I weigh them.\n{word}",))


def family(*texts: str, parent: str = "p", number: int = 1) -> list[Record]:
    return [
        Record(domain="toy", task=Task(instruction=t), parents=(parent,), operator="o", round=number) for t in texts
    ]


def rows_of(records: list[Record], judge: Judge) -> list[tuple[str, str]]:
    rows = asyncio.run(judged_pairs(records, judge, Teacher(), 3))
    assert all((row["method"], row["group"]) == ("judge", "p") for row in rows)
    return [(row["chosen"], row["rejected"]) for row in rows]


def by_number(a: str, b: str, times: int) -> str:
    return "TIE" if a[-1] == b[-1] else "A" if a[-1] > b[-1] else "B"


def test_each_sibling_is_compared_with_the_next_in_both_orders_and_the_better_one_is_chosen():
    records, judge = family("task 1", "task 2", "task 3", "task 4"), Judge(by_number)
    rows = rows_of(records, judge)
    assert len(rows) == 3 and all(chosen > rejected for chosen, rejected in rows)
    assert len(judge.asked) == 6 and {(b, a) for a, b in judge.asked} == set(judge.asked)


def test_only_children_of_one_parent_and_round_are_compared():
    records = [*family("a 1", "a 2"), *family("b 1", parent="q"), *family("c 1", number=2), *family("c 2", number=2)]
    assert {(a.parents, a.round) for a, _ in in_rows(records, 1)} == {(("p",), 1), (("p",), 2)}
    assert all((a.parents, a.round) == (b.parents, b.round) for a, b in in_rows(records, 1))


@pytest.mark.parametrize("word", ["A", "B", "TIE", "nonsense", None])
def test_a_judge_that_goes_by_the_order_or_cannot_be_read_labels_nothing(word: str | None):
    assert rows_of(family("task 1", "task 2"), Judge(lambda a, b, times: word)) == []


def test_a_win_in_one_order_and_a_tie_in_the_other_is_a_tie():
    assert rows_of(family("task 1", "task 2"), Judge(lambda a, b, times: "A" if a > b else "TIE")) == []


def test_a_reply_that_cannot_be_read_is_asked_for_again():
    judge = Judge(lambda a, b, times: by_number(a, b, times) if times == 2 else "perhaps")
    assert rows_of(family("task 1", "task 2"), judge) == [("task 2", "task 1")] and len(judge.asked) == 4


def test_the_plan_bounds_the_calls():
    base = load_recipe("smoke/math", ["reward.instructions={}"])
    asking = load_recipe("smoke/math", ["reward.instructions={pairs: [judged], limit: 9}"])
    assert most_calls(base, 100) == 0 and most_calls(asking, 100) == 36 and most_calls(asking, 5) == 20
    assert make_plan(asking).calls == make_plan(base).calls + 36
