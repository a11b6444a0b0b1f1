"""File locks that name their holder: an flock, which the kernel releases when the holder dies, however it dies.

    with locked(folder, RUN_LOCK): ...

filelock's locks do the same but cannot say who holds them, and the holder is what a user has to look for.
"""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evoltune.errors import StoreError, naming_file


def take_lock(folder: Path, name: str, wait_s: float = 0.0) -> int:
    """Creates the folder and locks `folder/name`; closing the returned descriptor releases it. Waits up to `wait_s` for it.

    Raises StoreError that names the holder's process and host, or says why the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        todo = "check the path, its rights and the disk"
        raise StoreError(f"{folder}: cannot be written: {error.strerror}: {todo}") from error
    end = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() < end:
                time.sleep(0.05)
                continue
            holder = os.pread(handle, 200, 0).decode(errors="replace") or "unknown"
            os.close(handle)
            raise StoreError(
                f"{folder}: another process writes to this run ({holder}): wait for it, or end it"
            ) from None
    os.ftruncate(handle, 0)
    with naming_file(folder / name):
        os.pwrite(handle, f"pid {os.getpid()} on {socket.gethostname()}".encode(), 0)
    return handle


@contextmanager
def locked(folder: Path, name: str, wait_s: float = 0.0) -> Iterator[None]:
    """Holds the lock for the block. Raises StoreError as `take_lock` does."""
    handle = take_lock(folder, name, wait_s)
    try:
        yield
    finally:
        os.close(handle)


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock."""
    if not path.is_file():
        return False
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
