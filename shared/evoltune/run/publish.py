"""Publishing a run or dataset folder to an fsspec address, and working on a run that lives at one.

    publish(Path("runs/mine"), "s3://bucket/mine")     # uploads what is new; manifest.json last
    with working_on("s3://bucket/mine", folder) as save: ...

SQLite needs a local disk, so the store is worked on in a local copy, published between stages and, while a stage runs, at
fixed intervals. Such a snapshot takes SQLite's own backup of the store and leaves out `checkpoint/`, which training writes
at its own pace. `rows.storage` describes the layout at the address.
"""

import errno
import json
import os
import shutil
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from evoltune.errors import DataError, StoreError
from evoltune.record import digest
from evoltune.rows import storage
from evoltune.rows.files import atomic_path, file_digest, write_file
from evoltune.rows.storage import FORMAT, MANIFEST, Manifest, files_of, read_manifest, version_of

_SNAPSHOT = ".snapshot.tmp"


@contextmanager
def working_on(address: str, folder: Path, every_s: float = 0.0) -> Iterator[Callable[[], None]]:
    """Fetches `address` into `folder` and publishes it when the body ends, also after an error.

    Args:
        every_s: also publish a snapshot at this interval, in seconds; 0: never.

    Yields:
        A function that publishes at once.

    Raises:
        StoreError: another machine has published there, and the local copy has changed too.
    """
    _fetch_newer(address, folder)
    for leftover in folder.rglob(f"*{_SNAPSHOT}"):  # of a process that was killed
        leftover.unlink(missing_ok=True)
    one_at_a_time, finished = threading.Lock(), threading.Event()

    def save(snapshot: bool = False) -> None:
        with one_at_a_time:
            publish(folder, address, snapshot=snapshot)

    def save_regularly() -> None:
        while not finished.wait(every_s):
            try:
                if folder.is_dir():
                    save(snapshot=True)
            except (StoreError, DataError, OSError) as error:  # the next snapshot, or the last one, may succeed
                print(f"not published: {error}", file=sys.stderr, flush=True)

    timer = threading.Thread(target=save_regularly, name="publish", daemon=True)
    if every_s:
        timer.start()
    try:
        yield save
    finally:
        finished.set()
        if every_s:
            timer.join()
        if folder.is_dir():
            save()


def _fetch_newer(address: str, folder: Path) -> None:
    own, remote = version_of(folder), read_manifest(address)
    if remote is None or remote["version"] == own:
        return
    if own and digest([FORMAT, {_name(p, folder): _entry(p, _name(p, folder)) for p in files_of(folder)}]) != own:
        raise StoreError(
            f"{address}: another machine has published there since {folder} was copied, and that copy has changed too: "
            f"`evoltune runs publish {folder} OTHER_ADDRESS` keeps it, or remove the copy"
        )
    storage.fetch(address, folder)


def publish(folder: Path, address: str, *, snapshot: bool = False) -> Manifest:
    """Uploads the files of `folder` that the address lacks, then the manifest.

    Args:
        snapshot: a run is at work in the folder: files are copied before they are read, `checkpoint/` stays as published.

    Raises:
        DataError: there is no such folder.
        StoreError: the storage refuses, or holds a version that `folder` was not made from.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder: give the directory of a run or a dataset")
    before = read_manifest(address)
    if before is not None and before["version"] != version_of(folder):
        raise StoreError(
            f"{address}: holds another state than the one that {folder} came from: `evoltune runs fetch {address} DIR` to see it; "
            "publish to another address, nothing was changed"
        )
    published = before["files"] if before else {}
    files: dict[str, Any] = {}
    with storage.filesystem(address) as (fs, root):
        for path in files_of(folder):
            name = _name(path, folder)
            if snapshot and name.startswith("checkpoint/"):
                files |= {name: published[name]} if name in published else {}
                continue
            with _copied(path) if snapshot else nullcontext(path) as source:
                files[name] = _entry(source, name)
                if published.get(name) != files[name]:
                    _upload(fs, source, f"{root}/{files[name]['object']}")
        version = digest([FORMAT, files])
        manifest = {"format": FORMAT, "version": version, "before": before["version"] if before else "", "files": files}
        if before is None or before["version"] != version:
            _put(fs, f"{root}/{MANIFEST}", json.dumps(manifest, indent=1, sort_keys=True).encode())
    storage.note_version(folder, address, version)
    return manifest


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _entry(path: Path, name: str) -> dict[str, Any]:
    sha256 = file_digest(path)
    return {"sha256": sha256, "bytes": path.stat().st_size, "object": storage.object_name(name, sha256)}


@contextmanager
def _copied(path: Path) -> Iterator[Path]:
    """A copy of a file that another thread may be writing; of a database, its last committed state."""
    size, free = path.stat().st_size, shutil.disk_usage(path.parent).free
    if free < 2 * size:  # the run needs the disk more
        raise OSError(errno.ENOSPC, f"{path}: a snapshot of {size} bytes beside {free} bytes that are free")
    copy = path.with_name(f"{path.name}.{os.getpid()}{_SNAPSHOT}")
    try:
        if path.suffix == ".sqlite":
            source = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
            with closing(source), closing(sqlite3.connect(copy)) as target:
                source.backup(target)
        else:
            shutil.copyfile(path, copy)
        yield copy
    finally:
        copy.unlink(missing_ok=True)


# A reader must see a whole object or none. Object stores guarantee that; a file system needs a rename.


def _upload(fs: Any, path: Path, target: str) -> None:
    if fs.exists(target) and fs.size(target) == path.stat().st_size:
        return
    if _is_local(fs):
        with atomic_path(Path(target)) as temporary:
            shutil.copyfile(path, temporary)
    else:
        fs.put_file(str(path), target)


def _put(fs: Any, target: str, body: bytes) -> None:
    if _is_local(fs):
        write_file(Path(target), body)
    else:
        fs.pipe_file(target, body)


def _is_local(fs: Any) -> bool:
    return "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)
