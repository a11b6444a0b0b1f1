"""Which answers of a reinforcement run are recorded, and that the trainer gets what the reward gives."""

import json
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from evoltune.train.rl.recorded import PROMPTS, RecordedReward, extremes

SCORES = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.sampled_from((None, 0.0, 0.4, 1.0))))


@given(SCORES)
def test_of_each_of_the_first_prompts_the_best_and_the_worst_are_taken(rows):
    prompts, answers, scores = ([row[i] for row in rows] for i in range(3))
    found = list(extremes(prompts, answers, scores))
    first = list(dict.fromkeys(prompts))[:PROMPTS]
    assert [*dict.fromkeys(prompts[i] for i in found)] == first and len(found) == len(set(found)) <= 2 * len(first)
    for prompt in first:
        ranks = [-1 if s is None else s for p, s in zip(prompts, scores, strict=True) if p == prompt]
        taken = [-1 if scores[i] is None else scores[i] for i in found if prompts[i] == prompt]
        assert taken[0] == max(ranks) and (len(taken) == 1 or taken[1] == min(ranks))


def test_steps_are_recorded_with_their_parts_and_the_hooks_still_called(tmp_path):
    def halves(completions, prompts, *, log_extra, **columns):
        scores = [None if text == "?" else len(text) / 2 for text in completions]
        log_extra("halves_verifier", scores)
        log_extra("halves_instruction", [0.5] * len(scores))
        return scores

    path, seen = tmp_path / "sampled.jsonl", []
    reward = RecordedReward(halves, path, steps=10, last=25, parts=("verifier",))
    for step in range(25):
        state = SimpleNamespace(global_step=step)
        scores = reward(
            completions=["a", "?", "bb"], prompts=[[{"role": "user", "content": "Q"}]] * 3, trainer_state=state,
            log_extra=lambda column, values: seen.append(column),
        )  # fmt: skip
        assert scores == [0.5, None, 1.0]
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 1, 10, 10, 20, 20, 25, 25] and len(seen) == 50
    assert rows[0] == {"step": 1, "prompt": "Q", "answer": "bb", "reward": 1.0, "verifier": 1.0}
    assert rows[1] == {"step": 1, "prompt": "Q", "answer": "?", "reward": None, "verifier": None}
