"""The written dataset: splits, card, manifest, atomicity."""

import json

import pytest

from evoltune.curate.certificate import build_certificate
from evoltune.dataset.write import split_of, write_dataset
from evoltune.errors import DataError
from evoltune.recipe import Recipe
from evoltune.record import Verdict
from evoltune.rows.readers import read_rows

PASS, FAIL, UNKNOWN = (Verdict(status=s) for s in ("pass", "fail", "unverifiable"))


def test_rows_are_split_by_the_hash_of_their_id_alone(record, write, tmp_path):
    folder = write(tmp_path / "d", [record(i) for i in range(300)], validation=0.2)
    train, validation = (list(read_rows(folder / f"{s}.parquet")) for s in ("train", "validation"))
    assert len(train) + len(validation) == 300 and 30 <= len(validation) <= 90
    assert all(split_of(row["id"], 0.2) == "validation" for row in validation)
    assert split_of("abc.1", 0.5) == split_of("abc", 0.5)


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
