"""Locks: one holder, who is named, and no lock that outlives its process."""

import os

import pytest

from evoltune.errors import StoreError
from evoltune.run.lock import is_locked, locked


def test_a_second_holder_is_refused_and_told_who_holds_it(tmp_path):
    with locked(tmp_path / "run", "run.lock"):
        assert is_locked(tmp_path / "run" / "run.lock")
        holder = rf"another process writes to this run \(pid {os.getpid()} on "
        with pytest.raises(StoreError, match=holder), locked(tmp_path / "run", "run.lock"):
            pass


def test_a_lock_is_free_after_its_block_and_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path, "run.lock"):
        raise ZeroDivisionError
    assert not is_locked(tmp_path / "run.lock")
    with locked(tmp_path, "run.lock"):
        pass


def test_a_lock_that_was_never_taken_is_free(tmp_path):
    assert not is_locked(tmp_path / "run.lock")


def test_a_place_that_cannot_be_written_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"), locked(tmp_path / "file" / "run", "run.lock"):
        pass
