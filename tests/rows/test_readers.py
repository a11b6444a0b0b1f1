"""Readers: every kind of file that people have; bad rows are reported with file and line."""

import csv
import gzip
import json
from itertools import islice

import pytest

from evoltune.errors import DataError, MissingExtraError
from evoltune.rows.readers import (
    MAX_ROW_BYTES,
    BadRow,
    left_out,
    read_located,
    read_rows,
    refuse_other_splits,
    source_files,
)

ROWS = [{"instruction": "Add 1 and 2", "output": "3"}, {"instruction": "Say \u2028 hi", "output": "hi"}]


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def write_parquet(path, rows):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def write_csv(path, rows):
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_json(path, rows):
    path.write_text(json.dumps(rows))
    return path


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (write_jsonl, "a.jsonl"),
        (write_json, "a.json"),
        (write_jsonl, "b.json"),
        (write_csv, "a.csv"),
        (write_parquet, "a.parquet"),
    ],
)
def test_the_same_rows_come_out_of_every_kind_of_file(tmp_path, write, name):
    assert list(read_rows(write(tmp_path / name, ROWS))) == ROWS


def test_gzip_and_folders_are_read_and_a_line_separator_is_no_line_end(tmp_path):
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(write_jsonl(tmp_path / "a.jsonl", ROWS).read_bytes()))
    assert [where for where, _ in read_located(tmp_path)] == ["a.jsonl:1", "a.jsonl:2", "b.jsonl.gz:1", "b.jsonl.gz:2"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_an_integer_of_any_length_keeps_its_digits(tmp_path, name):
    row = {"instruction": "30!", "reference": 265252859812191058636308480000000, "tests": [2**64, -(2**70), 1.5]}
    (tmp_path / name).write_text(json.dumps([row] if name == "a.json" else row))
    assert list(read_rows(tmp_path / name)) == [row]


def test_a_byte_order_mark_before_the_first_row_is_skipped(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps(ROWS[0]) + "\n" + json.dumps(ROWS[1]), encoding="utf-8-sig")
    assert list(read_rows(tmp_path / "a.jsonl")) == ROWS


def test_a_json_object_that_wraps_its_rows_is_unwrapped(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"version": 1, "data": ROWS}))
    assert list(read_rows(tmp_path / "a.json")) == ROWS


def test_a_byte_order_mark_before_json_is_no_error(tmp_path):
    for name, text in (("a.json", json.dumps(ROWS)), ("b.json", "\n".join(map(json.dumps, ROWS)))):
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
        assert list(read_rows(tmp_path / name)) == ROWS


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv"])
def test_zstandard_is_read_as_the_plain_file_and_a_cut_one_is_an_error(kind, tmp_path):
    pa = pytest.importorskip("pyarrow")
    text = {
        "jsonl": '{"instruction": "x"}\n' * 9,
        "json": '[{"instruction": "x"}]',
        "csv": "instruction,output\nx,y\n",
    }[kind]
    (tmp_path / f"rows.{kind}").write_text(text)
    packed = pa.compress(text.encode() * (1 if kind != "jsonl" else 5000), codec="zstd", asbytes=True)
    file = tmp_path / f"rows.{kind}.zst"
    file.write_bytes(packed)
    assert list(islice(read_rows(file), 9)) == list(read_rows(tmp_path / f"rows.{kind}"))
    with pytest.raises(DataError, match="one name in two forms"):
        list(read_rows(tmp_path))
    file.write_bytes(b"plain text")
    with pytest.raises(DataError, match=rf"rows\.{kind}\.zst: cannot be read: ZSTD"):
        list(read_rows(file))


