"""Labels of steps: by exact check, by rollouts and binary search, by a judge."""

import asyncio
import math
from collections.abc import Callable

import pytest

from evoltune.domain import Domain, load_domain
from evoltune.errors import DomainError
from evoltune.recipe import Teacher as TeacherConfig
from evoltune.record import Task
from evoltune.teacher.protocol import GivenUpError, Reply, Request
from evoltune.train.reward.labelling import Labeller, checked, read_first_error
from evoltune.train.reward.steps import consensus
from evoltune.verification.checker import open_checker

TASK = Task(instruction="Tom has 3 bags of 4 pens and buys 5 more. How many pens?", reference="17")


class Oracle:
    """Completes rightly whatever has no wrong line yet, and otherwise goes on from the wrong number."""

    def __init__(self, answer: Callable[[str, int], str | None]) -> None:
        self.answer, self.requests = answer, []

    async def complete(self, request: Request) -> Reply:
        text = self.answer(request.messages[0][1], len(self.requests))
        self.requests.append(request)
        if text is None:
            raise GivenUpError("refused")
        return Reply(texts=(text,))


@pytest.fixture(scope="module")
def checker():
    with open_checker("math", workers=1) as opened:
        yield opened


def labels_of(oracle: Oracle, checker, steps, method="rollouts", tries=4):
    labeller = Labeller(teacher=oracle, config=TeacherConfig(), checker=checker, tries=tries)
    return asyncio.run(getattr(labeller, method)(TASK, steps))


@pytest.mark.parametrize("wrong", range(-1, 6))
def test_binary_search_finds_the_first_wrong_step_with_a_logarithm_of_rollouts(checker, wrong: int):
    steps = [f"line {i}{' BAD' if i == wrong else ''}" for i in range(5)]
    steps.append("#### 16" if wrong >= 0 else "#### 17")
    oracle = Oracle(lambda prompt, n: "#### 16" if "BAD" in prompt else ["#### 9", "#### 17"][n % 2])
    labels = labels_of(oracle, checker, steps)
    expected = [1.0] * 6 if wrong < 0 else [1.0] * wrong + [0.0] + [None] * (5 - wrong)
    assert [label.value for label in labels] == expected
    assert len(oracle.requests) <= 4 * math.ceil(math.log2(7))
    seen = [label for label in labels if label.tried]
    assert seen and all(label.method == "rollouts" and label.tried in (1, 4) for label in seen)
    assert len({request.seed for request in oracle.requests}) == len(oracle.requests)


def test_soft_labels_are_the_share_of_rollouts_that_pass(checker):
    oracle = Oracle(lambda prompt, n: "#### 17" if n % 4 else "#### 18")
    labels = labels_of(oracle, checker, ["3 * 4 = 12", "12 + 5 = 17", "#### 17"], "soft")
    assert [(label.value, label.tried, label.passed) for label in labels] == [(0.75, 4, 3), (0.75, 4, 3), (1.0, 1, 1)]


def test_rollouts_that_nobody_gave_leave_no_label(checker):
    labels = labels_of(Oracle(lambda prompt, n: None), checker, ["a", "b", "c", "d"])
    assert [label.value for label in labels] == [None] * 4


def test_a_judge_is_asked_again_until_its_last_line_is_one_number(checker):
    replies = ["I think step 2", "Fine.\n1 or 2", "Step 2 adds wrongly.\n2"]
    labels = labels_of(Oracle(lambda prompt, n: replies[n]), checker, ["a", "b", "c"], "judged")
    assert [label.value for label in labels] == [1.0, 0.0, None] and labels[0].method == "judge"
    silent = labels_of(Oracle(lambda prompt, n: "maybe"), checker, ["a", "b"], "judged")
    assert [label.value for label in silent] == [None, None]


@pytest.mark.parametrize(
    ("reply", "number"), [("0", 0), ("ok\n\nStep 3.", 3), ("4", None), ("1 2", None), ("", None), ("none", None)]
)
def test_only_a_last_line_with_one_possible_number_is_read(reply: str, number: int | None):
    assert read_first_error(reply, 3) == number


def test_the_exact_check_labels_wrong_arithmetic_and_agrees_with_rollouts(checker):
    steps = ["3 * 4 = 12", "12 + 5 = 18", "#### 18"]
    exact = checked(load_domain("math"), TASK, steps)
    assert [label.value for label in exact] == [1.0, 0.0, None]
    rolled = labels_of(Oracle(lambda prompt, n: "#### 18" if "= 18" in prompt else "#### 17"), checker, steps)
    both = consensus(exact, rolled)
    assert [(label.value, label.method) for label in both[:2]] == [(1.0, "check+rollouts"), (0.0, "check+rollouts")]


def test_a_domain_without_a_check_of_steps_says_so():
    domain = Domain(name="bare", seeds=list, operators=(), verify=load_domain("math").verify)
    with pytest.raises(DomainError, match="has no check_steps"):
        checked(domain, TASK, ["a"])
    short = Domain(name="short", seeds=list, operators=(), verify=domain.verify, check_steps=lambda task, steps: [True])
    with pytest.raises(DomainError, match="1 verdicts for 2 steps"):
        checked(short, TASK, ["a", "b"])
