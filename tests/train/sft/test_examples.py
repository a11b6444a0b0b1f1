"""Rows become ids and labels under the length policy, with exact counts."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.dataset.schema import to_rows
from evoltune.errors import DataError
from evoltune.models.template import IGNORED
from evoltune.recipe import make_recipe
from evoltune.record import Answer, Record, Task
from evoltune.rows.columns import Layout
from evoltune.train.job import make_job
from evoltune.train.sft.examples import encode_rows, messages_of, notes_on_rows, read_conversations


def rows_of(lengths):
    return [
        (f"row {i}", [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a" * n}])
        for i, n in enumerate(lengths)
    ]


def encoded(tokenizer, lengths, **how):
    return encode_rows(rows_of(lengths), "chat", tokenizer, **how)


def overhead(tokenizer) -> int:
    examples, _ = encoded(tokenizer, [1], max_length=999, excess="raise")
    return len(examples[0].ids) - 1


@given(lengths=st.lists(st.integers(1, 60), min_size=1, max_size=12), limit=st.integers(40, 90))
def test_every_row_is_kept_dropped_or_truncated_and_counted(lengths, limit, tiny_tokenizer):
    fixed = overhead(tiny_tokenizer)
    long = [n for n in lengths if n + fixed > limit]
    examples, counts = encoded(tiny_tokenizer, lengths, max_length=limit, excess="truncate")
    assert (counts.rows, counts.kept, counts.truncated) == (len(lengths), len(lengths), len(long))
    assert counts.tokens_cut == sum(n + fixed - limit for n in long)
    assert counts.longest == max(lengths) + fixed
    assert all(len(e.ids) == len(e.labels) <= limit for e in examples)
    if len(long) == len(lengths):
        with pytest.raises(DataError, match="nothing to train on"):
            encoded(tiny_tokenizer, lengths, max_length=limit, excess="drop")
        return
    examples, counts = encoded(tiny_tokenizer, lengths, max_length=limit, excess="drop")
    assert (counts.kept, counts.dropped_too_long) == (len(lengths) - len(long), len(long))
    assert counts.tokens == sum(len(e.ids) for e in examples)
    assert counts.label_tokens == sum(label != IGNORED for e in examples for label in e.labels)


def test_a_long_row_raises_with_counts_and_the_remedy(tiny_tokenizer):
    with pytest.raises(
        DataError, match=r"2 of 3 rows are longer than train.max_length 50 .*row 1.*excess_length: drop"
    ):
        encoded(tiny_tokenizer, [1, 50, 60], max_length=50, excess="raise")


def test_a_prompt_that_fills_the_length_leaves_nothing_to_train_and_is_an_error(tiny_tokenizer):
    with pytest.raises(DataError, match="the prompt alone fills"):
        encoded(tiny_tokenizer, [9], max_length=overhead(tiny_tokenizer) - 5, excess="truncate")


def test_a_row_without_an_answer_is_an_error_that_names_it(tiny_tokenizer):
    rows = [("file.jsonl:7", [{"role": "user", "content": "q"}, {"role": "assistant", "content": " \n"}])]
    with pytest.raises(DataError, match=r"file\.jsonl:7: the answer is empty"):
        encode_rows(rows, "chat", tiny_tokenizer, max_length=99, excess="raise")


def test_it_is_the_last_answer_that_must_not_be_empty(tiny_tokenizer):
    turns = [("user", "q"), ("assistant", "a"), ("user", "r"), ("assistant", " ")]
    with pytest.raises(DataError, match="x:1: the answer is empty"):
        row = [{"role": role, "content": content} for role, content in turns]
        encode_rows([("x:1", row)], "chat", tiny_tokenizer, max_length=99, excess="raise")


def test_foreign_rows_are_read_and_alpaca_input_stays_apart(tmp_path):
    path = tmp_path / "mixed.jsonl"
    path.write_text(
        '{"instruction": "Sort.", "input": "3, 1", "output": "1, 3", "id": "x"}\n'
        '{"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}\n'
    )
    (first, sort), (second, greet) = read_conversations(str(path))
    assert "mixed.jsonl:1" in first and "'x'" in first and second == f"{path}:2"
    assert sort[0] == {"role": "user", "content": "Sort.", "input": "3, 1"}
    assert [m["content"] for m in greet] == ["Hi", "Hello"]
    with pytest.raises(DataError, match="no instruction"):
        messages_of({"body": "x"}, "row 3")


def test_truncation_keeps_the_beginning_and_the_other_rows_whole(tiny_tokenizer):
    fixed = overhead(tiny_tokenizer)
    (whole, long), _ = encoded(tiny_tokenizer, [9, 30], max_length=999, excess="raise")
    examples, counts = encoded(tiny_tokenizer, [9, 30], max_length=fixed + 9, excess="truncate")
    assert examples[0] == whole and counts.too_long == []
    assert (examples[1].ids, examples[1].labels) == (long.ids[: fixed + 9], long.labels[: fixed + 9])
    prompt = long.labels.count(IGNORED)
    examples, _ = encoded(tiny_tokenizer, [30], max_length=prompt + 1, excess="truncate")  # one label is enough
    assert len(examples) == 1
    with pytest.raises(
        DataError, match=rf"row 0: the prompt alone fills train.max_length {prompt} \({fixed + 30} tokens"
    ):
        encoded(tiny_tokenizer, [30], max_length=prompt, excess="truncate")


def test_a_row_of_exactly_the_length_is_kept_and_one_more_is_too_long(tiny_tokenizer):
    limit = overhead(tiny_tokenizer) + 20
    examples, counts = encoded(tiny_tokenizer, [20], max_length=limit, excess="raise")
    assert (len(examples), counts.truncated, counts.longest) == (1, 0, limit)
    with pytest.raises(DataError, match=rf"1 of 2 rows .*\(longest {limit + 1}; first: row 1: {limit + 1} tokens\)"):
        encoded(tiny_tokenizer, [20, 21], max_length=limit, excess="raise")
    _, counts = encoded(tiny_tokenizer, [20, 21], max_length=limit, excess="drop")
    assert counts.too_long == [f"row 1: {limit + 1}"]
    assert counts.as_dict() == {
        "rows": 2, "kept": 1, "dropped_too_long": 1, "truncated": 0, "tokens_cut": 0, "tokens": limit,
        "label_tokens": 21, "longest": limit + 1,
    }  # fmt: skip


def test_no_rows_are_nothing_to_train_on(tiny_tokenizer):
    for excess in ("raise", "drop", "truncate"):
        with pytest.raises(DataError, match="nothing to train on: 0 rows, 0 dropped"):
            encoded(tiny_tokenizer, [], max_length=99, excess=excess)


def test_an_earlier_turn_or_no_input_leaves_the_instruction_whole():
    asked = {"instruction": "Sort.", "input": "", "output": "1, 3"}
    assert messages_of(asked) == [{"role": "user", "content": "Sort."}, {"role": "assistant", "content": "1, 3"}]
    later = messages_of(asked | {"input": "3, 1", "history": [["Hi", "Hello"]]})
    assert [m["role"] for m in later] == ["user", "assistant", "user", "assistant"]
    assert (later[0]["content"], later[1]["content"], later[3]["content"]) == ("Hi", "Hello", "1, 3")
    assert "Sort." in later[2]["content"] and "3, 1" in later[2]["content"] and "input" not in later[2]
    with pytest.raises(DataError, match="row: "):
        messages_of({"body": "x"})


def test_the_system_prompt_is_part_of_each_example(tiny_tokenizer):
    examples, _ = encoded(tiny_tokenizer, [3], max_length=999, excess="raise", system="Be brief.")
    assert "Be brief." in tiny_tokenizer.decode(examples[0].ids)


def test_a_thought_stands_before_its_answer_only_where_it_is_asked_for(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"instruction": "Sum 2 and 3.", "output": "5", "reasoning": "Two and three."}\n'
        '{"instruction": "Sum 2 and 4.", "output": "6", "reasoning": null}\n'
    )
    plain = [messages[-1]["content"] for _, messages in read_conversations(str(path))]
    assert plain == ["5", "6"]
    thought = [messages[-1]["content"] for _, messages in read_conversations(str(path), reasoning=True)]
    assert thought == ["<think>\nTwo and three.\n</think>\n\n5", "6"]
    path.write_text(
        '{"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A", "thinking": "T"}]}\n'
    )
    with pytest.raises(DataError, match=r"train\.reasoning is set, and no row has a thought"):
        list(read_conversations(str(path), reasoning=True))


@pytest.mark.parametrize("template", ["chat", "alpaca"])
def test_a_thought_that_evolution_kept_is_learnt_by_each_template(tmp_path, tiny_tokenizer, template):
    recipe = make_recipe({"domain": "general", "evolve": {"keep_reasoning": True}, "train": {"reasoning": True}})
    answers = (Answer(text="Five.", model="m"), Answer(text="It is 5.", model="m"))
    record = Record(
        domain="general", task=Task(instruction="Sum 2 and 3."), answers=answers,
        evidence={"reasoning": ("Two and three.", "Count on from 2.")},
    )  # fmt: skip
    (row,) = to_rows(record, recipe)
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n")
    conversations = list(read_conversations(str(path), reasoning=recipe.train.reasoning))
    (example,), _ = encode_rows(conversations, template, tiny_tokenizer, max_length=999, excess="raise")
    learnt = tiny_tokenizer.decode(
        [i for i, label in zip(example.ids, example.labels, strict=True) if label != IGNORED]
    )
    at = [a.text for a in answers].index(row["output"])
    thought = record.evidence["reasoning"][at]
    assert learnt.index("<think>") < learnt.index(thought) < learnt.index("</think>") < learnt.index(row["output"])
    assert "Sum 2 and 3." not in learnt


def test_what_a_user_should_know_of_the_rows_is_said_before_training(tiny_tokenizer, tmp_path):
    import copy

    dated = copy.deepcopy(tiny_tokenizer)
    dated.chat_template = "{{ strftime_now('%Y') }}" + dated.chat_template
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}], "topic": "x"}\n'
        '{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "It ends with <|im_end|> here"}]}\n'
        '{"messages": [{"role": "user", "content": "<s>"}, {"role": "assistant", "content": "Ho"}]}\n'
    )

    def notes(tokenizer, **train):
        recipe = make_recipe({"domain": "general", "train": {"model_name_or_path": "m", **train}})
        layout = Layout()
        rows = list(read_conversations(str(path), layout))
        return list(notes_on_rows(make_job(recipe, str(path), "m", tmp_path / "out", None), layout, rows, tokenizer))

    first, control = notes(tiny_tokenizer, template="chat")
    assert first.startswith("rows.jsonl: ") and "not read: topic" in first
    assert control == (
        f"{path}:2: the text holds '<|im_end|>', which this base reads as a control token (1 more turns do)"
    )
    said = notes(dated, template="chat", system_prompt="Be long.")
    assert said[1] == "1 of 3 rows have a system message of their own; it takes the place of train.system_prompt"
    assert said[2] == "the base's chat template writes today's date into each prompt"
    assert len(notes(dated, template="alpaca")) == 2 == len(notes(tiny_tokenizer, template="wizardcoder"))


def test_a_conversation_ends_with_its_last_answer_that_carries_loss():
    turns = [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 0},
        {"role": "user", "content": "c"}, {"role": "assistant", "content": "d", "weight": 1},
        {"role": "user", "content": "e"}, {"role": "assistant", "content": "f", "weight": 0},
    ]  # fmt: skip
    found = messages_of({"messages": turns})
    assert [m["content"] for m in found] == ["a", "b", "c", "d"]
    assert [m.get("trained") for m in found] == [None, False, None, None]


def test_a_blank_thought_is_none(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"instruction": "Sum 2 and 3.", "output": "5", "reasoning": " "}\n')
    with pytest.raises(DataError, match="no row has a thought"):
        list(read_conversations(str(path), reasoning=True))
    assert len(list(read_conversations(str(path)))) == 1


def test_the_token_with_id_0_is_a_label_like_any_other(tiny_tokenizer):
    row = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "<s>"}]
    (example,), counts = encode_rows([("row 0", row)], "chat", tiny_tokenizer, max_length=99, excess="raise")
    assert example.labels[-2] == tiny_tokenizer.bos_token_id == 0 and counts.label_tokens == 2
    short = len(example.ids) - 1
    (cut,), _ = encode_rows([("row 0", row)], "chat", tiny_tokenizer, max_length=short, excess="truncate")
    assert cut.labels[-1] == 0


def test_control_tokens_in_rows_are_counted_beyond_the_first_and_a_tokenizer_without_any_has_none(tmp_path):
    from types import SimpleNamespace

    path = tmp_path / "rows.jsonl"
    path.write_text('{"instruction": "Sum.", "output": "<s> a"}\n')
    rows = list(read_conversations(str(path), layout := Layout()))
    recipe = make_recipe({"domain": "general", "train": {"model_name_or_path": "m", "template": "alpaca"}})
    job = make_job(recipe, str(path), "m", tmp_path / "out", None)

    def notes(**tokens):
        decoder = {i: SimpleNamespace(content=c, special=s) for i, (c, s) in enumerate(tokens.values())}
        return list(notes_on_rows(job, layout, rows, SimpleNamespace(added_tokens_decoder=decoder)))

    (_, said) = notes(bos=("<s>", True))
    assert said == f"{path}:1: the text holds '<s>', which this base reads as a control token"
    assert len(notes(word=("<s>", False))) == len(notes()) == 1
