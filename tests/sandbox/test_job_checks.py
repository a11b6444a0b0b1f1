"""What is decided about a job by reading it: whether it can run, and whether it may share a test runner."""

import pytest

from evoltune.domain import Job
from evoltune.sandbox import job_checks, languages, reading
from evoltune.sandbox.values import encode

DEEP = 1
for _ in range(3000):
    DEEP = [DEEP]


def job(tests, program="def f(x): return x", language="python"):
    return Job(program=program, tests=tests, entry_point="f", language=language)


@pytest.mark.parametrize(
    "tests",
    [
        None, "assert f(1) == 1", ["assert f(1) == 1"], {"each": ["assert f(1) == 1"]}, {"cases": [[[1], 1]]}, {"cases": [((1,), 1, 2)]}, {"cases": [[[1]]], "oracle": "def f(x): return x"},
        {"cases": [[encode((1, {2})), 1]], "atol": 1}, {"cases": [[[1], 1]], "compare": "set"}, {"cases": [[[1], 1]], "compare": None}, {"probe": [[1], []]}, {"results": [[1]]},
        {"stdio": [["1", "1"], ("2", "2")]}, {"stdio": [["1", "1"]], "atol": None}, {"cases": [[[1], True]], "compare": "found"}, {"probe": [[1]], "compare": ""},
        {"cases": [[[1], 1], ([], 2)], "atol": 0.5}, {"results": [[1], [2]]},
    ],
)  # fmt: skip
def test_a_job_in_a_known_form_can_run(tests):
    assert job_checks.refusal(job(tests)) is None


@pytest.mark.parametrize(
    ("tests", "why"),
    [
        (3, "3 (int): must be source"), ([], "a list must hold sources"), (["assert f(1)", 3], "a list must hold sources"), ({}, "unknown form []"), ({"case": [], "b": 1}, "unknown form ['b', 'case']"),
        ({"cases": []}, "must be a list that is not empty"), ({"cases": {}}, "must be a list"), ({"cases": [[[1], 1]], "atol": "1"}, "atol a number"), ({"cases": [[[1], 1]], "digests": {}}, "'digests' is no key"),
        ({"cases": [[[1], 1]], "compare": "list"}, "'compare' is 'list'"), ({"each": ["assert f(1)", 2]}, "'each' must hold sources"), ({"stdio": [["1"]]}, "'stdio' must hold [input, output]"),
        ({"stdio": [["1", "1", "1"]]}, "'stdio' must hold"), ({"stdio": ["12"]}, "'stdio' must hold"), ({"cases": [[[1]]]}, "'cases' must hold [args, expected]"), ({"cases": [5]}, "'cases' must hold"),
        ({"cases": [[]], "oracle": "x"}, "[args] beside an oracle"), ({"cases": [[[1], {"x": 1}]]}, "no tagged value"), ({"cases": [[1, 1]]}, "the arguments must be a list"), ({"probe": [1]}, "'probe': the arguments"),
        ({"probe": [{"t": [], "s": []}]}, "no tagged value"), ({"cases": [[[1], DEEP]]}, ""), ({"cases": [[[1], 1]], "whole": 1, "digests": {}}, "'digests' is no key"),
        ({"cases": [[[1], 1], [[1]]]}, "'cases' must hold [args, expected]"), ({"results": [[1], 1]}, "'results': the arguments"), ({"probe": []}, "'probe' must be a list"),
    ],
)  # fmt: skip
def test_tests_in_no_known_form_are_an_error_that_says_why(tests, why):
    found = job_checks.refusal(job(tests))
    assert found.status == "error" and found.reason.startswith("tests: ") and why in found.reason
    assert len(found.reason) <= 300


def test_a_long_reason_is_cut():
    assert len(job_checks.refusal(job({"case" * 200: 1})).reason) == 300


@pytest.mark.parametrize("language", ["bash", "c", "rust", "typescript"])
def test_tests_in_other_languages_are_not_read(language, monkeypatch):
    monkeypatch.setattr(job_checks.languages, "missing", lambda name: "")  # whatever this host lacks
    assert language in languages.LANGUAGES
    other = job("from solution import f\nx = f is f", language=language)
    assert job_checks.without_program_imports(other) is other and job_checks.refusal(other) is None
    assert job_checks.judge_of_job(other) == reading.SEPARATE
    assert not job_checks.shareable(other, reading.SAME_PROCESS) and not job_checks.shareable(other)


def test_a_program_may_have_four_mebibytes_of_characters():
    for tests in (None, "assert f(1) == 1"):
        assert job_checks.refusal(job(tests, "\u00e9" * 4 * 1024**2)) is None
        assert job_checks.refusal(job(tests, "#" * (4 * 1024**2 + 1))).status == "fail"


def test_what_cannot_run_or_asserts_nothing_is_refused():
    long = job("assert f(1) == 1", "#" * (job_checks.MAX_PROGRAM + 1))
    assert (
        job_checks.refusal(long).status == "fail" and str(job_checks.MAX_PROGRAM + 1) in job_checks.refusal(long).reason
    )
    assert job_checks.refusal(job("assert f(1) == 1", "#" * job_checks.MAX_PROGRAM)) is None
    unknown = job_checks.refusal(job(None, language="cobol"))
    assert unknown.status == "unverifiable" and "cobol" in unknown.reason
    assert (
        job_checks.refusal(job("x = f(1)")).status
        == "unverifiable"
        == job_checks.refusal(job(["x = 1", "y = 2"])).status
    )
    assert job_checks.refusal(job(["x = 1", "assert f(x)"])) is None
    assert job_checks.refusal(job("x = 1", language="bash")) is None, "another language's tests are not read"


