"""What is paid and not committed yet, and the room that is kept free for it on the run's disk.

    unsaved.hold(folder, 2**20)
    unsaved.calls.append(row)
    with unsaved.kept_if_refused():         # the disk is full: the rows go into the reserve
        commit(unsaved.calls)

The reserve is written in place, into blocks that the file has already: a disk that others keep filling has room for it all the
same. Whoever opens the store next commits what it holds. Invariant: the rows before a damaged or unfinished line are read.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from evoltune.errors import StoreError, is_full
from evoltune.rows.files import elsewhere
from evoltune.run.paths import STORE_RESERVE

Row: TypeAlias = "tuple[str | int | float, ...]"
_NOTE: tuple[Any, ...] = (str, str)
_CALL: tuple[Any, ...] = (str, str, str, str, str, str, int, int, (int, float), str)
"""Types of what is kept: see `Store.journal`."""
_UNSUPPORTED = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


class Unsaved:
    """Rows of the journal, and notes of what calls cost, that the database does not hold yet."""

    def __init__(self) -> None:
        self.calls: list[Row] = []
        self.notes: dict[str, str] = {}
        self.refused: StoreError | None = None
        """Why the database took no more."""
        self._reserve: tuple[Path, int, int] | None = None
        """Its file, the descriptor of that, and its size."""

    def __bool__(self) -> bool:
        return bool(self.calls or self.notes)

    def clear(self) -> None:
        """They are committed."""
        self.calls.clear()
        self.notes.clear()

    def hold(self, folder: Path, size: int) -> None:
        """Takes `size` bytes of the disk, where the file system can promise them. Raises StoreError when they are not free."""
        if self._reserve is not None:
            return
        path = folder / STORE_RESERVE
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            os.posix_fallocate(handle, 0, size)
        except OSError as error:
            os.close(handle)
            path.unlink(missing_ok=True)
            if is_full(error):
                raise StoreError(
                    f"{folder}: {size / 2**20:.0f} MiB are not free, which replies in flight need when the disk is full: free some "
                    f"space there, or {elsewhere(path)}, then run again: no call was made"
                ) from error
            if error.errno not in _UNSUPPORTED:
                raise
        else:
            self._reserve = path, handle, size

    @contextmanager
    def kept_if_refused(self, **notes: str) -> Iterator[None]:
        """Inside the block they are committed, and these notes. Where that fails they go into the reserve; StoreError where it has
        no room either."""
        try:
            yield
        except StoreError as error:
            self.notes.update(notes)
            if not self._keep():
                raise
            self.refused = error

    def _keep(self) -> bool:
        if self._reserve is None:
            return False
        _, handle, size = self._reserve
        lines = (json.dumps(row).encode() + b"\n" for row in (*self.calls, *self.notes.items()))
        data = b"".join(lines) + b"\0"
        try:
            is_kept = len(data) <= size and os.pwrite(handle, data, 0) == len(data)
            os.fsync(handle)
        except OSError:
            return False
        return is_kept

    def take_over(self, folder: Path) -> None:
        """Adds what the last process could only keep in its reserve: nothing where it ended in order."""
        path = folder / STORE_RESERVE
        if not path.is_file():
            return
        for line in path.read_bytes().partition(b"\0")[0].split(b"\n"):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                break
            if _is_of(row, _NOTE):
                self.notes[row[0]] = row[1]
            elif _is_of(row, _CALL):
                self.calls.append(tuple(row))
            else:
                break  # it is not ours
        self._reserve = path, os.open(path, os.O_RDWR | os.O_CLOEXEC), 0

    def close(self) -> None:
        """Gives the room back; what is nowhere else stays there."""
        if self._reserve is None:
            return
        path, handle, _ = self._reserve
        os.close(handle)
        self._reserve = None
        if not self:
            path.unlink(missing_ok=True)


def _is_of(row: Any, kinds: tuple[Any, ...]) -> bool:
    return isinstance(row, list) and len(row) == len(kinds) and all(map(isinstance, row, kinds))
