"""Rewards in the trainers' forms: which columns they get, where the answer begins, what a sample without verdict counts."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.errors import DataError
from evoltune.train.rl.trainer_rewards import answer_in, columns_of, for_openrlhf, for_verl


def echo(seen):
    """A reward that notes its call and scores by the answer: a number, or None."""

    def reward(completions, prompts=None, **columns):
        seen.append((completions, prompts, columns))
        return [None if text == "?" else float(text) for text in completions]

    return reward


def test_a_ground_truth_is_columns_of_ours_or_the_truth_itself():
    assert columns_of('{"reference": "5", "tests": null}', "reference") == {"reference": "5"}
    assert columns_of({"tests": ["assert f(1) == 1"], "entry_point": "f"}, "reference") == {
        "tests": ["assert f(1) == 1"], "entry_point": "f"
    }  # fmt: skip
    for bare in ("5", "{1, 2}", '{"inputs": ["1"], "outputs": ["2"]}', "{ not json", 5, ["assert f() == 1"]):
        assert columns_of(bare, "tests") == {"tests": bare}


def test_verl_gets_score_accuracy_and_the_mark_of_unjudged_answers():
    seen = []
    compute_score = for_verl({"math": echo(seen)}, unjudged=0.25)
    truth = json.dumps({"reference": "5"})
    assert compute_score("evoltune/math", "0.5", truth, {"prompt": "2+3?", "index": 0}) == {
        "score": 0.5, "acc": 1.0, "unjudged": 0.0
    }  # fmt: skip
    assert compute_score("math", "?", "5")["score"] == 0.25 and compute_score("math", "?", "5")["unjudged"] == 1.0
    assert compute_score("math", "0", "5") == {"score": 0.0, "acc": 0.0, "unjudged": 0.0}  # a fail is judged
    assert seen[0] == (["0.5"], ["2+3?"], {"reference": ["5"]}) and seen[1] == (["?"], None, {"reference": ["5"]})


def test_a_domain_without_reward_raises_instead_of_scoring():
    with pytest.raises(DataError, match=r"data_source 'openai/gsm8k'.*allowed: math"):
        for_verl({"math": echo([])})("openai/gsm8k", "5", "5")
    pytest.importorskip("torch")
    with pytest.raises(DataError, match=r"domain ''.*allowed: code, math"):
        for_openrlhf({"math": echo([]), "code": echo([])})(["p5"], ["p"], ["5"])


def test_openrlhf_gets_tensors_of_one_sample_and_none_counts_as_said():
    torch = pytest.importorskip("torch")
    seen = []
    reward_func = for_openrlhf({"math": echo(seen)}, unjudged=-1.0)
    found = reward_func(["<s>Q 1</s>"], ["Q"], ['{"domain": "math", "reference": "5"}'])
    assert found["rewards"].dtype == torch.float32 and found["rewards"].shape == (1,)
    assert found["rewards"].tolist() == [1.0] and seen[0][2] == {"reference": ["5"]}
    assert reward_func(["Q0</s>"], ["Q"], ["5"])["rewards"].tolist() == [0.0]  # a fail is judged
    found = reward_func(["Q?<|im_end|>"], ["Q"], ["5"])
    assert found["scores"].tolist() == [-1.0] and found["extra_logs"]["unjudged"].tolist() == [1.0]


text = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="<[◁"), max_size=300)
blanks = st.sampled_from(["", " ", "\n", "  "])


@given(prompt=text, answer=text)
def test_the_answer_is_what_follows_the_prompt(prompt, answer):
    assert answer_in(prompt + answer, prompt) == answer or answer.startswith("analysis")


@given(
    prompt=text.filter(str.strip),
    answer=st.from_regex(r"[0-9]{1,9}", fullmatch=True),
    cut=st.integers(0, 50),
    blank=blanks,
)
def test_the_answer_is_found_behind_a_prompt_with_other_blanks_or_without_its_beginning(prompt, answer, cut, blank):
    prompt = f"{prompt}\nAnswer the question that stands above, and end with the number alone, please:" * 4
    assert answer_in("<s> " + " ".join(prompt.split()) + blank + answer, prompt).strip() == answer
    assert answer_in(prompt[cut:] + blank + answer, prompt).strip() == answer


def test_a_query_without_its_prompt_is_an_error():
    with pytest.raises(DataError, match="does not hold its prompt"):
        answer_in("something else entirely 5", "What is 2+3?")