def test_a_cut_gzip_file_is_a_data_error(tmp_path):
    whole = gzip.compress(b'{"instruction": "x"}\n' * 5000)
    (tmp_path / "a.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"a\.jsonl\.gz: cannot be read"):
        list(read_rows(tmp_path / "a.jsonl.gz"))
    damaged = whole[:10] + b"\xff" * 9 + whole[19:]
    for name in ("b.jsonl.gz", "c.json.gz"):
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(DataError, match=rf"{name}: cannot be read"):
            list(read_rows(tmp_path / name))


BAD = {
    b'{"instruction": "x"': "not JSON",
    b'{"instruction": "\xff"}': "not UTF-8",
    b'{"instruction": "x", "input": NaN}': "not JSON: NaN stands where a value belongs",
    b"[1, 2]": "a list, must be an object",
    b'{"instruction": "x", "input": {"a" : 1, "a" : 2}}': "the key 'a' stands twice",
    b'{"instruction": "' + b"x" * MAX_ROW_BYTES + b'"}': "bytes, at most",
}


@pytest.mark.parametrize(
    ("line", "reason"),
    BAD.items(),
    ids=["cut", "invalid UTF-8", "not a number", "not an object", "a key twice", "8 MiB and more"],
)
def test_a_bad_line_is_refused_with_file_and_line_or_collected(tmp_path, line, reason):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"instruction": "a"}\n' + line + b'\n{"instruction": "b"}\n')
    with pytest.raises(DataError, match=rf"{tmp_path}/rows\.jsonl:2: .*{reason}"):
        list(read_rows(path))
    bad: list[BadRow] = []
    assert [row["instruction"] for row in read_rows(path, bad)] == ["a", "b"]
    assert [b.where for b in bad] == [f"{path}:2"] and reason in bad[0].reason


