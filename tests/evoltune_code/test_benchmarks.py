"""Reading the code suites, and the settings under which they are scored."""

import gzip
import hashlib
import json
import os
from pathlib import Path

import pytest

from evoltune.errors import DataError
from evoltune.record import Task, digest
from evoltune_code import domain, ds1000, evalplus, other_languages
from evoltune_code.benchmarks import MBPP_DEV, MBPP_TEST
from evoltune_code.profiles import PROFILES, raw_completion, wizardcoder_extract, wizardcoder_question
from evoltune_code.syntax import called

DATA = Path(os.environ.get("EVOLTUNE_DATA", "/nonexistent"))
SIZES = {"humaneval": 164, "humaneval-plus": 164, "humaneval-plus-mini": 164, "mbpp": 500, "mbpp-dev": 464, "mbpp-all": 974,
         "mbpp-sanitized": 427, "mbpp-plus": 378}  # fmt: skip


def suite(name):
    path = DATA / domain.benchmarks[name].file
    if not path.exists():
        pytest.skip(f"no {path}: set EVOLTUNE_DATA")
    return list(domain.benchmarks[name].load(path))


@pytest.mark.parametrize("name", SIZES)
def test_a_published_file_has_the_hash_and_the_problems_that_it_should(name):
    tasks = suite(name)
    benchmark = domain.benchmarks[name]
    assert hashlib.sha256((DATA / benchmark.file).read_bytes()).hexdigest() == benchmark.sha256
    assert len({t.name for t in tasks}) == len(tasks) == SIZES[name]
    assert all(t.tests and t.reference and t.fields["entry_point"] and t.instruction for t in tasks)
    assert json.loads(json.dumps([t.tests for t in tasks[:20]])) == [t.tests for t in tasks[:20]]


def test_the_dev_set_shares_no_task_with_the_test_set():
    assert not set(MBPP_DEV) & set(MBPP_TEST)


@pytest.mark.parametrize(
    ("task_id", "args", "expected"),
    [
        ("Mbpp/2", [[1, 2], [3]], [(1, 2), (3,)]),
        ("Mbpp/63", [[[1, 2], [3, 4]]], [[(1, 2), (3, 4)]]),
        ("Mbpp/75", [[[6, 24]], 6], [[(6, 24)], 6]),
        ("Mbpp/106", [[1], [2]], [[1], (2,)]),
        ("Mbpp/115", [[[1, 2], []]], [[{1, 2}, {}]]),
        ("Mbpp/124", ["0", "1j"], [0.0, 1j]),
        ("Mbpp/720", [[4], {"a": 1}], [(4,), {"a": 1}]),
        ("Mbpp/259", [[[1, 3]], [[6, 7]]], [((1, 3),), ((6, 7),)]),
        ("Mbpp/278", [[1, [2, 3]]], [(1, (2, 3))]),
        ("Mbpp/722", [{"a": [1, 2]}, 3.0], [{"a": (1, 2)}, 3.0]),
        ("Mbpp/580", [[4, [5, [6]]]], [(4, (5, (6,)))]),
        ("Mbpp/3", [[1]], [[1]]),
        ("HumanEval/2", [[1]], [[1]]),
    ],
)
def test_types_that_json_lost_are_restored(task_id, args, expected):
    found = evalplus.restored(task_id, args)
    assert found == expected
    assert repr(found) == repr(expected)


def test_the_function_under_test_is_the_one_that_the_asserts_call():
    code = "def helper(x): return x\ndef wanted(x): return helper(x)\ndef last(): pass"
    assert called(["assert wanted(1) == 1", "assert wanted(helper(2)) == 2"], code) == "wanted"


@pytest.mark.parametrize("text", ["{", "[1]", '{"task_id": "HumanEval/0"}', '{"task_id": 1, "prompt": 2}'])
def test_a_malformed_file_is_an_error_with_its_place(tmp_path, text):
    path = tmp_path / "x.jsonl"
    path.write_text(text + "\n")
    with pytest.raises(DataError, match=str(path)):
        list(domain.benchmarks["humaneval"].load(path))


