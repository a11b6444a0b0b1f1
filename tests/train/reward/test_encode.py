"""The ids of a reward model are those of SFT, and each score stands on the last token of its step."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evoltune.models.template import encode, prompt_ids
from evoltune.train.reward.encode import UNLABELLED, Prompting, encode_instruction, encode_solution

pytest.importorskip("transformers")
STEP = st.text("abc 1+=é€😀", min_size=1, max_size=12).map(str.strip).filter(bool)


@pytest.fixture(scope="module")
def prompting(tiny_base):
    from evoltune.models.load import load_tokenizer, prepare_tokenizer

    tokenizer = load_tokenizer(str(tiny_base))
    return {
        t: Prompting(template=t, tokenizer=tokenizer, stop=prepare_tokenizer(tokenizer, t)[0])
        for t in ("chat", "alpaca")
    }


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEP, min_size=1, max_size=5), st.sampled_from(["chat", "alpaca"]), st.sampled_from(["\n", "\n\n"]))
def test_ids_are_those_of_sft_and_a_place_ends_its_step(prompting, steps: list[str], template: str, separator: str):
    how = prompting[template]
    document = encode_solution(how, "Why?", steps, [0.25] * (len(steps) - 1) + [None], separator)
    text = separator.join(steps)
    messages = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": text}]
    assert document.ids == encode(template, messages, how.tokenizer).ids
    before = len(prompt_ids(template, "Why?", how.tokenizer))
    offsets = how.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    end = 0
    for place, step in zip(document.places, steps, strict=True):
        end += len(step)
        start, stop = offsets[place - before]
        assert start < end <= stop
        end += len(separator)
    assert document.values[-1] == UNLABELLED and set(document.values[:-1]) <= {0.25}


def test_an_instruction_is_scored_at_the_last_token_of_its_prompt(prompting):
    document = encode_instruction(prompting["chat"], "Add 2 and 3.")
    assert document.ids == prompt_ids("chat", "Add 2 and 3.", prompting["chat"].tokenizer)
    assert document.places == (len(document.ids) - 1,)


def test_a_cut_text_keeps_the_scores_that_fit(prompting):
    document = encode_solution(prompting["chat"], "Why?", ["one", "two", "three"], [1.0, 1.0, 0.0], "\n")
    cut = document.cut(document.places[1] + 1)
    assert (cut.places, cut.values) == (document.places[:2], (1.0, 1.0)) and len(cut.ids) == document.places[1] + 1
