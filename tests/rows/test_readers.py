"""Readers: every form that people have, columns recognised and shown, bad rows named with file and line."""

import csv
import gzip
import json

import pytest

from evoltune.domain import Domain
from evoltune.errors import DataError, MissingExtraError
from evoltune.recipe import Recipe, Seeds
from evoltune.record import Record, Task, Verdict
from evoltune.rows.columns import Conversation, layout, recognise
from evoltune.rows.readers import MAX_ROW_BYTES, BadRow, read_located, read_rows
from evoltune.rows.records import read_records, seed_records

ROWS = [{"instruction": "Add 1 and 2", "output": "3"}, {"instruction": "Say \u2028 hi", "output": "hi"}]
OWN = [Record(domain="toy", task=Task(instruction=f"own {i}")) for i in range(3)]
TOY = Domain(
    name="toy",
    seeds=lambda: OWN,
    operators=(),
    columns=("entry_point",),
    verify=lambda *_: Verdict(status="pass"),
)


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
    assert [where for where, _ in read_located(tmp_path)] == [
        "a.jsonl:1",
        "a.jsonl:2",
        "b.jsonl.gz:1",
        "b.jsonl.gz:2",
    ]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_an_integer_of_any_length_keeps_its_digits(tmp_path, name):
    row = {
        "instruction": "30!",
        "reference": 265252859812191058636308480000000,
        "tests": [2**64, -(2**70), 1.5],
    }
    (tmp_path / name).write_text(json.dumps([row] if name == "a.json" else row))
    assert list(read_rows(tmp_path / name)) == [row]


def test_a_byte_order_mark_before_the_first_row_is_skipped(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps(ROWS[0]) + "\n" + json.dumps(ROWS[1]), encoding="utf-8-sig")
    assert list(read_rows(tmp_path / "a.jsonl")) == ROWS


def test_a_json_object_that_wraps_its_rows_is_unwrapped(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"version": 1, "data": ROWS}))
    assert list(read_rows(tmp_path / "a.json")) == ROWS


def test_a_cut_gzip_file_is_a_data_error(tmp_path):
    whole = gzip.compress(b'{"instruction": "x"}\n' * 5000)
    (tmp_path / "a.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"a\.jsonl\.gz: cannot be read"):
        list(read_rows(tmp_path / "a.jsonl.gz"))


BAD = {
    b'{"instruction": "x"': "not JSON",
    b'{"instruction": "\xff"}': "not JSON",
    b"[1, 2]": "a list, must be an object",
    b'{"instruction": "' + b"x" * MAX_ROW_BYTES + b'"}': "bytes, at most",
}


@pytest.mark.parametrize(
    ("line", "reason"), BAD.items(), ids=["cut", "invalid UTF-8", "not an object", "8 MiB and more"]
)
def test_a_bad_line_is_refused_with_file_and_line_or_collected(tmp_path, line, reason):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"instruction": "a"}\n' + line + b'\n{"instruction": "b"}\n')
    with pytest.raises(DataError, match=rf"rows\.jsonl:2: .*{reason}"):
        list(read_rows(path))
    bad: list[BadRow] = []
    assert [row["instruction"] for row in read_rows(path, bad)] == ["a", "b"]
    assert [b.where for b in bad] == ["rows.jsonl:2"] and reason in bad[0].reason


def test_a_ragged_csv_row_and_a_csv_in_another_encoding_are_named(tmp_path):
    (tmp_path / "a.csv").write_text("instruction,output\na,b\nc\n")
    bad: list[BadRow] = []
    assert len(list(read_rows(tmp_path / "a.csv", bad))) == 1
    assert bad == [BadRow(where="a.csv:3", reason="1 cells, the header has 2")]
    (tmp_path / "b.csv").write_bytes("instruction\ncafé\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"b\.csv:.*not CSV in UTF-8"):
        list(read_rows(tmp_path / "b.csv"))


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


# ---- columns

CHAT = {
    "messages": [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
    ]
}
SHAREGPT = {
    "conversations": [
        {"from": "human", "value": "One"},
        {"from": "gpt", "value": "Two"},
        {"from": "human", "value": "Three"},
    ]
}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"instruction": "Sum", "input": "1 2", "output": "3"}, ("alpaca", "Sum\n\n1 2", "3", ())),
        ({"instruction": "Sum", "input": "", "output": "3"}, ("alpaca", "Sum", "3", ())),
        ({"prompt": "Q", "completion": "A"}, ("pair", "Q", "A", ())),
        ({"question": "Q", "answer": "A"}, ("pair", "Q", "A", ())),
        ({"instruction": "Only asked"}, ("task", "Only asked", "", ())),
        (CHAT, ("chat", "Hi", "Hello", (("system", "Be brief"),))),
        (SHAREGPT, ("sharegpt", "Three", "", (("user", "One"), ("assistant", "Two")))),
    ],
)
def test_a_row_is_recognised_by_its_columns(row, expected):
    turns = recognise(row)
    assert isinstance(turns, Conversation)
    assert (turns.form, turns.instruction, turns.output, turns.history) == expected


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"foo": 1}, "no instruction: columns are foo"),
        ({"instruction": "  "}, "column 'instruction' is empty"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "no user turn"),
        ({"messages": ["hello"]}, "a turn is a str"),
        ({"messages": [{"role": "user", "content": None}]}, "no role and content"),
    ],
)
def test_a_row_without_an_instruction_says_why(row, reason):
    assert reason in str(recognise(row))


def test_the_layout_is_shown_in_one_line_mixed_forms_and_unread_columns_included():
    rows = [*ROWS, CHAT, {"instruction": "x", "output": "y", "score": 3, "reference": "z"}, {"foo": 1}]
    text = layout(rows).describe()
    assert "alpaca (3 rows), chat (1 rows)" in text
    assert "instruction <- instruction, output <- output" in text and "reference <- reference" in text
    assert "not read: score, foo" in text and "1 x no instruction" in text


# ---- seeds


def seeds(path, limit=0):
    return list(seed_records(Recipe(domain="toy", seeds=Seeds(path=path, limit=limit)), TOY))


def test_without_a_path_the_domains_own_seeds_are_taken_up_to_the_limit():
    assert seeds(None) == OWN and seeds(None, limit=2) == OWN[:2]


def test_a_seed_file_gives_tasks_with_answers_columns_and_provenance(tmp_path):
    row = {
        "instruction": "Do",
        "output": "Done",
        "reference": 4,
        "entry_point": "f",
        "licence": "MIT",
        "category": "sums",
    }
    (record,) = seeds(str(write_jsonl(tmp_path / "s.jsonl", [row])))
    assert record.task.reference == "4" and record.task.name == "s.jsonl:1"
    assert record.task.fields == {"entry_point": "f", "licence": "MIT", "skill": "sums"}
    assert [(a.text, a.model) for a in record.answers] == [("Done", "seed")]


def test_two_equal_seed_rows_stay_two_records(tmp_path):
    first, second = seeds(str(write_jsonl(tmp_path / "s.jsonl", [{"instruction": "Do"}] * 2)))
    assert first.id != second.id


def test_a_seed_without_an_instruction_is_refused_with_file_and_line(tmp_path):
    path = write_jsonl(tmp_path / "s.jsonl", [{"instruction": "Do"}, {"output": "x"}])
    with pytest.raises(DataError, match=r"s\.jsonl:2: no instruction"):
        seeds(str(path))
    bad: list[BadRow] = []
    assert len(list(read_records(str(path), TOY, bad))) == 1 and bad[0].where == "s.jsonl:2"