def test_a_ragged_csv_row_and_a_csv_in_another_encoding_are_named(tmp_path):
    (tmp_path / "a.csv").write_text("instruction,output\na,b\nc\n")
    bad: list[BadRow] = []
    assert len(list(read_rows(tmp_path / "a.csv", bad))) == 1
    assert bad == [BadRow(where=f"{tmp_path}/a.csv:3", reason="1 cells, the header has 2")]
    (tmp_path / "b.csv").write_bytes("instruction\ncafé\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"b\.csv:.*not CSV in UTF-8"):
        list(read_rows(tmp_path / "b.csv"))
    (tmp_path / "c.csv").write_text("question,answer,answer\nWhat is 1+1?,2,3\n")
    with pytest.raises(DataError, match=r"c\.csv:1: the header has the column 'answer' twice"):
        list(read_rows(tmp_path / "c.csv"))


def test_a_file_that_is_not_parquet_is_a_data_error(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR0 not at all")
    with pytest.raises(DataError, match="not a Parquet file"):
        list(read_rows(tmp_path / "a.parquet"))


@pytest.mark.parametrize("ref", ["./nowhere.jsonl", "/no/such/folder", "nowhere.csv"])
def test_a_missing_file_is_not_taken_for_a_hub_id(ref):
    with pytest.raises(DataError, match="no such file or folder"):
        list(read_rows(ref))


def test_a_hub_id_that_cannot_be_had_says_what_to_check(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises((DataError, MissingExtraError), match="nobody/nothing"):
        list(read_rows("nobody/nothing"))


def names(found):
    return [path.name for path in found]


@pytest.mark.parametrize(
    ("files", "read", "left"),
    [
        (["test.jsonl", "train.jsonl"], ["train.jsonl"], ["test.jsonl"]),
        (["train-00000-of-00002.jsonl", "train-00001-of-00002.jsonl", "validation-00000-of-00001.jsonl"],
         ["train-00000-of-00002.jsonl", "train-00001-of-00002.jsonl"], ["validation-00000-of-00001.jsonl"]),
        (["gsm8k_Train.jsonl", "gsm8k_Test.jsonl"], ["gsm8k_Train.jsonl"], ["gsm8k_Test.jsonl"]),
        (["a.jsonl", "dev.jsonl", "latest.jsonl"], ["a.jsonl", "latest.jsonl"], ["dev.jsonl"]),
        (["test.jsonl"], ["test.jsonl"], []),
        (["a.jsonl", "b.jsonl", "notes.txt"], ["a.jsonl", "b.jsonl"], []),
        (["a.jsonl", "a.jsonl.certificate.json", "dataset_info.json"], ["a.jsonl"], []),
    ],
)  # fmt: skip
@pytest.mark.parametrize("inner", ["", "data"])
def test_of_a_folder_the_training_split_is_read_and_the_others_are_named(tmp_path, files, read, left, inner):
    (tmp_path / inner).mkdir(exist_ok=True)
    for name in files:
        write_jsonl(tmp_path / inner / name, [{"instruction": name}])
    assert tuple(map(names, source_files(tmp_path))) == (read, left)
    assert [row["instruction"] for row in read_rows(tmp_path)] == read
    assert all(name in left_out(tmp_path) for name in left) and bool(left) == bool(left_out(tmp_path))
    if read == ["test.jsonl"]:
        with pytest.raises(DataError, match=r"holds no training split, only test\.jsonl"):
            refuse_other_splits(tmp_path)
    else:
        refuse_other_splits(tmp_path)


def test_one_name_in_two_forms_is_not_read_twice(tmp_path):
    for name in ("train.jsonl", "train.csv", "train-b.jsonl"):
        write_jsonl(tmp_path / name, [{"instruction": name}])
    with pytest.raises(DataError, match=r"train\.csv and train\.jsonl have one name in two forms"):
        source_files(tmp_path)
    (tmp_path / "train.csv").unlink()
    assert names(source_files(tmp_path)[0]) == ["train-b.jsonl", "train.jsonl"]


def test_a_folder_of_save_to_disk_gives_its_training_split(tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = [{"messages": [{"role": "user", "content": "Add 1 and 2."}, {"role": "assistant", "content": "3"}]}] * 3
    made = {split: datasets.Dataset.from_list(rows[:n]) for split, n in (("train", 3), ("test", 1))}
    datasets.DatasetDict(made).save_to_disk(tmp_path / "both", num_shards={"train": 2, "test": 1})
    assert list(read_rows(tmp_path / "both")) == list(read_rows(tmp_path / "both" / "train")) == rows
    assert left_out(tmp_path / "both").endswith(": test")
    datasets.DatasetDict({"test": made["test"]}).save_to_disk(tmp_path / "none")
    with pytest.raises(DataError, match="has the splits test and no train"):
        list(read_rows(tmp_path / "none"))
    (tmp_path / "both" / "train" / "data-00001-of-00002.arrow").unlink()
    with pytest.raises(DataError, match=r"data-00001-of-00002\.arrow: missing"):
        list(read_rows(tmp_path / "both"))
    (tmp_path / "cut.arrow").write_bytes(b"ARROW1")
    with pytest.raises(DataError, match=r"cut\.arrow: not an Arrow file"):
        list(read_rows(tmp_path / "cut.arrow"))


def test_blank_lines_of_a_csv_file_are_no_rows_and_other_separators_are_seen(tmp_path):
    path = tmp_path / "rows.csv"
    for mark in ",;\t":
        path.write_text(f"\ninstruction{mark}output\n\nAdd 1, 2{mark}3\n{mark}\n\n".replace("Add 1, 2", '"Add 1, 2"'))
        if mark != ",":
            path.write_text(path.read_text().lstrip("\n"))
        assert list(read_rows(path)) == [{"instruction": "Add 1, 2", "output": "3"}]


def test_a_parquet_column_twice_is_named(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(
        pa.table([pa.array(["q"]), pa.array(["1"]), pa.array(["2"])], ["q", "a", "a"]), tmp_path / "a.parquet"
    )
    with pytest.raises(DataError, match=r"a\.parquet: has the column 'a' twice"):
        list(read_rows(tmp_path / "a.parquet"))


def test_text_that_parquet_holds_as_binary_is_read_as_text(tmp_path):
    path = write_parquet(tmp_path / "rows.parquet", [{"instruction": "Grüße".encode(), "blob": b"\xff"}])
    assert list(read_rows(path)) == [{"instruction": "Grüße", "blob": b"\xff"}]


def test_a_runs_dataset_without_its_manifest_is_refused_and_any_other_folder_is_read(tmp_path):
    (tmp_path / "run" / "dataset").mkdir(parents=True)
    (tmp_path / "run" / "dataset" / "train.parquet").write_bytes(b"rows")
    assert source_files(tmp_path / "run")[0] == source_files(tmp_path / "run" / "dataset")[0]  # a folder of one's own
    (tmp_path / "run" / "recipe.yaml").write_text("domain: math")
    for folder in (tmp_path / "run", tmp_path / "run" / "dataset"):
        with pytest.raises(DataError, match=r"dataset: not finished \(no manifest\.json\): run `evoltune build` again"):
            source_files(folder)
    (tmp_path / "run" / "dataset" / "manifest.json").write_text("{}")
    assert source_files(tmp_path / "run")[0] == [tmp_path / "run" / "dataset" / "train.parquet"]
