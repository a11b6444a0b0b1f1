"""The reward as trainers call it: columns of every kind, threads, pickles, hooks, partial credit, refused options."""

import logging
import pickle
import threading

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import evoltune
from evoltune.errors import EvoltuneError
from evoltune.record import STATUSES
from evoltune.verification import reward as reward_module
from evoltune.verification.row_forms import (
    Repeats,
    answer_text,
    column_values,
    each_answer,
    plain,
    plain_row,
    prompt_text,
    with_our_names,
)


@pytest.fixture(scope="module")
def math():
    with evoltune.reward("math", workers=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def fraction():
    with evoltune.reward("code", workers=1, reward="fraction", program_s=0.5) as opened:
        yield opened


# ---- columns


def containers():
    yield list
    yield tuple
    yield lambda values: numpy.array(values, dtype=object)
    if pandas := pytest.importorskip("pandas"):
        yield lambda values: pandas.Series(values)
        yield lambda values: pandas.Series(values, dtype=object)
    if pyarrow := pytest.importorskip("pyarrow"):
        yield lambda values: pyarrow.array(values)


@pytest.mark.parametrize("container", list(containers()))
def test_a_column_may_be_of_any_library(math, container):
    assert math(["4", "5", "6"], reference=container(["4", "4", None])) == [1.0, 0.0, None]


def test_numbers_may_be_tensors_and_arrays(math):
    torch = pytest.importorskip("torch")
    assert math(["4", "5"], reference=torch.tensor([4, 4])) == [1.0, 0.0]
    assert math(["0.5", "5"], reference=numpy.array([0.5, 0.5])) == [1.0, 0.0]
    assert math(numpy.array(["4", "5"]), reference=[numpy.int64(4), torch.tensor(4)]) == [1.0, 0.0]


@given(st.decimals(-1000, 1000, places=3).map(float))
def test_numbers_of_narrow_types_mean_what_was_written(number):
    torch, pyarrow = pytest.importorskip("torch"), pytest.importorskip("pyarrow")
    narrow = numpy.array([number], dtype="float32")
    for form in (narrow, narrow[0], torch.tensor(narrow), pyarrow.array(narrow)):
        assert column_values(form if hasattr(form, "__len__") else [form]) == [number]
    half = numpy.float16(number)
    assert numpy.float16(plain(half)) == half and len(repr(plain(half))) <= len(repr(float(half)))


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "0.0", "-0.0", "65504", "3.4028235e38", "1e-45"])
def test_extreme_numbers_of_narrow_types_come_back(number):
    for kind in (numpy.float32, numpy.float16):
        value = kind(float(number))
        assert numpy.array_equal(kind(plain(value)), value, equal_nan=True)


@pytest.mark.parametrize("name", ["answer", "solution", "ground_truth"])
def test_the_reference_is_found_under_the_names_of_datasets(math, name):
    assert math(["\\boxed{4}", "5"], **{name: ["2 + 2 = 4\n#### 4", "4"]}) == [1.0, 0.0]
    assert math(["4", "5"], **{name: ["7", "8"]}, reference=["4", "5"]) == [1.0, 1.0]
    assert math(["4", "5"], **{name: ["7", "5"]}, reference=["4", None]) == [1.0, 1.0]


def test_a_column_that_does_not_fit_is_named(math):
    with pytest.raises(ValueError, match="'reference' is a str: pass a list"):
        math(["4"], reference="4")
    with pytest.raises(ValueError, match="'solution' has 1 values for 2 completions"):
        math(["4", "5"], solution=["4"])
    with pytest.raises(ValueError, match="'reference' is a set"):
        math(["4", "5"], reference={"4", "5"})
    with pytest.raises(ValueError, match="completions is a str"):
        math("45", reference=["4", "5"])


def test_a_completion_that_is_no_text_is_an_error_and_not_wrong(math):
    assert math([None, True, b"4", "4", 4, []], reference=["4"] * 6) == [None, None, None, 1.0, 1.0, 0.0]


