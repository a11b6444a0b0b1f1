"""Steps and labels: splitting, consensus, rows."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evoltune.errors import DataError
from evoltune.text.reasoning import split_reasoning
from evoltune.train.reward.steps import (
    Label,
    Solution,
    consensus,
    from_row,
    hard_labels,
    split_steps,
    to_row,
    until_first_error,
)

STEP = st.text(
    st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"], exclude_characters="<["), min_size=1
).map(str.strip).filter(bool)  # fmt: skip
"""Without the signs with which tags of thoughts and end marks begin."""
VALUE = st.one_of(st.none(), st.floats(0, 1))
LABELS = st.lists(st.builds(Label, value=VALUE, method=st.sampled_from(["check", "judge"]), tried=st.integers(0, 8)))


def test_paragraphs_are_steps_where_there_are_any_and_lines_elsewhere():
    assert split_steps("a\nb\n\nc\n") == (("a\nb", "c"), "\n\n")
    assert split_steps("a\n b \nc") == (("a", "b", "c"), "\n")
    assert split_steps("<think>\nhm\n\nso\n</think>\n\na\nb") == (("a", "b"), "\n")
    assert split_steps("a\nb<|im_end|>\nc") == (("a", "b"), "\n")


@given(st.lists(STEP, min_size=1), st.sampled_from(["\n", "\n\n"]))
def test_joined_steps_split_into_the_same_steps(steps: list[str], separator: str):
    text = separator.join(steps)
    assume(split_reasoning(text) == (text, ""))
    found, used = split_steps(text)
    assert found == tuple(steps) and (used == separator or len(steps) == 1)


@given(LABELS)
def test_nothing_after_the_first_error_has_a_value(labels: list[Label]):
    found = until_first_error(labels)
    wrong = next((i for i, label in enumerate(labels) if label.value is not None and label.value < 0.5), len(labels))
    assert [label.value for label in found[: wrong + 1]] == [label.value for label in labels[: wrong + 1]]
    assert all(label.value is None for label in found[wrong + 1 :])


@given(LABELS, LABELS)
def test_consensus_keeps_only_what_both_judged_alike_and_does_not_depend_on_the_order(a: list[Label], b: list[Label]):
    size = min(len(a), len(b))
    found = consensus(a[:size], b[:size])
    assert found == consensus(b[:size], a[:size])
    for left, right, both in zip(a, b, found, strict=False):
        if both.value is not None:
            assert left.value is not None and right.value is not None
            assert both.value == float(left.value >= 0.5) == float(right.value >= 0.5)


def test_labels_of_two_solutions_have_no_consensus():
    with pytest.raises(DataError, match="labels of 2 and of 1"):
        consensus(hard_labels(2, first_error=-1, method="check"), hard_labels(1, first_error=-1, method="judge"))


@given(st.lists(st.tuples(STEP, VALUE)), st.sampled_from(["\n", "\n\n"]))
def test_a_row_gives_back_the_solution_with_soft_labels_and_their_origin(steps: list, separator: str):
    labels = tuple(Label(value=value, method="rollouts", tried=8, passed=3) for _, value in steps)
    solution = Solution(
        prompt="p",
        steps=tuple(s for s, _ in steps),
        labels=labels,
        separator=separator,
        name="n",
        extra={"reference": "4"},
    )
    assert from_row(to_row(solution)) == solution


@pytest.mark.parametrize("label", [1.5, -0.1, "1", [1]])
def test_a_label_that_is_no_probability_is_refused(label: object):
    with pytest.raises(DataError, match=r"f.jsonl:3: label"):
        from_row({"prompt": "p", "completions": ["a"], "labels": [label]}, "f.jsonl:3")


def test_the_first_error_is_known_only_up_to_an_unlabelled_step():
    def solution(*values: float | None) -> Solution:
        return Solution(prompt="", steps=("s",) * len(values), labels=tuple(Label(value=v) for v in values))

    assert solution(1.0, 0.0, None).first_error == 1
    assert solution(1.0, 0.9).first_error == -1
    assert solution(1.0, None).first_error is None
