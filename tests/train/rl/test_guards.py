"""When a run is stopped: on series of steps and measurements."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoltune.recipe import RL
from evoltune.train.rl.guards import Guard


def fed(guard: Guard, *lines: dict) -> list[str]:
    return [
        guard.step({"step": n, "reward": 0.5, "length": 40.0, "kl": 0.1, "unjudged": 0.0, **line})
        for n, line in enumerate(lines, 1)
    ]


@settings(max_examples=20)
@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_a_run_that_solves_more_is_never_stopped(solved: list[bool]):
    guard = Guard(settings=RL())
    guard.measured(step=0, solved=[float(value) for value in solved])
    for step in range(1, len(solved) + 1):
        better = [1.0 if i < step else float(value) for i, value in enumerate(solved)]
        assert guard.measured(step=step, solved=better) == ""


def test_a_fall_of_accuracy_while_the_reward_rises_stops_and_says_both():
    guard = Guard(settings=RL())
    fed(guard, *({"reward": n / 20} for n in range(20)))
    assert guard.measured(step=0, solved=[1.0] * 30 + [0.0] * 30) == ""
    assert guard.measured(step=10, solved=[1.0] * 27 + [0.0] * 33) == ""  # within noise
    problem = guard.measured(step=20, solved=[1.0] * 15 + [0.0] * 45)
    assert "fell from 50.0% to 25.0%" in problem and "while the reward rose (0.1 to 0.85)" in problem


@pytest.mark.parametrize(
    ("line", "message"), [({"kl": 21.0}, r"rl.max_kl 20"), ({"length": 161.0}, r"answers grew from 40 to 161 tokens")]
)
def test_a_policy_that_has_run_away_is_stopped(line: dict, message: str):
    problems = fed(Guard(settings=RL()), *({} for _ in range(7)), line)
    assert not any(problems[:-1]) and message in problems[-1]
    off = Guard(settings=RL(max_kl=0, max_length_growth=0))
    assert not any(fed(off, *({} for _ in range(7)), line))


def test_a_divergence_that_is_no_number_stops_the_run_whatever_the_limits():
    guard = Guard(settings=RL(max_kl=0, max_length_growth=0))
    assert [bool(problem) for problem in fed(guard, {}, {"kl": float("nan")})] == [False, True]


def test_three_steps_that_the_verifier_could_not_judge_stop_the_run():
    problems = fed(
        Guard(settings=RL()), {"unjudged": 0.6}, {"unjudged": 0.9}, {}, *({"unjudged": 0.7} for _ in range(3))
    )
    assert not any(problems[:-1]) and "70% of the answers or more could not be judged in 3 steps" in problems[-1]
