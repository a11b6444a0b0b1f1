"""Rows become ids and labels under the length policy, with exact counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.errors import DataError
from evoltune.models.template import IGNORED
from evoltune.train.sft.examples import encode_rows, messages_of, read_conversations


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


def test_foreign_rows_are_read_and_alpaca_input_stays_apart(tmp_path):
    path = tmp_path / "mixed.jsonl"
    path.write_text(
        '{"instruction": "Sort.", "input": "3, 1", "output": "1, 3", "id": "x"}\n'
        '{"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}\n'
    )
    (first, sort), (_, greet) = read_conversations(str(path))
    assert "mixed.jsonl:1" in first and "'x'" in first
    assert sort[0] == {"role": "user", "content": "Sort.", "input": "3, 1"}
    assert [m["content"] for m in greet] == ["Hi", "Hello"]
    with pytest.raises(DataError, match="no instruction"):
        messages_of({"body": "x"}, "row 3")