PLAIN = (
    "assert f([1, 2.5, 'a.b'], {'k': (None, True)}) == 3  # see os.path\nfor x in range(3):\n    assert f(x).append(1)"
)


@pytest.mark.parametrize(
    "tests",
    [
        PLAIN, ["assert f(1) == 1", PLAIN], {"each": [PLAIN]}, {"cases": [[[1], 1]]}, {"probe": [[1]]}, "from typing import List, Dict\nassert f(1)", "import math\nassert f(math.sqrt(4)) == 2",
        "assert f('import os') == 1", "assert f(\"getattr\") == 1.5", "def check(candidate):\n    assert candidate('x'.upper()) == 1", "assert f(1)  # import os", "assert f(rb'os') == 1",
        "assert f('import self') == \"of os\"", "assert f(1) == 2.5 and f(.5) == 1.0", "assert f([1.5, 2.]) == {2.}", "assert f(F'{1}' + f'{f(2)}') == 1", "assert f('a', # import os\n  'b') == 1",
    ],
)  # fmt: skip
def test_tests_that_reach_nothing_beyond_their_names_may_share_a_runner(tests):
    assert job_checks.shareable(job(tests))


@pytest.mark.parametrize(
    "tests",
    [
        None, {"stdio": [["1", "1"]]}, "import os\nassert f(1)", "import math\nmath.pi = 3\nassert f(1)", "from math import pi\nassert f(1)", "from typing import NamedTuple\nassert f(1)", "assert f.x == 1",
        "assert f(1).__class__ is int", "assert getattr(f, 'x')", "assert f('é') == 1", "assert f(f'{os.name}')", "assert f(rF\"{os.name}\")", "assert f(1) == '\\n' + os", "assert math.pi == f(1)", "assert f(1).sort", "assert f('__x__')", "assert f('\\'os')\nassert os", "assert np.allclose(f(1), 1)", "assert f(1).real == 1",
        "exec('x = 1')\nassert f(1)", "match f(1):\n    case 1: assert f(2)", "assert f('''\nimport os''')", "assert open('x')", ["assert f(1) == 1", "import sys\nassert f(1)"], {"each": ["globals()\nassert f(1)"]},
    ],
)  # fmt: skip
def test_tests_that_could_leave_something_behind_share_none(tests):
    assert not job_checks.shareable(job(tests))


@pytest.mark.parametrize(
    ("program", "alone"),
    [
        ("def f(x): return x", False), ("import math\ndef f(x): return x", False), ("import os\ndef f(x): return x", True), ("from pathlib import Path\ndef f(x): return x", True), ("open('x')", True), ("open ('x')", True),
        ("reopened = 1", False), ("__import__('o' + 's')", True), ("x = 'importlib'", False), ("import json, importlib", True), ("from concurrent.futures import Future", True), ("import asyncio", True), ("imported = __name__", False),
    ],
)  # fmt: skip
def test_a_program_that_needs_a_process_or_a_file_runs_alone(program, alone):
    for tests in ("assert f(1) == 1", {"cases": [[[1], 1]]}):
        assert job_checks.shareable(job(tests, program)) is not alone
    assert job_checks.shareable(job("import os\nassert f(os)", program), reading.SAME_PROCESS) is False
    assert job_checks.shareable(job("assert f.x == 1", program), reading.SAME_PROCESS) is not alone
    for leaves in (
        "def test(tmp_path): assert f(1)",
        "assert f(1).to_csv('x')",
        "assert open('x')",
        "x.write_text('y')\nassert f(1)",
    ):
        assert not job_checks.shareable(job(leaves, program), reading.SAME_PROCESS)
    assert not job_checks.shareable(job("assert f(1) == 1", program, "javascript"))


def test_imports_of_the_program_are_left_out_of_tests_in_every_form():
    source, kept = "from solution import f\nimport math\nassert f(1) == 1", "import math"
    for form in (source, [source, "assert f(2)"], {"each": [source]}):
        (first, *_) = job_checks.sources_of(job_checks.without_program_imports(job(form)).tests)
        assert kept in first and "solution" not in first
        assert type(job_checks.without_program_imports(job(form)).tests) is type(form)
    for other in ("assert f(1)", {"cases": [[[1], 1]]}, None):
        same = job(other)
        assert job_checks.without_program_imports(same) is same
    assert job_checks.sources_of({"cases": []}) is None is job_checks.sources_of(None)


def test_tests_without_source_are_judged_in_a_process_of_their_own():
    assert job_checks.judge_of_job(job({"cases": [[[1], 1]]})) == reading.SEPARATE
    assert job_checks.judge_of_job(job("assert f(1) == 1")) == reading.judge_of(("assert f(1) == 1",))
    assert job_checks.judge_of_job(job("def test(): assert f is f")) == reading.SAME_PROCESS
    assert job_checks.judge_of_job(job("def test(): assert f is f", language="bash")) == reading.SEPARATE