# ---- completions


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


CALL = {"tool_calls": [{"function": {"name": "add", "arguments": "{}"}}]}


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([assistant("4")], "4"),
        ([assistant(None, **CALL), {"role": "tool", "content": "9"}, assistant("4")], "4"),
        ([assistant("4"), {"role": "tool", "content": "9"}], "4"),
        ([assistant("4"), assistant("", **CALL), {"role": "tool", "content": "9"}], "4"),
        ([assistant(None, **CALL), {"role": "tool", "name": "add", "content": "9"}], ""),
        ([assistant([{"type": "text", "text": "4"}]), {"role": "user", "content": "Thanks, 5!"}], "4"),
        ([{"content": "4"}], "4"),
        (assistant("4"), "4"),
        ([{"from": "gpt", "value": "4"}], "4"),
        ([], ""),
        (None, ""),
    ],
)
def test_the_answer_of_a_conversation_is_the_last_that_the_assistant_says(messages, text):
    assert answer_text(messages) == text


def user(content):
    return {"role": "user", "content": content}


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("2 + 2?", "2 + 2?"),
        ([{"role": "system", "content": "Be brief."}, user("2 + 2?")], "2 + 2?"),
        ([user("2 + 2?"), assistant("4"), user("And twice that?")], "And twice that?"),
        ([user("2 + 2?"), assistant("", **CALL), {"role": "tool", "content": "9"}], "2 + 2?"),
        ([user("2 + 2?"), assistant("Let me see.")], "2 + 2?"),
        ([{"from": "human", "value": "2 + 2?"}, {"from": "gpt", "value": "4"}], "2 + 2?"),
        ([user([{"type": "text", "text": "2 + 2?"}])], "2 + 2?"),
        ({"role": "user", "content": "2 + 2?"}, "2 + 2?"),
        ([{"role": "system", "content": "Say something."}], "Say something."),
        ([], ""),
        (None, ""),
    ],
)
def test_what_is_asked_is_what_the_user_said_last(prompt, text):
    assert prompt_text(prompt) == text


# ---- processes and threads


