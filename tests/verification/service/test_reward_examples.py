"""The reward examples, called as their frameworks call them."""

import runpy
from pathlib import Path

import numpy
import pytest
from verifier_service import GOOD, TOKEN


def example(name, url, monkeypatch):
    monkeypatch.setenv("EVOLTUNE_SERVICE", url)
    monkeypatch.setenv("EVOLTUNE_SERVICE_TOKEN", TOKEN)
    return runpy.run_path(str(Path(__file__).parents[3] / f"examples/rewards/{name}.py"))


def test_the_example_for_trl_takes_columns(live, monkeypatch):
    reward = example("trl_grpo", live.url, monkeypatch)["reward"]
    conversations = [[{"role": "assistant", "content": text}] for text in ("4", "5", "6")]
    more = {"completion_ids": [[1], [2], [3]], "trainer_state": object(), "log_extra": print}
    assert reward(prompts=["p"] * 3, completions=conversations, reference=["4", "4", None], **more) == [1, 0, None]


def test_the_example_for_verl_takes_both_managers_calls(live, monkeypatch):
    functions = example("verl_reward", live.url, monkeypatch)
    scores = functions["compute_score_batch"](
        data_sources=numpy.array(["math", "code", "math", "code"], dtype=object),
        solution_strs=["4", GOOD["answer"], "4", GOOD["answer"]],
        ground_truths=["4", "assert f(1) == 1", "5", "def check(c):\n    assert c(2) == 3"],
        extra_infos=numpy.array([None, {"index": 1}, None, {"entry_point": "f", "index": 3}], dtype=object),
    )
    assert scores == [1.0, 1.0, 0.0, 0.0]
    one = functions["compute_score"]
    assert one(data_source="math", solution_str="4", ground_truth="4", extra_info={"split": "train"}) == 1.0


def test_the_example_for_openrlhf_gives_tensors(live, monkeypatch):
    pytest.importorskip("torch")
    reward_func = example("openrlhf_reward", live.url, monkeypatch)["reward_func"]
    prompts = ["2+2=", "2+3=", "?"]
    answer = reward_func(["2+2=4", "2+3=4", "?1"], prompts, ["4", "5", None], step=1)
    assert answer["rewards"].tolist() == answer["scores"].tolist() == [1.0, 0.0, 0.0]
    assert answer["extra_logs"]["unverified"].tolist() == [0.0, 0.0, 1.0]
