"""`evoltune data decontaminate`: the audit of any rows, its exit codes, its certificate and its clean copy."""

import json
from pathlib import Path

import pytest

from evoltune.cli import main
from evoltune.curate.certificate import require_certificate
from evoltune.evaluate.suites import load_suite

TOY = '''
import os
from evoltune import Domain, Verdict

def echo(record, tasks, context):
    """A row gives away the task whose reference it answers with; some rows kill the verifier process."""
    if "crash" in record.task.instruction:
        os._exit(1)
    return [t.name for t in tasks if any(a.text == t.reference for a in record.answers)]

domain = Domain(
    name="toy", seeds=list, operators=(), verify=lambda task, candidate, context: Verdict(status="pass"), overlap={"echo": echo}
)
'''
PROBLEM = (
    "A hotel with 41 rooms rents 17 rooms on Friday and 19 more on Saturday at 80 coins each; how many coins come in?"
)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVOLTUNE_CACHE", str(tmp_path / "cache"))
    package = tmp_path / "evoltune_toy_audit"
    package.mkdir()
    (package / "__init__.py").write_text(TOY)
    write(
        "suite.jsonl",
        [
            {"id": "hotel", "instruction": PROBLEM, "reference": "2880"},
            {"id": "sky", "instruction": "Sky?", "reference": "blue"},
        ],
    )
    return f"{package}:suite.jsonl"


def write(name, rows):
    with open(name, "w", encoding="utf-8") as handle:
        handle.writelines((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)


ROWS = [
    {"instruction": "Name a prime above ten.", "output": "11", "score": 3},
    {"instruction": PROBLEM.lower(), "output": "x", "score": 4},
    "{broken",
    {"instruction": "What colour has a clear day?", "output": "blue", "score": 5},
]


def test_contaminated_rows_are_counted_by_suite_and_method_and_the_exit_code_is_1(place, capsys):
    write("rows.jsonl", ROWS)
    assert main(["data", "decontaminate", "rows.jsonl", "--against", place, "--no-overlap"]) == 1
    out, err = capsys.readouterr()
    assert (
        "3 rows checked, 1 give away a benchmark problem" in out and "13-gram" in out and "rows.jsonl:2: hotel" in out
    )
    assert "rows.jsonl:3: not JSON" in out and "not read: score" in err


def test_the_domains_own_overlap_runs_in_workers_and_a_clean_copy_keeps_rows_as_they_were(place, capsys):
    write("rows.jsonl", ROWS)
    command = [
        "data",
        "decontaminate",
        "rows.jsonl",
        "--against",
        place,
        "--clean",
        "clean.jsonl",
        "--json",
        "--workers",
        "1",
        "--require",
        "L0",
    ]
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)
    assert {row: {h["method"] for h in hits} for row, hits in found["hits"].items()}["rows.jsonl:4"] == {"echo"}
    assert found["rows"] == 3 and len(found["unreadable"]) == 1
    with open("clean.jsonl", encoding="utf-8") as handle:
        assert [json.loads(line) for line in handle] == [ROWS[0]]
    proof = require_certificate(Path("clean.jsonl"), {"any name": load_suite(place)})
    assert proof["problems"] == [] and proof["methods"]["overlap"] == ["echo"]


def test_a_dirty_dataset_gets_no_certificate_and_a_clean_one_does(place, capsys):
    write("rows.jsonl", ROWS)
    assert main(["data", "decontaminate", "rows.jsonl", "--against", place, "--no-overlap", "--write"]) == 1
    assert "no certificate" in capsys.readouterr().err
    write("good.jsonl", ROWS[:1])
    assert main(["data", "decontaminate", "good.jsonl", "--against", place, "--no-overlap", "--write"]) == 0
    assert json.loads(Path("good.jsonl.certificate.json").read_text())["rows"] == {
        "in": 1,
        "kept": 1,
        "contaminated": 0,
        "unchecked": 0,
    }


def test_a_row_whose_check_crashed_is_not_clean_and_is_counted_under_its_own_heading(place, capsys):
    write("rows.jsonl", [*ROWS[:1], {"instruction": "A row to crash on.", "output": "12"}])
    command = ["data", "decontaminate", "rows.jsonl", "--against", place, "--workers", "1", "--require", "L0"]
    assert main([*command, "--write"]) == 1
    out, err = capsys.readouterr()
    assert "2 rows checked, 0 give away" in out and "1 rows could not be checked" in out
    assert "rows.jsonl:2" in out and f"{place} by echo" in out and "no certificate" in err
    assert main([*command, "--clean", "clean.jsonl", "--json"]) == 0
    (check,) = json.loads(capsys.readouterr().out)["unchecked"]["rows.jsonl:2"]
    assert (check["suite"], check["method"]) == (place, "echo") and check["reason"]
    proof = json.loads(Path("clean.jsonl.certificate.json").read_text())
    assert proof["rows"] == {"in": 2, "kept": 1, "contaminated": 0, "unchecked": 1}
    assert proof["unchecked"] == [{"row": "rows.jsonl:2", "checks": [check]}]
    assert len(Path("clean.jsonl").read_text().splitlines()) == 1


def test_all_splits_of_a_dataset_folder_are_audited_and_certified(place, capsys):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    Path("dataset").mkdir()
    for split, row in (("train", ROWS[0]), ("validation", ROWS[1])):
        pq.write_table(pa.Table.from_pylist([row]), f"dataset/{split}.parquet")
    command = ["data", "decontaminate", "dataset", "--against", place, "--no-overlap", "--write"]
    assert main(command) == 1
    assert "2 rows checked, 1 give away" in capsys.readouterr().out
    pq.write_table(pa.Table.from_pylist([ROWS[0]]), "dataset/validation.parquet")
    assert main(command) == 0
    assert set(json.loads(Path("dataset/certificate.json").read_text())["files"]) == {
        "train.parquet",
        "validation.parquet",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.jsonl", "--against", "{suite}"], "no such file or folder"),
        (["rows.jsonl", "--against", "no-such-suite"], "unknown suite 'no-such-suite'"),
        (["rows.jsonl", "--against", " , "], "name at least one suite"),
        (["rows.jsonl", "--against", "{suite}", "--ngrams", "x"], "must be numbers"),
        (["rows.jsonl", "--against", "{suite}", "--clean", "out.parquet", "--no-overlap"], "ends in .jsonl"),
    ],
)
def test_misuse_is_one_line_and_exit_code_2(place, capsys, arguments, message):
    write("rows.jsonl", ROWS[:1])
    assert main(["data", "decontaminate", *(a.replace("{suite}", place) for a in arguments)]) == 2
    line = capsys.readouterr().err.strip().split("\n")[-1]
    assert message in line
