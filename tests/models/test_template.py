"""The one renderer, and the proof that training, evaluation and servers see the same ids."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.errors import DataError, TrainingError
from evoltune.models.template import (
    FORMATS,
    IGNORED,
    Encoded,
    Format,
    Stop,
    chat_turns,
    clock_of,
    encode,
    prompt_ids,
    render,
    render_prompt,
    stop_of,
)  # fmt: skip

USER = {"role": "user", "content": "Add 2 and 3."}
ANSWER = {"role": "assistant", "content": "5"}
TURNS = [USER, ANSWER, {"role": "user", "content": "And 4?"}, {"role": "assistant", "content": "9"}]
NAMES = ("alpaca", "wizardcoder", "wizardmath", "chat")
text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


def labelled(tokenizer, encoded) -> str:
    return tokenizer.decode([label for label in encoded.labels if label != IGNORED])


def test_alpaca_is_the_published_prompt():
    assert render_prompt("alpaca", "Add 2 and 3.") == (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request."
        "\n\n### Instruction:\nAdd 2 and 3.\n\n### Response:"
    )


def test_alpaca_with_input_has_its_own_preamble_and_section():
    prompt = render_prompt("alpaca", [{"role": "user", "content": "Sort.", "input": "3, 1"}])
    assert prompt.startswith("Below is an instruction that describes a task, paired with an input that provides")
    assert prompt.endswith("### Instruction:\nSort.\n\n### Input:\n3, 1\n\n### Response:")


def test_wizardmath_ends_with_the_chain_of_thought_sentence():
    assert render_prompt("wizardmath", "Add.").endswith("### Response: Let's think step by step.")


def test_wizardcoder_has_no_input_section():
    prompt = render_prompt("wizardcoder", [{"role": "user", "content": "Sort.", "input": "3, 1"}])
    assert "### Instruction:\nSort.\n\n3, 1\n\n### Response:" in prompt


def test_braces_in_an_instruction_are_text():
    message = {"role": "user", "content": "Fill {input} and {instruction}.", "input": "{instruction}"}
    assert "Fill {input} and {instruction}.\n\n### Input:\n{instruction}\n" in render_prompt("alpaca", [message])


def test_lima_ends_each_utterance_with_its_own_token(tiny_tokenizer):
    import copy

    tokenizer = copy.deepcopy(tiny_tokenizer)
    with pytest.raises(TrainingError, match=r"no '<\|eot\|>' token"):
        stop_of("lima", tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|eot|>"]})
    assert render_prompt("lima", TURNS[:3], tokenizer=tokenizer) == "Add 2 and 3.<|eot|>5<|eot|>And 4?<|eot|>"
    assert labelled(tokenizer, encode("lima", TURNS, tokenizer)) == "5<|eot|>9<|eot|>"


@pytest.mark.parametrize("mark", ["<|eot_id|>", "<end_of_turn>", "<\uff5cend\u2581of\u2581turn\uff5c>"])
def test_a_chat_template_of_another_family_is_refused_for_its_end_of_turn(mark, tiny_tokenizer):
    import copy

    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.chat_template = tokenizer.chat_template.replace("<|im_end|>", mark)
    with pytest.raises(
        TrainingError, match=rf"ends an answer with '{re.escape(mark)}', which is no token of this tokenizer"
    ):
        stop_of("chat", tokenizer)
    for plain in ("", " [END]", "\n", "</s>"):  # an end without a token of its own: the end of the text follows
        tokenizer.chat_template = tiny_tokenizer.chat_template.replace("<|im_end|>", plain)
        assert stop_of("chat", tokenizer).token == "</s>"


@pytest.mark.parametrize("name", NAMES)
def test_each_answer_and_its_stop_token_carry_loss_and_nothing_else(name, tiny_tokenizer):
    stop = stop_of(name, tiny_tokenizer)
    assert stop.token == ("<|im_end|>" if name == "chat" else "</s>")
    encoded = encode(name, TURNS, tiny_tokenizer)
    assert labelled(tiny_tokenizer, encoded) == f"5{stop.token}9{stop.token}"
    assert encoded.labels[-1] == encoded.ids[-1] == stop.id


@pytest.mark.parametrize("name", NAMES)
@given(question=text, answer=text, follow=text)
def test_training_begins_with_the_ids_that_evaluation_sends(name, question, answer, follow, tiny_tokenizer):
    turns = [
        {"role": "user", "content": question}, {"role": "assistant", "content": answer},
        {"role": "user", "content": follow}, {"role": "assistant", "content": answer},
    ]  # fmt: skip
    for conversation in (turns[:2], turns):
        sent = prompt_ids(name, conversation[:-1], tiny_tokenizer)
        encoded = encode(name, conversation, tiny_tokenizer)
        assert encoded.ids[: len(sent)] == sent
        assert all(label in (IGNORED, token) for token, label in zip(encoded.ids, encoded.labels, strict=True))
        if len(conversation) == 2:
            assert set(encoded.labels[: len(sent)]) <= {IGNORED}


def test_a_whole_plain_conversation_is_this_text(tiny_tokenizer):
    messages = [{"role": "system", "content": "Be brief."}, *TURNS]
    head = (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    )
    one, two = (f"### Instruction:\n{m['content']}\n\n### Response:" for m in TURNS[::2])
    expected = f"Be brief.\n\n{head}{one}5</s>\n\n{two}"
    assert render_prompt("alpaca", messages[:-1], "ignored: the messages have their own", tiny_tokenizer) == expected
    assert render_prompt("alpaca", TURNS[:3], "Be brief.", tiny_tokenizer) == expected
    assert render_prompt("alpaca", TURNS[:3], tokenizer=tiny_tokenizer) == expected.removeprefix("Be brief.\n\n")
    assert tiny_tokenizer.decode(encode("alpaca", messages, tiny_tokenizer).ids) == expected + "9</s>"


def test_spans_are_the_earlier_answers_with_their_stop_tokens(tiny_tokenizer):
    messages = [*TURNS, {"role": "user", "content": "And 5?"}]
    for name in NAMES:
        prompt, spans = render(name, messages, "Be brief.", tiny_tokenizer)
        stop = stop_of(name, tiny_tokenizer).token
        assert [prompt[a:b] for a, b in spans] == [f"5{stop}", f"9{stop}"]
        assert render(name, [USER], "", tiny_tokenizer)[1] == []


@pytest.mark.parametrize(
    "messages", [[], [ANSWER], [USER, USER], [USER, ANSWER], [ANSWER, USER], [USER, ANSWER, USER, USER]]
)
def test_a_prompt_alternates_and_ends_with_the_user(messages, tiny_tokenizer):
    for name in NAMES:
        with pytest.raises(DataError, match=r"a prompt is user, assistant, \.\.\., user"):
            render(name, messages, "", tiny_tokenizer)


def test_an_unknown_template_is_named_with_those_that_exist():
    with pytest.raises(TrainingError, match="template 'vicuna': allowed: chat, alpaca, wizardcoder, wizardmath, lima"):
        render_prompt("vicuna", "Hi")


def test_earlier_answers_need_a_tokenizer_with_a_stop_token(tiny_tokenizer):
    import copy

    with pytest.raises(TrainingError, match="pass tokenizer="):
        render_prompt("alpaca", TURNS[:3])
    with pytest.raises(TrainingError, match=r"no '<\|eot\|>' token"):
        render_prompt("lima", TURNS[:3])
    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.eos_token = None
    with pytest.raises(TrainingError, match="no end-of-sequence token"):
        stop_of("alpaca", tokenizer)


def test_a_chat_turn_carries_system_and_input(tiny_tokenizer):
    assert chat_turns([{"role": "user", "content": "Sort.", "input": "3, 1"}, ANSWER], "Be brief.") == [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Sort.\n\n3, 1"}, ANSWER,
    ]  # fmt: skip
    assert chat_turns([USER], "") == [USER]
    assert render_prompt("chat", "Hi", "Be brief.", tiny_tokenizer) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_given_stop_token_ends_the_last_answer(tiny_tokenizer):
    from evoltune.models.template import Stop

    stop = Stop(token="<pad>", id=2)
    assert encode("alpaca", TURNS[:2], tiny_tokenizer, stop=stop).labels[-1] == 2
    assert encode("alpaca", TURNS[:2], tiny_tokenizer).labels[-1] == tiny_tokenizer.eos_token_id


def test_a_conversation_without_a_final_answer_is_refused(tiny_tokenizer):
    with pytest.raises(DataError, match="does not end with an answer"):
        encode("chat", [USER], tiny_tokenizer)


def test_a_base_without_chat_template_is_told_which_templates_it_can_use(tiny_tokenizer):
    import copy

    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.chat_template = None
    with pytest.raises(TrainingError, match="use alpaca, wizardcoder, wizardmath or lima"):
        prompt_ids("chat", "Hi", tokenizer)


def test_a_chat_template_that_rewrites_earlier_turns_is_refused_for_several_turns(tiny_tokenizer):
    import copy

    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.chat_template = tokenizer.chat_template.replace("m['content'] }}", "m['content'][:loop.revindex0 + 1] }}")
    with pytest.raises(TrainingError, match=r"rewrites earlier turns|differently from a prompt plus an answer"):
        encode("chat", TURNS, tokenizer)


def test_the_renderer_and_the_launcher_import_no_torch():
    code = (
        "import sys, evoltune.models.locate, evoltune.models.proof, evoltune.train.launch, evoltune.train.plan, evoltune.train.sft.examples;"
        "sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'datasets')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_of_two_tokens_that_could_end_a_turn_the_longer_is_the_stop(tiny_tokenizer):
    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.add_tokens(["<|im"], special_tokens=True)
    assert stop_of("chat", tokenizer).token == "<|im_end|>"
    tokenizer.add_tokens(["<|im_end|>!"], special_tokens=True)
    tokenizer.chat_template = tokenizer.chat_template.replace("<|im_end|>", "<|im_end|>!")
    assert stop_of("chat", tokenizer).token == "<|im_end|>!"


def test_what_a_chat_template_writes_behind_the_stop_token_carries_no_loss(tiny_tokenizer):
    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "<|im_end|>\n{% endfor %}", "<|im_end|>\nover{% endfor %}"
    )
    assert "over" in render("chat", TURNS[:3], "", tokenizer)[0]
    encoded = encode("chat", TURNS, tokenizer)
    assert labelled(tokenizer, encoded) == "5<|im_end|>9<|im_end|>"


THINKING = (
    "{%- set ns = namespace(last=-1) %}{% for m in messages %}{% if m['role'] == 'user' %}{% set ns.last = loop.index0 %}{% endif %}"
    "{% endfor %}{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['role'] == 'assistant' and loop.index0 > ns.last %}"
    "<think>\n\n</think>\n\n{% endif %}{{ m['content'].split('</think>')[-1].lstrip('\n') }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""As Qwen3's: a think block before the last answer only, and earlier answers without their thoughts."""