def test_threads_that_call_first_share_one_pool(toy, monkeypatch):
    opened = []
    real = reward_module.open_checker
    monkeypatch.setattr(reward_module, "open_checker", lambda *a, **k: opened.append(1) or real(*a, **k))
    scores, reward = [], evoltune.reward(toy, workers=1)
    start = threading.Barrier(8)

    def call():
        start.wait()
        scores.append(reward(["1", "2"], reference=["1", "1"]))

    threads = [threading.Thread(target=call) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert scores == [[1.0, 0.0]] * 8 and opened == [1]
    reward.close()
    reward.close()
    assert reward(["1"], reference=["1"]) == [1.0] and opened == [1, 1]
    reward.close()


@pytest.mark.parametrize("pickler", ["pickle", "cloudpickle"])
def test_a_reward_is_pickled_before_and_after_its_use(toy, pickler):
    module = pytest.importorskip(pickler)
    with evoltune.reward(toy, workers=1, policy={"COUNT": ""}) as reward:
        before = module.dumps(reward)
        assert reward(["1"], reference=["1"]) == [1.0]
        after = module.dumps(reward)
    for data in (before, after):
        with pickle.loads(data) as copy:
            assert copy.__name__ == reward.__name__ and copy.options == reward.options
            assert copy(["1", "2"], reference=["1", "1"]) == [1.0, 0.0]


def test_a_domain_that_workers_cannot_import_is_refused():
    nowhere = evoltune.Domain(
        name="nowhere", seeds=list, operators=(), verify=lambda *_: evoltune.Verdict(status="pass")
    )
    with pytest.raises(EvoltuneError, match="no attribute of an importable module"):
        evoltune.reward(nowhere)


# ---- what was None, and why


def test_rewards_that_are_none_are_one_line_with_counts_and_reasons(math, caplog):
    with caplog.at_level(logging.WARNING):
        assert math(["4", "5", "6"], reference=["4", "5", "6"]) == [1.0] * 3
        assert not caplog.records
        assert math(["4", "5", "6"], reference=[None, "5", None]) == [None, 1.0, None]
    (record,) = caplog.records
    assert record.getMessage() == "evoltune_math: 2 of 3 rewards are None: 2 unverifiable: no reference"


def test_the_names_of_columns_that_are_not_there_are_said(math, caplog):
    with caplog.at_level(logging.WARNING):
        assert math(["4", "5"], label=["4", "5"]) == [None, None]
    (record,) = caplog.records
    assert "2 of 2 rewards are None" in record.getMessage() and "allowed: reference, answer, sol" in record.getMessage()


def test_trl_gets_shares_statuses_and_reasons(math):
    metrics, extra = {}, {}
    hooks = {"log_metric": metrics.__setitem__, "log_extra": extra.__setitem__, "trainer_state": object()}
    assert math(["4", "5", "6", "7"], reference=["4", "4", None, "7"], **hooks) == [1.0, 0.0, None, 1.0]
    shares = {"pass": 0.5, "fail": 0.25, "unverifiable": 0.25}
    assert metrics == {f"evoltune_math/{status}": shares.get(status, 0.0) for status in STATUSES}
    assert extra["evoltune_math_status"] == ["pass", "fail", "unverifiable", "pass"]
    assert "not equal" in extra["evoltune_math_reason"][1] and extra["evoltune_math_reason"][2] == "no reference"


# ---- partial credit

PROGRAMS = ["def f(x):\n    return x", "def f(x):\n    return 1", "def f(x):\n    return y", "def f(x:"]
ASSERTS = "assert f(1) == 1\nassert f(2) == 2\nassert f(3) == 3"
FORMS = {
    "source": ASSERTS,
    "list": ASSERTS.splitlines(),
    "check": "def check(candidate):\n" + "".join(f"    assert candidate({i}) == {i}\n" for i in (1, 2, 3)),
    "functions": "".join(f"def test_{i}():\n    assert f({i}) == {i}\n" for i in (1, 2, 3)),
    "cases": {"cases": [[[i], i] for i in (1, 2, 3)]},
}


@pytest.mark.parametrize("form", ["source", "list", "check", "cases"])
def test_a_fraction_is_the_share_of_cases_that_pass(fraction, form):
    columns = {"tests": [FORMS[form]] * 4, "entry_point": ["f"] * 4}
    assert fraction(PROGRAMS, **columns) == [1.0, pytest.approx(1 / 3), 0.0, 0.0]


def test_an_answer_that_runs_out_of_time_twice_is_given_up(fraction):
    loops = "def f(x):\n    while x > 2: pass\n    return x"
    tests = "\n".join(f"assert f({i}) == {i}" for i in (1, 2, *range(3, 40)))
    assert fraction([loops], tests=[tests]) == [2 / 39]


def test_a_row_that_cannot_be_verified_or_split_keeps_its_score(fraction, math):
    assert fraction(["def f(x): return 2"] * 2, tests=["assert f(1) == 1", None]) == [0.0, None]
    with evoltune.reward("math", workers=1, reward="fraction") as whole:
        assert whole(["4", "5"], reference=["4", "4"]) == [1.0, 0.0]


# ---- traps


@pytest.mark.parametrize(
    ("domain", "options", "message"),
    [
        ("math", {"policy": {"units": "strict"}}, "agree, ignore, required"),
        ("math", {"policy": {"unit": "ignore"}}, "did you mean 'units'"),
        ("math", {"policy": {"decimal_digits": True}}, "must be a number"),
        ("code", {"policy": {"packages": "numpy"}}, "must be a list"),
        ("code", {"policy": {"min_tests": "three"}}, "must be a number"),
        ("math", {"profile": "sond"}, "did you mean 'sound'"),
        ("math", {"workers": -1}, "workers"),
        ("code", {"program_s": 0}, "program_s"),
        ("code", {"require": "L9"}, "L9"),
        ("code", {"reward": "some"}, "pass, fraction"),
        ("maths", {}, "did you mean 'math'"),
        ("math", {"service": "http://127.0.0.1:1", "policy": {"units": "strict"}}, "agree, ignore, required"),
        ("math", {"service": "localhost"}, "must be like"),
    ],
)
def test_wrong_options_are_refused_before_the_first_step(domain, options, message):
    with pytest.raises(EvoltuneError, match=message):
        evoltune.reward(domain, **options)


# ---- forms of rows

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=4), values, max_size=4))
def test_a_row_in_plain_python_comes_back_equal(row):
    assert plain_row(row) == row and plain(row) == row


