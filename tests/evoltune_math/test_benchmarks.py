"""The maths suites: readers of the upstream formats."""

import gzip
import hashlib
import json
import os
from pathlib import Path

import pytest

from evoltune.errors import DataError
from evoltune_math.benchmarks import BENCHMARKS, boxed, hash_reference, number_text

DATA = Path(os.environ.get("EVOLTUNE_DATA", "no such folder"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="EVOLTUNE_DATA names no folder of suites")


def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@needs_data
@pytest.mark.parametrize(
    ("suite", "size"), [("gsm8k", 1319), ("gsm8k-train", 7473), ("gsm-hard", 1319), ("svamp", 1000)]
)
def test_a_published_suite_loads_whole_with_unique_names_and_the_recorded_hash(suite, size):
    benchmark = BENCHMARKS[suite]
    tasks = list(benchmark.load(DATA / benchmark.file))
    assert len(tasks) == size == len({t.name for t in tasks})
    assert all(t.reference and t.instruction for t in tasks)
    assert hashlib.sha256((DATA / benchmark.file).read_bytes()).hexdigest() == benchmark.sha256


@needs_data
def test_references_are_those_of_the_upstream_rows():
    first = {
        name: next(iter(BENCHMARKS[name].load(DATA / BENCHMARKS[name].file))) for name in ("gsm8k", "gsm-hard", "svamp")
    }
    assert first["gsm8k"].reference == "18"
    assert first["gsm-hard"].reference == "-9867630"
    assert first["svamp"].reference == "51"
    assert first["svamp"].instruction.startswith("Each pack of dvds costs 76 dollars. If there is a discount")
    assert not any("," in (t.reference or "") for t in BENCHMARKS["gsm8k"].load(DATA / "gsm8k/test.jsonl.gz"))


def test_math_reads_the_published_folder_and_math_500_its_jsonl(tmp_path):
    row = {"problem": "Halve $x=5$.", "level": "Level 1", "type": "Algebra", "solution": r"So $\boxed{\frac{5}{2}}$."}
    (tmp_path / "algebra").mkdir()
    (tmp_path / "algebra" / "7.json").write_text(json.dumps(row), encoding="utf-8")
    (task,) = BENCHMARKS["math"].load(tmp_path)
    assert (task.reference, task.name, task.fields["skill"]) == (r"\frac{5}{2}", "math/algebra/7", "Algebra")
    small = lines(
        tmp_path / "m.jsonl", {**row, "answer": "5/2", "subject": "Algebra", "unique_id": "test/algebra/7.json"}
    )
    (task,) = BENCHMARKS["math-500"].load(small)
    assert (task.reference, task.name) == ("5/2", "math/test/algebra/7.json")


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        (r"first \boxed{1}, then \boxed{\sqrt{2}}", r"\sqrt{2}"),
        (r"a pair \boxed{(1, \{2\})}", r"(1, \{2\})"),
        (r"old style \fbox{7}.", "7"),
        (r"no braces $\boxed 9$", "9"),
    ],
)
def test_the_last_boxed_answer_is_read_with_balanced_braces(solution, answer):
    assert boxed(solution) == answer


def test_hash_references_lose_their_thousands_commas_only():
    assert hash_reference("x\n#### 1,234.50") == "1234.50"
    assert hash_reference("a #### 3 b\n#### -4") == "-4"


def test_numbers_keep_their_value_in_text():
    assert [number_text(v) for v in (18.0, -2, 0.5, 1e15, 3244047.0999999996)] == [
        "18",
        "-2",
        "0.5",
        "1000000000000000",
        "3244047.0999999996",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"question": "q", "answer": "no mark"}\n', r"no '#### ' reference"),
        ('{"question": "q"}\n', r"bad.jsonl:1: no field 'answer' \(found: question\)"),
        ('{"question": "q", "answer": "#### 1"}\n{broken\n', r"bad.jsonl:2: not JSON"),
        ("[1]\n", r"bad.jsonl:1: a list, must be an object"),
        ('{"question": 3, "answer": 4}\n', "bad.jsonl:1"),
    ],
)
def test_a_damaged_suite_names_the_place(tmp_path, text, said):
    (tmp_path / "bad.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        list(BENCHMARKS["gsm8k"].load(tmp_path / "bad.jsonl"))


def test_a_truncated_gzip_file_is_a_clear_error(tmp_path):
    whole = gzip.compress(b'{"question": "q", "answer": "#### 1"}\n' * 50)
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[:-9])
    with pytest.raises(DataError, match="cannot be read"):
        list(BENCHMARKS["gsm8k"].load(tmp_path / "cut.jsonl.gz"))