def with_template(tokenizer, text):
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = text
    return tokenizer


def test_a_template_with_a_think_block_trains_answers_that_follow_their_own_prompt(tiny_tokenizer):
    tokenizer = with_template(tiny_tokenizer, THINKING)
    for turns in (TURNS[:2], TURNS):
        encoded = encode("chat", turns, tokenizer)
        assert labelled(tokenizer, encoded) == "".join(f"{m['content']}<|im_end|>" for m in turns[1::2])
    thought = [USER, {"role": "assistant", "content": "<think>\n2+3\n</think>\n\n5"}, *TURNS[2:]]
    with pytest.raises(DataError, match="rewrites earlier turns"):
        encode("chat", thought, tokenizer)
    context = [USER, {**thought[1], "trained": False}, *TURNS[2:]]
    assert labelled(tokenizer, encode("chat", context, tokenizer)) == "9<|im_end|>"


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_marked_as_untrained_is_context_only(name, tiny_tokenizer):
    stop = stop_of(name, tiny_tokenizer)
    marked = encode(name, [USER, {**ANSWER, "trained": False}, *TURNS[2:]], tiny_tokenizer)
    assert marked.ids == encode(name, TURNS, tiny_tokenizer).ids
    assert labelled(tiny_tokenizer, marked) == f"9{stop.token}"


