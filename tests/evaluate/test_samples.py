"""Reading generations: the formats that are recognised, how a row finds its problem, errors that name the row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evoltune.errors import DataError
from evoltune.evaluate.samples import read_samples
from evoltune.evaluate.suites import Suite, load_suite
from evoltune.record import Task


def sums(n=4) -> Suite:
    tasks = tuple(Task(instruction=f"{i}+{i}?", reference=str(2 * i), name=f"t/{i}") for i in range(n))
    return Suite(name="sums", domain="math", tasks=tasks, sha256="0" * 64, licence="ours")


def write(path: Path, rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_human_eval_evalplus_and_lm_eval_files_are_recognised(tmp_path):
    suite, want = sums(), [("t/1", 0, "a"), ("t/1", 1, "b"), ("t/2", 0, "c")]
    forms = {
        "human-eval.jsonl": [{"task_id": "t/1", "completion": "a"}, {"task_id": "t/1", "completion": "b"}, {"task_id": "t/2", "completion": "c"}],
        "evalplus.jsonl": [{"task_id": "t/1", "solution": "a"}, {"task_id": "t/1", "solution": "b"}, {"task_id": "t/2", "solution": "c"}],
        "samples_sums.jsonl": [
            {"doc_id": 1, "doc": {"question": "1+1?"}, "target": "2", "resps": [["a", "b"]], "filtered_resps": ["x"]},
            {"doc_id": 2, "doc": {"question": "2+2?"}, "target": "4", "resps": [["c"]], "filtered_resps": ["x"]},
        ],
        "ours.jsonl": [{"problem": "t/1", "sample": 0, "text": "a"}, {"problem": "t/1", "sample": 1, "text": "b"}, {"problem": "t/2", "sample": 0, "text": "c"}],
        "by-question.jsonl": [{"question": "1+1?", "response": "a"}, {"question": "1+1?", "response": "b"}, {"question": "2+2?", "response": "c"}],
    }  # fmt: skip
    for name, rows in forms.items():
        found = read_samples(write(tmp_path / name, rows), suite)
        assert [(s.problem, s.sample, s.text) for s in found] == want, name
    results = {
        "eval": {"t/1": [{"solution": "a", "base_status": "pass"}, {"solution": "b"}], "t/2": [{"solution": "c"}]}
    }
    path = tmp_path / "eval_results.json"
    path.write_text(json.dumps(results))
    assert [(s.problem, s.sample, s.text) for s in read_samples(path, suite)] == want


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"task_id": "t/1", "comple', r"f\.jsonl:2: not JSON"),
        ('{"task_id": "q/99", "completion": "x"}', r"f\.jsonl:2: suite sums has no problem 'q/99'"),
        ('{"task_id": "t/1", "words": "x"}', r"f\.jsonl:2: no text in any of"),
        ("[1]", r"f\.jsonl:2: a list, must be an object"),
    ],
)
def test_a_damaged_generations_file_names_the_row(tmp_path, line, message):
    path = tmp_path / "f.jsonl"
    path.write_text('{"task_id": "t/0", "completion": "x"}\n' + line)
    with pytest.raises(DataError, match=message):
        read_samples(path, sums())


def test_an_empty_file_and_a_wrong_column_are_named(tmp_path):
    with pytest.raises(DataError, match="the file holds no generation"):
        read_samples(write(tmp_path / "f.jsonl", []), sums())
    with pytest.raises(DataError, match=r"no column 'a\.b'"):
        read_samples(write(tmp_path / "g.jsonl", [{"task_id": "t/0", "a": {"c": "x"}}]), sums(), column="a.b")


@pytest.mark.parametrize("given", ["T/3", "GSM8K-3", "gsm8k_3_of_7", "test 3", 3])
def test_a_foreign_id_is_matched_by_its_number_and_not_by_digits_of_the_suites_name(tmp_path, given):
    path = write(tmp_path / "f.jsonl", [{"id": given, "text": "x"}])
    assert [s.problem for s in read_samples(path, sums(9))] == ["t/3"]


def test_a_line_number_never_names_a_problem_and_task_id_does(tmp_path):
    problems = [{"instruction": f"Give {i}.", "reference": str(i)} for i in range(3)]
    unnamed = load_suite(f"math:{write(tmp_path / 'own.jsonl', problems)}")
    foreign = write(tmp_path / "f.jsonl", [{"task_id": "gsm8k/1", "text": "1"}])
    with pytest.raises(DataError, match="has no problem 'gsm8k/1'"):
        read_samples(foreign, unnamed)
    named = [{"task_id": f"gsm8k/{i}", **problem} for i, problem in enumerate(problems)]
    suite = load_suite(f"math:{write(tmp_path / 'named.jsonl', named)}")
    assert [s.problem for s in read_samples(foreign, suite)] == ["gsm8k/1"]


def test_a_json_object_of_task_and_text_is_read(tmp_path):
    path = tmp_path / "answers.json"
    path.write_text(json.dumps({"t/1": "a", "t/3": "b"}))
    assert [(s.problem, s.text) for s in read_samples(path, sums())] == [("t/1", "a"), ("t/3", "b")]


def test_a_missing_file_is_not_looked_for_on_the_hub(tmp_path):
    with pytest.raises(DataError, match="no-such: no such file"):
        read_samples(tmp_path / "no-such", sums())


def test_lm_evals_filters_count_a_response_once(tmp_path, sums):
    rows = [
        {
            "doc_id": i,
            "filter": name,
            "resps": [[str(2 * i)]],
            "doc": {"question": f"{i}+{i}?"},
            "filtered_resps": ["x"],
        }
        for name in ("strict-match", "flexible-extract")
        for i in (1, 2)
    ]
    path = tmp_path / "samples_sums.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [(s.problem, s.sample, s.text) for s in read_samples(path, sums)] == [("t/1", 0, "2"), ("t/2", 0, "4")]
    interleaved = sorted(rows, key=lambda row: row["doc_id"])
    path.write_text("".join(json.dumps(row) + "\n" for row in interleaved))
    assert [(s.problem, s.text) for s in read_samples(path, sums)] == [("t/1", "2"), ("t/2", "4")]


@pytest.mark.parametrize("generations", [[["0", "1"], ["2", "3"], ["4", "4"]], ["0", "2"]])
def test_bigcodes_lists_are_samples_of_the_problems_in_order(tmp_path, sums, generations):
    path = tmp_path / "generations.json"
    path.write_text(json.dumps(generations))
    expected = [
        (f"t/{i}", n, text)
        for i, texts in enumerate(generations)
        for n, text in enumerate([texts] if isinstance(texts, str) else texts)
    ]
    assert [(s.problem, s.sample, s.text) for s in read_samples(path, sums)] == expected
    path.write_text(json.dumps([["0"]] * 5))
    with pytest.raises(DataError, match="5 lists of generations, suite sums has 4 problems"):
        read_samples(path, sums)


def test_an_array_of_objects_is_read_as_rows(tmp_path, sums):
    path = tmp_path / "samples.json"
    path.write_text(json.dumps([{"task_id": "t/1", "completion": ["2", "3"], "lp": [-1, -2.5]}]))
    assert [(s.sample, s.text, s.rank) for s in read_samples(path, sums, rank_by="lp")] == [
        (0, "2", -1),
        (1, "3", -2.5),
    ]
    with pytest.raises(DataError, match=r"samples\.json:1: --rank-by reward: None there"):
        read_samples(path, sums, rank_by="reward")
