"""The reward examples, called as their frameworks call them."""

import json
import runpy
from pathlib import Path

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


def test_the_example_for_verl_takes_rows_of_both_domains(live, monkeypatch):
    compute_score = example("verl_reward", live.url, monkeypatch)["compute_score"]
    tests = json.dumps({"tests": "def check(c):\n    assert c(2) == 3", "entry_point": "f"})
    calls = (
        ("evoltune/math", "4</s>", '{"reference": "4"}', {"index": 1, "num_turns": None}),
        ("evoltune/code", GOOD["answer"], tests, {}),
        ("evoltune/math", "4", "5", None),
    )
    names = ("data_source", "solution_str", "ground_truth", "extra_info")
    scores = [compute_score(**dict(zip(names, call, strict=True))) for call in calls]
    assert scores == [{"score": 1.0, "acc": 1.0, "unjudged": 0.0}, {"score": 0.0, "acc": 0.0, "unjudged": 0.0},
                      {"score": 0.0, "acc": 0.0, "unjudged": 0.0}]  # fmt: skip


def test_the_example_for_openrlhf_gives_tensors(live, monkeypatch):
    pytest.importorskip("torch")
    reward_func = example("openrlhf_reward", live.url, monkeypatch)["reward_func"]
    prompts = ["2+2=", "2+3=", "?"]
    labels = [json.dumps({"domain": "math", "reference": value}) for value in ("4", "5", None)]
    answer = reward_func(["2+2=4<|im_end|>", "2+3=4</s>", "?1"], prompts, labels, step=1)
    assert answer["rewards"].tolist() == answer["scores"].tolist() == [1.0, 0.0, 0.0]
    assert answer["extra_logs"]["unjudged"].tolist() == [0.0, 0.0, 1.0]