def test_a_template_that_refuses_or_loses_the_system_text_is_an_error(tiny_tokenizer):
    system = {"role": "system", "content": "Be brief."}
    refusing = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    with pytest.raises(DataError, match=r"takes no system message \(no system\)"):
        encode("chat", [system, *TURNS], with_template(tiny_tokenizer, refusing + tiny_tokenizer.chat_template))
    losing = tiny_tokenizer.chat_template.replace(
        "{% for m in messages %}", "{% for m in messages if m['role'] != 'system' %}"
    )
    for messages, prompt in (([system, *TURNS], ""), (TURNS, "Be brief.")):
        with pytest.raises(DataError, match="loses the system text"):
            encode("chat", messages, with_template(tiny_tokenizer, losing), prompt)
    assert encode("chat", TURNS, with_template(tiny_tokenizer, losing)) == encode("chat", TURNS, tiny_tokenizer)


@pytest.mark.parametrize("name", NAMES)
def test_a_stop_token_in_an_answer_is_refused(name, tiny_tokenizer):
    stop = stop_of(name, tiny_tokenizer).token
    for messages in (
        [USER, {"role": "assistant", "content": f"a{stop}b"}],
        [USER, {"role": "assistant", "content": stop}, *TURNS[2:]],
    ):
        with pytest.raises(DataError, match="the token that ends an answer"):
            encode(name, messages, tiny_tokenizer)


