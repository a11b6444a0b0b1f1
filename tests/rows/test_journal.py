"""The JSONL journal: a torn last line is cut off, any other damage is an error."""

from __future__ import annotations

import pytest

from evoltune.errors import DataError
from evoltune.rows.journal import Journal, read_journal, repair


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
