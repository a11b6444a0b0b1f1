"""Mistakes of `evoltune verify` and of the reward are refused before anything is verified, or named with the row as its file has it."""

import gzip
import json

import pytest

import evoltune
from evoltune.cli import main
from evoltune.errors import DomainError
from evoltune.verification.row_forms import each_answer


@pytest.fixture
def rows(tmp_path):
    """Writes a file of rows and gives its path."""

    def write(*found, name="in.jsonl"):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in found))
        return str(tmp_path / name)

    return write


@pytest.fixture
def refused(toy, capsys):
    """Runs the command on the toy domain, which must refuse it as misuse; gives what it said."""

    def run(file, *options):
        assert main(["verify", file, "--domain", toy, "--workers", "1", *options]) == 2
        said = capsys.readouterr().err
        assert "verifying" not in said
        return said

    return run


GOOD = {"id": "a", "answer": "1", "reference": "1"}


@pytest.mark.parametrize("content", ['{"precious": 1}\n', "id,answer\n", '["a"]\n', "\x00\n"])
def test_out_never_replaces_a_file_that_holds_no_verdicts(rows, refused, tmp_path, content):
    (tmp_path / "mine.jsonl").write_text(content)
    said = refused(rows(GOOD), "--out", str(tmp_path / "mine.jsonl"))
    assert "mine.jsonl exists and holds no verdicts" in said
    assert (tmp_path / "mine.jsonl").read_text() == content


@pytest.mark.parametrize("name", ["v.csv", "v.parquet", "v.jsonl.zst", "v.json"])
def test_out_is_named_like_what_is_written(rows, refused, tmp_path, name):
    assert "ends in .jsonl" in refused(rows(GOOD), "--out", str(tmp_path / name))


@pytest.mark.parametrize("name", ["v.jsonl", "v.jsonl.gz"])
def test_verdicts_are_replaced_by_verdicts_and_compared(rows, toy, tmp_path, capsys, name):
    out = tmp_path / name
    for _ in range(2):
        assert main(["verify", rows(GOOD), "--domain", toy, "--workers", "1", "--out", str(out)]) == 0
    with gzip.open(out) if out.suffix == ".gz" else out.open("rb") as file:
        assert [json.loads(line)["status"] for line in file] == ["pass"]
    assert main(["compare", str(out), str(out)]) == 0
    assert "n = 1" in capsys.readouterr().out


def test_a_suite_is_judged_by_its_own_domain(rows, capsys):
    file = rows({"task_id": "q", "completion": "4"})
    suite = rows({"id": "q", "instruction": "2 + 2?", "reference": "4"}, name="suite.jsonl")
    assert main(["verify", file, "--domain", "code", "--suite", f"math:{suite}"]) == 2
    assert "the domain 'math' judges suite suite: give --domain math" in capsys.readouterr().err
    assert main(["verify", file, "--domain", "math", "--suite", f"math:{suite}"]) == 0


@pytest.mark.parametrize("row", [GOOD, {**GOOD, "lp": [1.0]}])
def test_ranks_that_no_row_has_are_refused_at_once(rows, refused, row):
    assert "the first row has no column 'logprob': " in refused(rows(row), "--rank-by", "logprob")


def test_a_reason_names_the_row_as_its_file_does(toy):
    found = [
        {"answer": ["1", "1"], "reference": "1"},
        {"answer": ["1", None], "reference": "1"},
        {"id": "x", "reference": "1"},
    ]
    assert len([*each_answer(found)]) == 5
    reasons = [row["reason"] for row in evoltune.verify(found, domain=toy, workers=1) if row["reason"]]
    assert reasons == ["row 2, answer 1: has no 'answer'", "row 'x': has no 'answer'"]


@pytest.mark.parametrize("limit", ["fast", -1, 0, True])
def test_a_limit_of_a_row_that_is_none_is_an_error(limit):
    row = {"answer": "def f(): return 1", "tests": "assert f() == 1", "cpu_s": limit}
    (verdict,) = evoltune.verify([row], domain="code", workers=1)
    assert verdict["status"] == "error" and f"cpu_s: {limit!r}: must be a number" in verdict["reason"]


@pytest.mark.parametrize("name", ["answer", "solution", "reference"])
def test_a_reference_that_is_no_column_is_refused(name):
    with evoltune.reward("math", workers=1) as reward, pytest.raises(ValueError, match=f"column '{name}' is a str"):
        reward(["4", "4"], **{name: "4"})


def test_a_scalar_beside_the_reference_is_not_read():
    with evoltune.reward("math", workers=1) as reward:
        assert reward(["4", "5"], reference=["4", "4"], solution="a name of the run") == [1.0, 0.0]


def test_options_that_do_not_exist_name_those_that_do():
    with pytest.raises(DomainError, match=r"require='L9': allowed: L0, L1, L2, L3"):
        evoltune.reward("math", require="L9")
    with pytest.raises(TypeError, match=r"unknown option 'timeout': .*program_s.*require"):
        evoltune.reward("math", timeout=5)
    with pytest.raises(TypeError, match=r"unknown option 'workers' beside service="):
        evoltune.reward("math", service="http://127.0.0.1:1", workers=2)