def test_the_clock_of_a_template_can_be_set(tiny_tokenizer):
    dated = with_template(tiny_tokenizer, "{{ strftime_now('%d %b %Y') }} " + tiny_tokenizer.chat_template)
    text, _ = render("chat", TURNS[:3], "", dated, at=datetime(2024, 2, 1))
    assert text.startswith("01 Feb 2024 ")
    computed = with_template(tiny_tokenizer, "{% set f = '%d' %}{{ strftime_now(f) }}" + tiny_tokenizer.chat_template)
    with pytest.raises(DataError, match="a format that it computes"):
        render("chat", TURNS[:3], "", computed, at=datetime(2024, 2, 1))


@pytest.mark.parametrize(
    ("old", "new", "loss"),
    [
        (
            "<|im_start|>assistant\n",
            "<|im_start|>assistant",
            "\n5<|im_end|>9<|im_end|>",
        ),  # the answer's line begins later
        ("{{ m['content'] }}<|im_end|>", "{{ m['content'] }}\n\n<|im_end|>", "5\n\n<|im_end|>9<|im_end|>"),
        (
            "<|im_end|>\n{% endfor %}",
            "{% if m['role'] == 'assistant' and not loop.last %} (earlier){% endif %}<|im_end|>\n{% endfor %}",
            "59<|im_end|>",  # the stop token does not follow this answer
        ),
        ("<|im_end|>", "", "59</s>"),
    ],
)
def test_an_earlier_answer_carries_loss_as_far_as_the_template_writes_it(old, new, loss, tiny_tokenizer):
    tokenizer = with_template(tiny_tokenizer, tiny_tokenizer.chat_template.replace(old, new))
    assert tokenizer.chat_template != tiny_tokenizer.chat_template
    assert labelled(tokenizer, encode("chat", TURNS, tokenizer)) == loss
    spaced = [USER, {"role": "assistant", "content": " 5 "}, *TURNS[2:]]
    assert "".join(labelled(tokenizer, encode("chat", spaced, tokenizer)).split()) == "".join(loss.split())


def test_a_preamble_follows_the_first_question_and_each_turn_its_own_input(tiny_tokenizer):
    given = {"role": "user", "content": "Sort.", "input": "3, 1"}
    first = render_prompt("alpaca", [given, ANSWER, USER], tokenizer=tiny_tokenizer)
    later = render_prompt("alpaca", [USER, ANSWER, given], tokenizer=tiny_tokenizer)
    assert "paired with an input" in first and "paired with an input" not in later
    assert first.count("### Input:\n3, 1") == later.count("### Input:\n3, 1") == 1
    assert first.endswith("### Instruction:\nAdd 2 and 3.\n\n### Response:")


def test_a_prompt_needs_no_spans_so_a_template_may_rewrite_earlier_answers_in_it(tiny_tokenizer):
    tokenizer = with_template(tiny_tokenizer, THINKING)
    thought = [USER, {"role": "assistant", "content": "<think>\n2+3\n</think>\n\n5"}, TURNS[2]]
    text = render_prompt("chat", thought, tokenizer=tokenizer)
    assert "2+3" not in text and tokenizer.decode(prompt_ids("chat", thought, tokenizer)) == text
    long = {"role": "assistant", "content": f"<think>{'0123456789' * 9}</think>5"}
    with pytest.raises(DataError, match=r"earlier turns \('<think>(0123456789){3}012'\)"):  # its beginning is enough
        render("chat", [USER, long, TURNS[2]], "", tokenizer)


@pytest.mark.parametrize("refusal", ["{{ raise_exception('not\n  this') }}", "{{ messages[0]['content'] + 1 }}"])
def test_a_conversation_that_the_chat_template_refuses_is_an_error_with_its_reason(refusal, tiny_tokenizer):
    tokenizer = with_template(tiny_tokenizer, refusal)
    for system in ("", "Be brief."):
        with pytest.raises(DataError, match=r"refuses the conversation: (not this|can only concatenate str)"):
            render("chat", TURNS[:3], system, tokenizer)


