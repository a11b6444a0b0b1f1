"""The written dataset: splits, card, manifest, atomicity."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.curate.certificate import build_certificate
from evoltune.dataset.write import rows_of_tasks, split_of, write_dataset
from evoltune.errors import DataError
from evoltune.recipe import Curate, Recipe
from evoltune.record import Answer, Record, Task, Verdict
from evoltune.rows.readers import read_rows

PASS, FAIL, UNKNOWN = (Verdict(status=s) for s in ("pass", "fail", "unverifiable"))


def test_rows_are_split_by_the_hash_of_their_id_alone(record, write, tmp_path):
    folder = write(tmp_path / "d", [record(i) for i in range(300)], validation=0.2)
    train, validation = (list(read_rows(folder / f"{s}.parquet")) for s in ("train", "validation"))
    assert len(train) + len(validation) == 300 and 30 <= len(validation) <= 90
    assert all(split_of(row["id"], 0.2) == "validation" for row in validation)
    assert split_of("abc.1", 0.5) == split_of("abc", 0.5)
    kept = [split_of(f"id{i}", 0.5) == "validation" for i in range(6)]
    assert kept == [True, True, False, False, True, True]  # datasets of earlier versions were split so
    assert 350 < sum(split_of(str(i), 0.2) == "validation" for i in range(2000)) < 450


def test_a_set_too_small_to_split_goes_to_train_whole(record, write, tmp_path):
    folder = write(tmp_path / "d", [record(i) for i in range(19)], validation=0.5)
    assert json.loads((folder / "manifest.json").read_text())["rows"] == {"train": 19, "validation": 0}


def test_the_card_counts_rows_stages_and_licences_and_loads_with_datasets(record, write, tmp_path):
    folder = write(tmp_path / "d", [record(i) for i in range(40)])
    card = (folder / "README.md").read_text()
    assert "| verify | 3 | 2 | 1 fail |" in card and "| MIT | 40 |" in card and card.startswith("---\nlicense: mit")
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.column_names[:5] == ["id", "domain", "instruction", "input", "output"]


def test_the_manifest_names_the_hash_of_every_file(record, write, tmp_path):
    folder = write(tmp_path / "d", [record(i) for i in range(5)])
    names = set(json.loads((folder / "manifest.json").read_text())["files"])
    assert names == {"train.parquet", "validation.parquet", "certificate.json", "difficulty.svg", "README.md"}
    assert not list(folder.rglob("*.tmp"))


def test_a_writer_that_dies_leaves_no_manifest(record, write, tmp_path):
    folder = write(tmp_path / "d", [record(i) for i in range(5)])

    def dying():
        yield from (record(i) for i in range(50))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(dying(), folder, Recipe(domain="toy"), build_certificate({}, {}, rows={}, hits=[]), {})
    assert not (folder / "manifest.json").exists()


def test_a_run_that_kept_nothing_says_what_to_do(record, write, tmp_path):
    with pytest.raises(DataError, match=r"no row was kept.*loosen verify\.keep"):
        write(tmp_path / "d", [record(answers=(("x", FAIL),))])


def answered(number, answers):
    verdict = Verdict(status="pass")
    given = tuple(Answer(text=f"{number}/{i}", model="m", verdict=verdict) for i in range(answers))
    return Record(domain="toy", task=Task(instruction=f"task {number}", name=str(number)), answers=given)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=12), st.integers(1, 40), st.integers(2, 5))
def test_unique_prompts_come_before_more_answers(counts, size, most):
    records = [answered(i, n) for i, n in enumerate(counts)][:size]  # as `select` leaves them
    recipe = Recipe(domain="toy", curate=Curate(size=size, answers_per_task=most))
    rows = rows_of_tasks(records, recipe)
    assert rows is not None and set(rows) == {r.id for r in records} and min(rows.values()) >= 1
    assert sum(rows.values()) == min(size, sum(min(n, most) for n in counts[:size]))
    spare = [rows[r.id] for r in records if min(len(r.answers), most) > rows[r.id]]
    assert not spare or max(rows.values()) <= min(spare) + 1


def test_without_a_size_every_task_gives_all_its_answers():
    assert rows_of_tasks([answered(0, 3)], Recipe(domain="toy", curate=Curate(answers_per_task=2))) is None
    assert rows_of_tasks([answered(0, 3)], Recipe(domain="toy", curate=Curate(size=9))) is None
