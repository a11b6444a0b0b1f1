"""Oracles: long results are known by a digest, kept between runs, and still compared as values where the digests differ."""

import json
import os

import pytest

from evoltune.domain import Job
from evoltune.sandbox.ground_truth import Expected, GroundTruth
from evoltune.sandbox.pool import Pool
from evoltune.sandbox.values import encode
from evoltune.sandbox.worker_protocol import WorkerConfig, verdict_from_row

LONG = "def f(n):\n    return list(range(n))\n"
CASES = [[encode([n])] for n in (3, 2000, 5, 3000)]


@pytest.mark.parametrize(
    ("program", "status", "case"),
    [
        (LONG, "pass", None),
        ("def f(n):\n    return [float(i) for i in range(n)]\n", "pass", None),  # equal values, another form
        ("def f(n):\n    return [i + 1e-9 * (n == 3000) for i in range(n)]\n", "pass", None),  # within the tolerance
        ("def f(n):\n    return [i + 0.1 * (n == 3000) for i in range(n)]\n", "fail", 3),
        ("def f(n):\n    return [i + 0.1 * (n == 2000) for i in range(n)]\n", "fail", 1),
        ("def f(n):\n    return tuple(range(n))\n", "fail", 0),
        ("def f(n):\n    return list(range(n)) if n < 9 else tuple(range(n))\n", "fail", 1),
        ("def f(n):\n    return list(range(n)) if n != 5 else 1 / 0\n", "fail", 2),
        ("def f(n):\n    return list(range(n)) if n == 3000 else [0, 1, 2] if n == 3 else []\n", "fail", 1),
    ],
)
def test_long_results_are_judged_as_values(one, program, status, case):
    verdict = one(program, {"cases": CASES, "oracle": LONG, "atol": 1e-6})
    assert (verdict.status, verdict.evidence.get("case")) == (status, case), verdict
    assert "differs" not in verdict.evidence
    if case is not None:
        assert verdict.reason.startswith(f"case {case}: ")


@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("def f(n):\n    return {i: str(i) for i in reversed(range(n))}\n", "pass"),
        ("def f(n):\n    return {i: str(i) for i in range(n)} | {1: 'x'}\n", "fail"),
    ],
)
def test_the_order_of_a_long_dict_does_not_matter(one, program, status):
    oracle = "def f(n):\n    return {i: str(i) for i in range(n)}\n"
    assert one(program, {"cases": CASES, "oracle": oracle}).status == status


def test_a_long_result_of_objects_has_no_expected_value(one):
    program = "class A: pass\ndef f(n):\n    return [A() for _ in range(n)]\n"
    assert one(program, {"cases": [[encode([3000])]], "oracle": program}).status == "fail"


@pytest.mark.parametrize(
    ("compare", "program", "status"),
    [
        ("set", "def f(n):\n    return [2, 1, 1]\n", "pass"),
        ("set", "def f(n):\n    return (1, 2)\n", "pass"),
        ("set", "def f(n):\n    return [1]\n", "fail"),
        ("set", "def f(n):\n    return 3\n", "fail"),
        ("found", "import re\ndef f(n):\n    return re.match('a', 'a')\n", "pass"),
        ("found", "def f(n):\n    return False\n", "fail"),
        ("found", "def f(n):\n    return None\n", "fail"),
    ],
)
def test_results_may_be_compared_as_sets_or_by_whether_there_is_one(one, compare, program, status):
    tests = {"cases": [[encode([1])]], "oracle": "def f(n):\n    return [1, 2]\n", "compare": compare}
    assert one(program, tests).status == status


@pytest.mark.parametrize("tests", [{"compare": "sets"}, {"digests": {"0": "00"}}, {"numbers": [4]}])
def test_keys_that_are_ours_and_unknown_comparisons_are_refused(one, tests):
    verdict = one(LONG, {"cases": [[encode([1]), encode([0])]], **tests})
    assert verdict.status == "error" and next(iter(tests)) in verdict.reason


def judged(folder, program, oracle):
    pool = Pool(WorkerConfig(domain="", require="L0", memory_mb=512, ground_truth=str(folder)), workers=1)
    try:
        job = Job(program=program, tests={"cases": CASES, "oracle": oracle}, entry_point="f")
        return pool.level, verdict_from_row(pool.submit("jobs", [[job]]).result(120)[0][0])
    finally:
        pool.close()


def test_results_of_a_slow_oracle_are_kept_where_programs_cannot_reach_them(tmp_path):
    slow = "import time\nend = time.process_time() + 0.2\nwhile time.process_time() < end: pass\n" + LONG
    level, verdict = judged(tmp_path, LONG, slow)
    assert verdict.status == "pass"
    kept = [*tmp_path.glob("*.json")]
    if level not in ("L2", "L3"):
        assert kept == []
        return
    (file,) = kept
    results, digests, _ = json.loads(file.read_text())
    assert results == [[0, 1, 2], None, [0, 1, 2, 3, 4], None] and [*digests] == ["1", "3"]
    results[0] = [7]
    file.write_text(json.dumps([results, digests, 0.2]))
    assert judged(tmp_path, LONG, slow)[1].reason.endswith("expected [7]")
    file.write_text('[["damaged')
    assert judged(tmp_path, LONG, slow)[1].status == "pass"


def test_what_is_kept_is_found_by_its_question_alone(tmp_path):
    kept = GroundTruth(str(tmp_path / "folder"))
    assert kept.get(("a", "f")) is None
    kept.put(("a", "f"), Expected([1], {"0": "x"}, 1.5))
    assert kept.get(("a", "f")) == Expected([1], {"0": "x"}, 1.5)
    assert kept.get(("b", "f")) is None


def test_a_list_of_objects_in_place_of_values_fails(one):
    program = "class A: pass\ndef f(n):\n    return [A()]\n"
    verdict = one(program, {"cases": [[encode([1]), encode([1])]]})
    assert (verdict.status, verdict.reason) == ("fail", "case 0: got a list, expected [1]")


def test_the_folder_is_bounded_and_keeps_what_was_asked_for_last(tmp_path):
    kept, known = GroundTruth(str(tmp_path), max_bytes=1500), Expected(["x" * 100], {}, 1.5)
    cleans_up = [n for n in range(500) if kept._file((n,)).rpartition("/")[2].startswith("0")]
    others = [n for n in range(30) if n not in cleans_up]
    for n in others:
        kept.put((n,), known)
    for file in tmp_path.iterdir():
        os.utime(file, (1e9, 1e9))
    assert kept.get((others[3],)) == known
    assert len([*tmp_path.iterdir()]) == len(others)
    kept.put((cleans_up[-1],), known)
    assert 1000 < sum(file.stat().st_size for file in tmp_path.iterdir()) <= 1500
    assert kept.get((others[3],)) == kept.get((cleans_up[-1],)) == known
