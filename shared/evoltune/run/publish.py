"""Publishing a run or dataset folder to an fsspec address, and working on a run that lives at one.

    publish(Path("runs/mine"), "s3://bucket/mine")     # uploads what is new; manifest.json last
    with working_on("s3://bucket/mine", folder) as save: ...

SQLite needs a local disk, so the store is worked on in a local copy, published between stages and, while a stage runs, at
fixed intervals. Such a snapshot takes SQLite's own backup of the store and leaves out `checkpoint/`, which training writes
at its own pace. `rows.storage` describes the layout at the address.
"""

import errno
import hashlib
import inspect
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
from evoltune.run.lock import locked
from evoltune.run.paths import RUN_LOCK, STORE, STORE_LOCK

_SNAPSHOT, _PUBLISH_LOCK = ".snapshot.tmp", ".publish.lock"
_BLOCK = 2**20
ABSENT = "absent"
_said: set[str] = set()
"""Addresses of which it was said that two machines could overwrite each other there."""


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
    remote = read_manifest(address)
    if remote is not None and remote["version"] != version_of(folder):
        fetch(address, folder, strict=True)


def fetch(address: str, folder: Path, *, strict: bool = False) -> Manifest:
    """`rows.storage.fetch` into a run's folder, under the run's lock. Raises StoreError while a process works there."""
    if read_manifest(address) is None:
        raise DataError(f"{address}: nothing was published there (no {MANIFEST}): check the address")
    with locked(folder, RUN_LOCK), locked(folder, STORE_LOCK):
        _fold_log(folder)
        return storage.fetch(address, folder, strict=strict)


def publish(folder: Path, address: str, *, snapshot: bool = False, repair: bool = False) -> Manifest:
    """Uploads the files of `folder` that the address lacks, then the manifest.

    Args:
        snapshot: a run is at work in the folder: files are copied before they are read, `checkpoint/` stays as published.
        repair: read back what is there, and replace what is damaged, the manifest too.

    Raises:
        DataError: there is no such folder, or a link in it.
        StoreError: the storage refuses, or holds a version that `folder` was not made from.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder: give the directory of a run or a dataset")
    snapshot = snapshot or not _settle(folder)
    etag = _etag(address)  # before the manifest is read: a later one is noticed when ours is written
    before = _published(address, repair)
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
                target = f"{root}/{files[name]['object']}"
                if repair and _is_damaged(fs, target, files[name]["sha256"]):
                    fs.rm_file(target)
                    _upload(fs, source, target)
                elif published.get(name) != files[name] or repair:
                    _upload(fs, source, target)
        version = digest([FORMAT, files])
        manifest = {"format": FORMAT, "version": version, "before": before["version"] if before else "", "files": files}
        if before is None or (before["version"], before["files"]) != (version, files):
            body = json.dumps(manifest, indent=1, sort_keys=True).encode()
            _put_manifest(fs, address, root, body, before["version"] if before else "", etag)
    storage.note_version(folder, address, manifest)
    return manifest


def _published(address: str, repair: bool) -> Manifest | None:
    try:
        return read_manifest(address)
    except StoreError:
        if not repair:
            raise
        return None


def _settle(folder: Path) -> bool:
    """Puts the store's write-ahead log, which a killed run left behind, into the store. False while a process works on it."""
    if not _has_log(folder):
        return True
    try:
        with locked(folder, STORE_LOCK):
            _fold_log(folder)
            return True
    except StoreError:
        return False


def _fold_log(folder: Path) -> None:
    """The caller holds the store's lock."""
    if not _has_log(folder):
        return
    try:
        with closing(sqlite3.connect(folder / STORE)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.DatabaseError as error:
        raise StoreError(
            f"{folder / STORE}: {error}: `evoltune doctor {folder} --repair` saves what can be read"
        ) from error


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


def _has_log(folder: Path) -> bool:
    log = folder / f"{STORE}-wal"
    return (folder / STORE).is_file() and log.is_file() and log.stat().st_size > 0


def _put_manifest(fs: Any, address: str, root: str, body: bytes, before: str, etag: str | None) -> None:
    """Writes the manifest if the address still holds the version `before`. Raises StoreError: another machine was faster."""
    target = f"{root}/{MANIFEST}"
    if _is_local(fs):
        with locked(Path(root), _PUBLISH_LOCK, wait_s=60):
            _refuse_other(address, before)
            _put(fs, target, body)
        return
    _refuse_other(address, before)
    if etag is None or etag == ABSENT:
        _put_unconditionally(fs, address, target, body, is_first=etag == ABSENT)
        return
    condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
    try:
        _put(fs, target, body, **condition)
    except OSError as error:
        if isinstance(error, FileExistsError) or error.errno == errno.EINVAL:  # 412, precondition failed
            raise _published_meanwhile(address) from None
        if error.errno not in (errno.ENOSYS, errno.ENOTSUP) and "NotImplemented" not in str(error):
            raise
        _say_unconditional(address)
        _put(fs, target, body)


def _put_unconditionally(fs: Any, address: str, target: str, body: bytes, *, is_first: bool) -> None:
    """Writes the manifest to a storage of which we know no conditional write: the first one by exclusive creation, which fsspec
    has for most, later ones as they are, and says so."""
    if is_first and "mode" in inspect.signature(fs.pipe_file).parameters:
        try:
            fs.pipe_file(target, body, mode="create")
            return
        except FileExistsError:
            raise _published_meanwhile(address) from None
        except (NotImplementedError, TypeError, ValueError):  # the mode is known to fsspec and not to this storage
            pass
    _say_unconditional(address)
    _put(fs, target, body)


def _say_unconditional(address: str) -> None:
    if address not in _said:
        _said.add(address)
        print(f"{address}: this storage has no conditional write: publish from one machine only", file=sys.stderr)


def _etag(address: str) -> str | None:
    """Of the manifest, for a conditional write; "": there is none yet. Of a storage for which we know no such write: ABSENT where
    there is none yet, else None."""
    with storage.filesystem(address) as (fs, root):
        if "s3" not in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol):
            fs.invalidate_cache()
            return None if fs.exists(f"{root}/{MANIFEST}") else ABSENT
        fs.invalidate_cache()
        try:
            return str(fs.info(f"{root}/{MANIFEST}").get("ETag") or "") or None
        except FileNotFoundError:
            return ""


def _refuse_other(address: str, before: str) -> None:
    try:
        now = read_manifest(address)
    except StoreError:  # `repair` replaces it
        return
    if (now["version"] if now else "") != before:
        raise _published_meanwhile(address)


def _published_meanwhile(address: str) -> StoreError:
    return StoreError(
        f"{address}: another machine has published there meanwhile: nothing was replaced; `evoltune runs fetch {address} DIR` to "
        "see it, or publish to another address"
    )


def _is_damaged(fs: Any, target: str, sha256: str) -> bool:
    """Whether an object is there with other content, by reading it."""
    if not fs.exists(target):
        return False
    found = hashlib.sha256()
    with fs.open(target, "rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
    return found.hexdigest() != sha256


def _put(fs: Any, target: str, body: bytes, **condition: str) -> None:
    if _is_local(fs):
        write_file(Path(target), body)
    else:
        fs.pipe_file(target, body, **condition)


def _is_local(fs: Any) -> bool:
    return "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)
