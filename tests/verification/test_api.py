"""`evoltune.verify` and `evoltune.reward`: rows in any state, trainers' columns, forks and pickles."""

import os
import pickle

import pytest

import evoltune


def test_rows_in_any_state_become_verdicts_in_order(toy):
    rows = [
        {"id": "a", "answer": "1", "reference": 1},
        {"id": "b"},
        {"id": "c", "answer": True},
        "nonsense",
        {"id": "e", "answer": "1", "reference": [1]},
        {"id": "f", "answer": "x\x00\ud800", "reference": "1"},
        {"id": "g", "answer": "x" * 10_000_000, "reference": "1"},
        {"id": "h", "answer": "def f(a): return a", "tests": 7},
        {"id": "i", "answer": "def f(a): return a", "tests": "assert f(1) == 1", "entry_point": "f"},
    ]
    verified = list(evoltune.verify(rows, domain=toy, workers=1))
    assert [r["status"] for r in verified] == [
        "pass",
        "error",
        "error",
        "error",
        "error",
        "fail",
        "fail",
        "error",
        "pass",
    ]
    assert [r["id"] for r in verified] == ["a", "b", "c", 4, "e", "f", "g", "h", "i"]
    assert set(verified[0]) == {"id", "status", "reason", "score", "seconds", "evidence"}
    assert all(r["reason"] for r in verified if r["status"] == "error")


def test_a_reward_takes_a_trainers_columns_and_conversations(toy):
    reward = evoltune.reward(toy, workers=1)
    assert reward.__name__ == "evoltune_toy"
    completions = [
        [{"role": "assistant", "content": "1"}],
        [{"role": "assistant", "content": "2"}],
        [{"role": "assistant", "content": "1"}],
    ]
    scores = reward(
        completions=completions,
        prompts=["p"] * 3,
        reference=["1", "1", None],
        trainer_state=object(),
        completion_ids=[[1], [2], [3]],
    )
    assert scores == [1.0, 0.0, None]
    assert reward(["1"], reference=["1"]) == [1.0]
    parts = [{"role": "assistant", "content": [{"type": "text", "text": "1"}]}]
    assert reward([parts], reference=["1"]) == [1.0]
    with pytest.raises(ValueError, match="'reference' has 1 values for 2 completions"):
        reward(["1", "2"], reference=["1"])


def test_a_reward_made_before_a_fork_works_after_it(toy):
    reward = evoltune.reward(toy, workers=1)
    assert reward(["1"], reference=["1"]) == [1.0]
    if (child := os.fork()) == 0:
        os._exit(0 if reward(["1", "2"], reference=["1", "1"]) == [1.0, 0.0] else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_pickled_reward_scores_as_the_original(toy):
    rewards = evoltune.reward(toy, workers=1)
    assert rewards(["1"], reference=["1"]) == [1.0]
    copy = pickle.loads(pickle.dumps(rewards))
    assert copy.__name__ == "evoltune_toy"
    assert copy(["1", "2"], reference=["1", "1"]) == [1.0, 0.0]