def test_what_data_frames_mark_as_missing_is_none():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"id": [1, 2], "answer": ["4", "5"], "reference": ["4", None]})
    verdicts = list(evoltune.verify(frame, domain="math", workers=1))
    assert [(v["id"], v["status"]) for v in verdicts] == [(1, "pass"), (2, "unverifiable")]


def test_a_row_with_several_answers_stands_for_several_rows():
    row = {"id": "a", "reference": "4"}
    assert list(each_answer([{**row, "answer": "4"}])) == [{**row, "answer": "4"}]
    expected = [{**row, "answer": "4", "sample": 0}, {**row, "answer": "5", "sample": 1}]
    for column in ("answer", "answers", "generations"):
        assert list(each_answer([{**row, column: ["4", "5"]}])) == expected
    conversation = [assistant("4")]
    assert list(each_answer([{**row, "answer": conversation}])) == [{**row, "answer": conversation}]
    assert [r["answer"] for r in each_answer([{**row, "answer": [conversation, conversation]}])] == [conversation] * 2
    verdicts = list(evoltune.verify([{**row, "answer": ["4", [assistant("5")]]}], domain="math", workers=1))
    assert [(v["id"], v["sample"], v["status"]) for v in verdicts] == [("a", 0, "pass"), ("a", 1, "fail")]


def test_the_answers_of_a_row_without_an_id_have_its_number():
    rows = [
        {"answer": ["4", "5"]},
        {"id": None, "answer": "6"},
        "no object",
        {"answers": ["7"]},
        {"id": "x", "answer": []},
    ]
    found = [r if isinstance(r, str) else (r["id"], r.get("sample"), r["answer"]) for r in each_answer(rows)]
    assert found == [(1, 0, "4"), (1, 1, "5"), (2, None, "6"), "no object", (4, 0, "7"), ("x", None, None)]


def test_no_two_rows_have_one_id_and_sample():
    rows = [
        {"id": "a", "answer": "1"},
        {"id": "b", "answer": ["1", "2"]},
        {"id": "a", "answer": "2"},
        {"id": "b", "answer": ["3"]},
        {"id": "a", "answer": "3", "sample": 7},
        {"id": "a", "answer": "4", "sample": 1},
        {"id": 8, "answer": "1"},
        {"answer": "2"},
    ]
    repeats = Repeats()
    found = [(str(r["id"]), r.get("sample"), r["answer"]) for r in each_answer(rows, repeats)]
    assert found == [
        ("a", None, "1"), ("b", 0, "1"), ("b", 1, "2"), ("a", 1, "2"), ("b", 2, "3"), ("a", 7, "3"), ("a", 8, "4"), ("8", None, "1"), ("8", 1, "2"),
    ]  # fmt: skip
    assert repeats.ids == {"a": 4, "b": 2, "8": 2}
    assert next(iter(each_answer(rows[:2]))) is rows[0]


def test_our_own_names_win_and_a_models_answer_is_no_reference():
    assert "reference" not in with_our_names({"answer": "4"})
    assert with_our_names({"answer": "4"}, apart=True)["reference"] == "4"
    assert with_our_names({"answer": "4", "solution": "5", "reference": 6})["reference"] == 6
    assert with_our_names({"answer": "x", "test_list": ["assert f(1)"]})["tests"] == ["assert f(1)"]
