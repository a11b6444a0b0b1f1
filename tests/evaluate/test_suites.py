"""Suites: names, places, hashes, the user's own rows."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from evoltune.domain import Benchmark, load_domain
from evoltune.errors import DataError
from evoltune.evaluate.suite_files import check_hash, fetch, file_hashes, locate
from evoltune.evaluate.suites import declared_suites, load_suite, suite_shares
from evoltune.record import Task

DATA = os.environ.get("EVOLTUNE_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="EVOLTUNE_DATA does not name the folder with benchmark files")


def rows_file(folder: Path, rows) -> Path:
    path = folder / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def benchmark(**more) -> Benchmark:
    def load(path):
        return (Task(instruction=line, name=line) for line in path.read_text().split())

    return Benchmark(load=load, sha256="", licence="MIT", **more)


@needs_data
@pytest.mark.parametrize(
    ("name", "problems"),
    [("humaneval", 164), ("mbpp", 500), ("mbpp-sanitized", 427), ("mbpp-plus", 378), ("humaneval-plus", 164), ("gsm8k", 1319), ("gsm-hard", 1319), ("svamp", 1000)],
)  # fmt: skip
def test_published_files_load_with_their_hash(name, problems):
    suite = load_suite(name, Path(DATA))
    assert len(suite.tasks) == problems and suite.sha256 and suite.licence


def test_the_shipped_suite_needs_no_data_folder(monkeypatch):
    monkeypatch.delenv("EVOLTUNE_DATA", raising=False)
    assert len(load_suite("math/gradeschool-heldout").tasks) >= 200


def test_every_declared_suite_names_its_licence_and_a_profile_of_its_domain():
    assert len(declared_suites()) >= 10
    for found in declared_suites().values():
        assert found.benchmark.licence
        assert {found.benchmark.profile, *found.benchmark.beside} <= set(load_domain(found.domain).profiles)


def test_an_unknown_suite_names_the_nearest():
    with pytest.raises(DataError, match=r"did you mean 'gsm8k'\?"):
        load_suite("gsm8")
    with pytest.raises(DataError, match="did you mean 'humaneval'"):
        load_suite("code/humanevel")


def test_a_missing_suite_says_where_to_get_it(monkeypatch, tmp_path):
    monkeypatch.delenv("EVOLTUNE_DATA", raising=False)
    with pytest.raises(DataError, match=r"wizardlm/WizardLM_testset.jsonl below EVOLTUNE_DATA or eval.data"):
        load_suite("general/wizardlm", tmp_path)


def test_a_file_with_another_hash_is_refused(tmp_path):
    (tmp_path / "gsm8k").mkdir()
    (tmp_path / "gsm8k" / "test.jsonl").write_text('{"question": "q", "answer": "#### 1"}\n')
    with pytest.raises(DataError, match=r"the published file has 4e82068434a2.*math:.*test\.jsonl"):
        load_suite("gsm8k", tmp_path)


@needs_data
def test_the_published_file_is_known_packed_and_unpacked(tmp_path):
    (tmp_path / "gsm8k").mkdir()
    plain = gzip.decompress((Path(DATA) / "gsm8k/test.jsonl.gz").read_bytes())
    (tmp_path / "gsm8k" / "test.jsonl").write_bytes(plain)
    assert load_suite("gsm8k", tmp_path).sha256 == load_suite("gsm8k", Path(DATA)).sha256


def test_an_unknown_hash_is_recorded_at_first_load_and_held_to(tmp_path):
    path = tmp_path / "s.txt"
    path.write_text("a b")
    first = check_hash("math/s", benchmark(), path)
    assert first == check_hash("math/s", benchmark(), path) == file_hashes(path)[0]
    path.write_text("a b c")
    with pytest.raises(DataError, match="when first loaded here it had"):
        check_hash("math/s", benchmark(), path)


def test_the_users_rows_are_a_suite_of_the_domain_they_name(tmp_path):
    path = rows_file(
        tmp_path, [{"question": "1+1?", "reference": 2}, {"id": "b", "instruction": "2+2?", "reference": "4"}]
    )
    suite = load_suite(f"math:{path}")
    assert [t.name for t in suite.tasks] == ["mine.jsonl:1", "b"] and suite.tasks[0].reference == "2"
    assert load_suite(str(path), domain="math").tasks == suite.tasks
    with pytest.raises(DataError, match="say which domain judges it"):
        load_suite(str(path))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": "a", "question": "q"}, {"id": "a", "question": "r"}], "not unique"),
        ([{"reference": "1"}], "nothing to ask a model"),
        ([], "holds no problem"),
    ],
)
def test_bad_rows_of_a_suite_are_named(tmp_path, rows, message):
    with pytest.raises(DataError, match=message):
        load_suite(f"math:{rows_file(tmp_path, rows)}")


def test_a_suite_from_the_hub_is_copied_once_and_its_revision_pinned(hub_repository, tmp_path):
    declared = benchmark(hub=f"{hub_repository}@rev1")
    path, source = locate("math/s", declared)
    assert source == f"{hub_repository}@rev1"
    assert json.loads((path.parent / "revisions.json").read_text()) == {"math/s": "rev1"}
    assert locate("math/s", declared) == (path, str(path))


def test_a_suite_that_cannot_be_fetched_says_where_to_put_the_file(monkeypatch, tmp_path):
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("EVOLTUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        DataError, match=r"the download from the hub failed .*: put s\.jsonl below EVOLTUNE_DATA"
    ) as caught:
        locate("math/s", benchmark(file="s.jsonl", hub="no-such-owner/no-such-name@main"))
    assert "\n" not in str(caught.value)


def test_rows_are_written_with_the_hubs_columns_at_one_revision(hub_repository, tmp_path):
    out = tmp_path / "cache" / "suite.jsonl"
    assert fetch(hub_repository, out, pinned="rev2") == f"{hub_repository}@rev2"
    assert json.loads(out.read_text()) == {"question": "q", "answer": "x #### 3"}


def test_the_skill_and_difficulty_of_ones_own_rows_are_counted(tmp_path):
    rows = [
        {"id": i, "question": f"{i}?", "reference": "1", "subject": "sums", "level": f"Level {i % 2 + 1}"}
        for i in range(3)
    ]
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = suite_shares([f"math:{path}"])["mine"]
    assert found["skill"] == {"sums": 3} and found["difficulty"] == {"Level 1": 2, "Level 2": 1}
    assert found["mean_difficulty"] == pytest.approx(4 / 3)