def test_a_template_that_must_begin_with_the_user_takes_no_system_message(tiny_tokenizer):
    begins = "{% if messages[0]['role'] != 'user' %}{{ raise_exception('the user first') }}{% endif %}"
    tokenizer = with_template(tiny_tokenizer, begins + tiny_tokenizer.chat_template)
    with pytest.raises(DataError, match=r"takes no system message \(the user first\)"):
        render("chat", TURNS[:3], "Be brief.", tokenizer)
    assert render("chat", TURNS[:3], "", tokenizer) == render("chat", TURNS[:3], "", tiny_tokenizer)


def test_a_template_that_loses_a_question_is_an_error_that_shows_its_beginning(tiny_tokenizer):
    losing = tiny_tokenizer.chat_template.replace("{{ m['content'] }}", "{{ m['content'][:30] }}")
    question = {"role": "user", "content": "0123456789" * 9}
    with pytest.raises(DataError, match=r"loses the user text '(0123456789){6}'"):
        encode("chat", [question, ANSWER], with_template(tiny_tokenizer, losing))


def test_a_conversation_with_a_system_text_of_its_own_is_not_searched_for_the_recipes(tiny_tokenizer):
    own = [{"role": "system", "content": "Be brief."}, *TURNS]
    assert encode("chat", own, tiny_tokenizer, "Be long.") == encode("chat", own, tiny_tokenizer)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{% if add_generation_prompt %}<|im_start|>assistant\n", "{% if add_generation_prompt %}<|im_start|>bot\n"),
        ("{{ m['content'] }}", "{% if m['role'] == 'user' %}{{ m['content'] }}{% endif %}"),
        ("{% if add_generation_prompt %}", "{% if not add_generation_prompt %}over{% endif %}{% if add_generation_prompt %}over"),
    ],
)  # fmt: skip
def test_a_finished_turn_that_is_no_prompt_and_an_answer_is_refused(old, new, tiny_tokenizer):
    tokenizer = with_template(tiny_tokenizer, tiny_tokenizer.chat_template.replace(old, new))
    assert tokenizer.chat_template != tiny_tokenizer.chat_template
    with pytest.raises(TrainingError, match="renders a finished turn differently from a prompt plus an answer"):
        stop_of("chat", tokenizer)


@pytest.mark.parametrize("name", NAMES)
def test_a_stop_token_in_a_question_or_an_untrained_answer_is_no_error(name, tiny_tokenizer):
    stop = stop_of(name, tiny_tokenizer).token
    asked = [{"role": "user", "content": f"What is {stop}?"}, ANSWER]
    context = [USER, {"role": "assistant", "content": f"a{stop}b", "trained": False}, *TURNS[2:]]
    assert labelled(tiny_tokenizer, encode(name, asked, tiny_tokenizer)) == f"5{stop}"
    assert labelled(tiny_tokenizer, encode(name, context, tiny_tokenizer)) == f"9{stop}"


def test_labels_without_loss_are_those_that_the_loss_of_pytorch_ignores():
    torch = pytest.importorskip("torch")
    logits = torch.tensor([[0.0, 2.0], [3.0, 0.0]])
    whole = torch.nn.functional.cross_entropy(logits, torch.tensor([0, IGNORED]))
    assert whole == torch.nn.functional.cross_entropy(logits[:1], torch.tensor([0]))


def test_formats_stops_and_examples_cannot_be_changed_or_mixed_up():
    for value, name in (
        (FORMATS["lima"], "turn"), (Stop(token="</s>", id=1), "id"), (Encoded(ids=[1], labels=[1]), "ids"),
    ):  # fmt: skip
        with pytest.raises(AttributeError):
            setattr(value, name, None)
    for kind, values in ((Format, ("a", "b")), (Stop, ("</s>", 1)), (Encoded, ([1], [1]))):
        with pytest.raises(TypeError):
            kind(*values)  # which of two lists or texts is which, only a name says


def test_a_template_without_a_clock_keeps_its_text(tiny_tokenizer):
    assert clock_of(tiny_tokenizer, datetime(2024, 2, 1)) == {} == clock_of(None, datetime(2024, 2, 1))