def test_a_truncated_or_missing_file_is_an_error(tmp_path):
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress(b"{}\n" * 1000)[:-10])
    for wrong in (path, tmp_path / "none.jsonl"):
        with pytest.raises(DataError, match="cannot be read"):
            list(domain.benchmarks["humaneval"].load(wrong))


def test_wizardcoder_asks_with_tabs_and_cuts_demo_code():
    question = wizardcoder_question(Task(instruction="def f():\n    pass"))
    assert question == "Create a Python script for this problem:\ndef f():\n\tpass"
    response = "Sure:\r\n```python\ndef f():\n\treturn 1\n# Example usage:\nprint(f())\n```\nDone\n```python\nx\n```"
    assert wizardcoder_extract(Task(instruction=""), response) == "def f():\n    return 1"
    assert wizardcoder_extract(Task(instruction=""), "```python\n```") is None


def test_a_raw_completion_ends_at_the_published_stops():
    assert raw_completion(Task(instruction=""), "    return 1\n\ndef g(): pass") == "    return 1\n"
    assert raw_completion(Task(instruction=""), "") == ""


# What a profile does may only change together with its version: then change the version and the digest here.
PUBLISHED = {
    "sound": 1, "humaneval": 1, "wizardcoder-greedy": 1, "wizardcoder-n200": 1, "evalplus": 1, "ds1000": 1, "multipl-e": 1,
}  # fmt: skip
DIGEST = "c7f15719537fdda7"


def test_a_changed_profile_changes_its_version():
    task = Task(
        instruction="def f(x):\n    '''Twice.'''\n",
        fields={"entry_point": "f", "prompt": "def f(x):\n    '''Twice.'''\n"},
    )
    responses = [
        "```python\ndef f(x):\n\treturn 2 * x\n```",
        "    return 2 * x\n\ndef g(): pass",
        "no code",
        "<code>\nx = 1\n</code>",
    ]
    seen = {
        name: [p.version, p.prompt, dict(p.decoding), p.render(task) if p.render else "", [(p.extract or domain.extract)(task, r) for r in responses]]
        for name, p in sorted(PROFILES.items())
    }  # fmt: skip
    assert {name: p.version for name, p in PROFILES.items()} == PUBLISHED
    assert digest(seen) == DIGEST


DS1000 = {
    "prompt": "Problem: double it\nx = 2\nresult = ... # put solution\nBEGIN SOLUTION\n<code>\n",
    "reference_code": "result = x * 2",
    "metadata": {"problem_id": 7, "library": "Numpy"},
    "code_context": "exec_context = 'x = test_input\\n[insert]\\n'\n"
    "def test_execution(solution):\n    env = {'test_input': 3}\n    exec(exec_context.replace('[insert]', solution), env)\n    assert env['result'] == 6\n",
}


def test_a_ds1000_row_keeps_its_harness_and_its_form():
    task = ds1000.task(DS1000)
    assert task.fields["form"] == "completion" and task.name == "DS-1000/7"
    assert ds1000.task({**DS1000, "prompt": "a\n[insert]\n"}).fields["form"] == "insertion"


@pytest.mark.parametrize(
    "response",
    [
        "result = x * 2",
        "result = x * 2\n</code>\nEND SOLUTION",
        "```python\nresult = x * 2\n```",
        "BEGIN SOLUTION\n<code>\nresult = x * 2\n</code>",
    ],
)
def test_a_ds1000_solution_ends_at_upstreams_marks(response):
    assert ds1000.extract(ds1000.task(DS1000), response).strip() == "result = x * 2"


def test_multiple_rows_name_their_language_and_function():
    cpp = {
        "name": "HumanEval_0_f",
        "language": "cpp",
        "prompt": "#include<assert.h>\n// Doc\nbool close_to(std::vector<float> xs, float t) {\n",
        "tests": "}\nint main() {}",
    }
    js = {
        "name": "HumanEval_3_below_zero",
        "language": "js",
        "prompt": "//Doc\nfunction below_zero(operations){\n",
        "tests": "test();",
    }
    assert other_languages.task(cpp).fields["entry_point"] == "close_to"
    assert other_languages.task(js).fields["entry_point"] == "below_zero"
    assert other_languages.task(js).fields["language"] == "javascript"
    assert other_languages.without_brace(cpp["tests"]) == "int main() {}"
