"""Atomic writes: the new file or the old one, never a part; reading JSON objects; journals, whose torn last line is cut off."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from evoltune.errors import DataError
from evoltune.rows.files import (
    Journal,
    atomic_path,
    elsewhere,
    file_digest,
    jsonl_writer,
    read_journal,
    read_json,
    refuse_device,
    repair,
    write_file,
    write_json,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_file_appears_when_the_block_ends_and_not_before(tmp_path):
    target = tmp_path / "new" / "rows.txt"
    with atomic_path(target) as temporary:
        temporary.write_text("half")
        assert not target.exists()
        assert temporary.parent == target.parent  # a rename across file systems would be a copy
    assert target.read_text() == "half"
    assert names(target.parent) == ["rows.txt"]


def test_an_error_keeps_the_old_file_and_leaves_no_temporary_one(tmp_path):
    target = tmp_path / "rows.txt"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "old"
    assert names(tmp_path) == ["rows.txt"]


@pytest.mark.parametrize("place", ["pipe", "link to a pipe"])
def test_a_device_or_a_pipe_is_not_replaced(tmp_path, place):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link to a pipe").symlink_to("pipe")
    with pytest.raises(DataError, match="is a device or a pipe"):
        write_file(tmp_path / place, "text")
    assert (tmp_path / "pipe").is_fifo() and names(tmp_path) == ["link to a pipe", "pipe"]


@pytest.mark.parametrize("device", ["/dev/null", "/dev/stdout", "/dev/fd/1"])
def test_devices_are_known_wherever_they_lead(device):
    with pytest.raises(DataError, match="is a device or a pipe"):
        refuse_device(Path(device))


def test_a_temporary_file_has_the_suffix_that_publishing_skips(tmp_path):
    with atomic_path(tmp_path / "x") as temporary:
        temporary.touch()
        assert temporary.name.endswith(".tmp")


def test_text_is_written_as_utf_8_and_bytes_as_they_are(tmp_path):
    write_file(tmp_path / "text", "é")
    write_file(tmp_path / "bytes", b"\xff")
    assert (tmp_path / "text").read_bytes() == "é".encode()
    assert (tmp_path / "bytes").read_bytes() == b"\xff"


def test_sorted_json_of_equal_values_has_equal_bytes(tmp_path):
    write_json(tmp_path / "a", {"b": 1, "a": "é"}, sort_keys=True)
    write_json(tmp_path / "b", {"a": "é", "b": 1}, sort_keys=True)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert json.loads((tmp_path / "a").read_text("utf-8")) == {"a": "é", "b": 1}


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_rows_are_written_one_a_line_and_compressed_by_suffix(tmp_path, name):
    with jsonl_writer(tmp_path / name) as write:
        write({"a": 1})
        write({"a": "x\ny"})
    raw = (tmp_path / name).read_bytes()
    text = gzip.decompress(raw) if name.endswith(".gz") else raw
    assert [json.loads(line) for line in text.splitlines()] == [{"a": 1}, {"a": "x\ny"}]


def test_the_digest_of_a_file_is_its_sha_256(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert file_digest(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_what_is_not_a_json_object_reads_as_none(tmp_path):
    for content in ("[1]", "{", "\xff"):
        (tmp_path / "x.json").write_text(content, encoding="latin-1")
        assert read_json(tmp_path / "x.json") is None
    assert read_json(tmp_path / "missing.json") is None
    write_json(tmp_path / "x.json", {"a": 1})
    assert read_json(tmp_path / "x.json") == {"a": 1}


def test_who_has_the_old_file_open_still_reads_it_whole(tmp_path):
    target = tmp_path / "rows.txt"
    target.write_text("old and long")
    with target.open() as reader:
        write_file(target, "new")
        assert reader.read() == "old and long"
    assert target.read_text() == "new"


def test_the_same_rows_compressed_are_the_same_bytes_whatever_the_name_and_the_time(tmp_path):
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        with jsonl_writer(tmp_path / name) as write:
            write({"a": 1})
    packed = (tmp_path / "a.jsonl.gz").read_bytes()
    assert packed == (tmp_path / "b.jsonl.gz").read_bytes()
    assert packed[4:8] == bytes(4)  # the time in gzip's header


def test_a_torn_line_is_cut_wherever_it_was_torn(tmp_path):
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        for i in range(3):
            journal.append({"i": i, "text": "x" * 100_000 * i})
    whole = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == 10]
    for at in (0, 1, ends[0], ends[0] + 1, ends[1] - 1, len(whole) - 1, len(whole)):
        path.write_bytes(whole[:at])
        repair(path)
        assert [row["i"] for row in read_journal(path)] == list(range(sum(end <= at for end in ends)))


def test_a_damaged_line_in_the_middle_is_an_error_with_its_number(tmp_path):
    path = tmp_path / "j.jsonl"
    path.write_text('{"i": 0}\nnonsense\n{"i": 1}\n')
    with pytest.raises(DataError, match=r"j\.jsonl:2: not JSON"):
        list(read_journal(path))


def test_the_error_of_a_full_disk_names_the_file_that_was_to_be_written_and_what_moves_it(tmp_path, monkeypatch):
    device = tmp_path / "full"
    device.symlink_to("/dev/full")  # every write to it fails as on a full disk
    with (
        pytest.raises(OSError, match="No space left") as raised,
        atomic_path(tmp_path / "rows.jsonl"),
        device.open("wb") as file,
    ):
        file.write(b"x" * 100)
    assert raised.value.filename == str(tmp_path / "rows.jsonl")
    journal = Journal(tmp_path / "journal.jsonl")
    monkeypatch.setattr(journal, "_file", os.open("/dev/full", os.O_WRONLY))
    with pytest.raises(OSError, match="No space left") as raised:
        journal.append({"a": 1})
    assert raised.value.filename == str(tmp_path / "journal.jsonl")
    monkeypatch.setenv("EVOLTUNE_CACHE", str(tmp_path / "cache"))
    assert "EVOLTUNE_CACHE" in elsewhere(tmp_path / "cache" / "suites" / "x") and "--out" in elsewhere(Path("/runs/x"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert "TMPDIR" in elsewhere(tmp_path / "evoltune-x" / "y") and "--out" in elsewhere(tmp_path / "runs" / "y")
