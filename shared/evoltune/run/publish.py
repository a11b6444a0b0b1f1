"""Run directories and rows files on any fsspec address (s3://, gs://, file://, memory://): a local copy, and publishing.

    publish(Path("runs/mine"), "s3://bucket/mine")     # uploads what is new; manifest.json last
    fetch("s3://bucket/mine", Path("runs/mine"))       # downloads what differs, each file checked by its hash

Layout at the address: FOLDER/STEM-HASH.EXT beside each other, never written over, and `manifest.json`, one object that
names the current ones: a reader sees the old state or the new one, never a mixture. The run store is worked on locally
(SQLite needs a local disk) and published between stages, and by the clock while one runs: then as SQLite's own backup, and
without `checkpoint/`, which training writes in its own time.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path, PurePosixPath
from typing import Any

from evoltune.errors import DataError, MissingExtraError, StoreError
from evoltune.record import digest
from evoltune.rows.files import atomic_path, file_digest, write_file, write_json
from evoltune.rows.hub import cache

MANIFEST = "manifest.json"
FORMAT = 1
_STILL = ".still.tmp"
_PASSING = (".lock", ".tmp", "-wal", "-shm")
"""Ends of names that belong to a process at work."""


def is_address(place: object) -> bool:
    """Whether a place is an fsspec address and no local path."""
    scheme, mark, _ = str(place).partition("://")
    return bool(mark) and scheme.replace("+", "").isalnum()


def copy_of(address: str) -> Path:
    """The local working copy of a run at an address; the same each time."""
    name = PurePosixPath(address.partition("://")[2]).name or "run"
    return cache() / "evoltune" / "places" / f"{name}-{digest(['place', address.rstrip('/')])[:12]}"


@contextmanager
def working(address: str, folder: Path, every_s: float = 0.0) -> Iterator[Callable[[], None]]:
    """`folder` as a copy of `address`: fetched first, published as the body ends, also by an error, and every `every_s`
    seconds (0: never) while it works. The body may call what it is given to publish in between. Raises StoreError when
    somebody else published there meanwhile."""
    seen = _known(folder)
    there = _manifest(address)
    if there is not None and there["version"] != seen:
        if seen and _changed(folder, seen):
            raise StoreError(
                f"{address}: another machine has published there since {folder} was copied, and that copy has changed too: "
                f"`evoltune publish {folder} OTHER_ADDRESS` keeps it, or remove the copy"
            )
        fetch(address, folder)

    for left in folder.rglob(f"*{_STILL}"):  # of a process that was killed
        left.unlink(missing_ok=True)
    turn, over = threading.Lock(), threading.Event()

    def save(live: bool = False) -> None:
        with turn:
            publish(folder, address, live=live)

    def by_the_clock() -> None:
        while not over.wait(every_s):
            try:
                if folder.is_dir():
                    save(live=True)
            except (StoreError, DataError, OSError) as error:  # the next one, or the last, may succeed
                print(f"not published: {error}", file=sys.stderr, flush=True)

    clock = threading.Thread(target=by_the_clock, name="publish", daemon=True)
    if every_s:
        clock.start()
    try:
        yield save
    finally:
        over.set()
        if every_s:
            clock.join()
        if folder.is_dir():
            save()


def publish(folder: Path, address: str, *, live: bool = False) -> dict[str, Any]:
    """Uploads the files of `folder` that the address lacks, then the manifest. Returns the manifest. `live`: a run is at work
    in it.

    Raises DataError where there is no folder, StoreError when the storage refuses or holds what `folder` never saw.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder: give the directory of a run or a dataset")
    there = _manifest(address)
    if there is not None and there["version"] != _known(folder):
        raise StoreError(
            f"{address}: holds another state than the one that {folder} came from: `evoltune fetch {address} DIR` to see it; "
            "publish to another address, nothing was changed"
        )
    files: dict[str, Any] = {}
    had = (there or {}).get("files", {})
    with _refusals(address) as fs:
        root = _path(address)
        for path in _files(folder):
            name = path.relative_to(folder).as_posix()
            if live and name.startswith("checkpoint/"):
                files |= {name: had[name]} if name in had else {}
                continue
            with _still(path) if live else nullcontext(path) as source:
                hashed = file_digest(source)
                files[name] = {
                    "sha256": hashed,
                    "bytes": source.stat().st_size,
                    "object": _object(name, hashed),
                }
                if had.get(name) != files[name]:
                    target = f"{root}/{files[name]['object']}"
                    if not fs.exists(target) or fs.size(target) != files[name]["bytes"]:
                        _upload(fs, source, target)
        version = digest([FORMAT, files])
        manifest = {
            "format": FORMAT,
            "version": version,
            "before": (there or {}).get("version", ""),
            "files": files,
        }
        if there is None or there["version"] != version:
            _put(fs, f"{root}/{MANIFEST}", json.dumps(manifest, indent=1, sort_keys=True).encode())
    _remember(folder, address, version)
    return manifest


def fetch(address: str, folder: Path) -> dict[str, Any]:
    """Makes `folder` what was published last. Each file is checked and renamed into place. Returns the manifest.

    Raises DataError when nothing was published at the address, StoreError when a file is missing or not what its hash says.
    """
    manifest = _manifest(address)
    if manifest is None:
        raise DataError(f"{address}: nothing was published there (no {MANIFEST}): check the address")
    with _refusals(address) as fs:
        for name, entry in manifest["files"].items():
            target = _inside(folder, name, address)
            if target.is_file() and file_digest(target) == entry["sha256"]:
                continue
            with atomic_path(target) as temporary:
                fs.get_file(f"{_path(address)}/{_object(name, entry['sha256'])}", str(temporary))
                if (found := file_digest(temporary)) != entry["sha256"]:
                    raise StoreError(
                        f"{address}/{name}: damaged: its hash is {found[:12]}, the manifest says {entry['sha256'][:12]}: publish it again"
                    )
    for path in _files(folder):
        if path.relative_to(folder).as_posix() not in manifest["files"]:
            path.unlink()
    _remember(folder, address, manifest["version"])
    return manifest


def local_copy(address: str) -> Path:
    """A file at an address, downloaded into the cache unless the storage says that it has not changed since."""
    with _refusals(address) as fs:
        info = fs.info(_path(address))
        if info.get("type") == "directory":
            folder = copy_of(address)
            fetch(address, folder)
            return folder
        mark = digest(
            ["object", address, str(info.get("ETag") or ""), info.get("size"), str(fs.ukey(_path(address)))]
        )
        target = cache() / "evoltune" / "objects" / mark[:16] / PurePosixPath(address).name
        if not target.is_file():
            with atomic_path(target) as temporary:
                fs.get_file(_path(address), str(temporary))
        return target


# ---- files


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        own = path.name == _NOTE and path.parent == folder
        if path.is_file() and not path.is_symlink() and not own and not path.name.endswith(_PASSING):
            yield path


@contextmanager
def _still(path: Path) -> Iterator[Path]:
    """A copy of a file that others write to: of a database, its last transaction."""
    size, free = path.stat().st_size, shutil.disk_usage(path.parent).free
    if free < 2 * size:  # the run needs the disk more
        raise OSError(errno.ENOSPC, f"{path}: a snapshot of {size} bytes beside {free} bytes that are free")
    copy = path.with_name(f"{path.name}.{os.getpid()}{_STILL}")
    try:
        if path.suffix == ".sqlite":
            with (
                closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db,
                closing(sqlite3.connect(copy)) as to,
            ):
                db.backup(to)
        else:
            shutil.copyfile(path, copy)
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def _inside(folder: Path, name: str, address: str) -> Path:
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts:
        raise StoreError(
            f"{address}: the manifest names {name!r}, which is outside of the folder: not fetched"
        )
    return folder.joinpath(*parts)


def _object(name: str, hashed: str) -> str:
    path = PurePosixPath(name)
    return str(path.with_name(f"{path.stem}-{hashed[:32]}{path.suffix}"))


_NOTE = ".published.json"


def _known(folder: Path) -> str:
    """The version that the folder was fetched as or published as last; "" when never."""
    try:
        return str(json.loads((folder / _NOTE).read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _remember(folder: Path, address: str, version: str) -> None:
    write_json(folder / _NOTE, {"address": address, "version": version})


def _changed(folder: Path, version: str) -> bool:
    files = {}
    for path in _files(folder):
        name, hashed = path.relative_to(folder).as_posix(), file_digest(path)
        files[name] = {"sha256": hashed, "bytes": path.stat().st_size, "object": _object(name, hashed)}
    return digest([FORMAT, files]) != version


# ---- the other side


def _path(address: str) -> str:
    from fsspec.core import url_to_fs

    return str(url_to_fs(address)[1]).rstrip("/")


@contextmanager
def _refusals(address: str) -> Iterator[Any]:
    """The file system of an address; what it refuses becomes a StoreError with the address and no secret."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise MissingExtraError("fsspec", "storage", address) from error
    try:
        yield url_to_fs(address)[0]
    except FileNotFoundError as error:
        raise DataError(f"{address}: nothing there: check the address and the credentials") from error
    except ImportError as error:
        raise MissingExtraError(error.name or "s3fs", "storage", address) from error
    except ValueError as error:
        raise DataError(
            f"{address}: {str(error)[:200]}: give an address such as s3://bucket/folder"
        ) from error
    except _storage_errors() as error:
        raise StoreError(
            f"{address}: {type(error).__name__}: {str(error)[:200]}: the local copy is kept; check rights, network and space, then run again"
        ) from error


def _storage_errors() -> tuple[type[Exception], ...]:
    try:
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        return (OSError,)
    return (OSError, BotoCoreError, ClientError)


def _manifest(address: str) -> dict[str, Any] | None:
    with _refusals(address) as fs:
        fs.invalidate_cache()
        try:
            body = fs.cat_file(f"{_path(address)}/{MANIFEST}")
        except FileNotFoundError:
            return None
        try:
            found = json.loads(body)
            if found["format"] == FORMAT and isinstance(found["version"], str):
                return (
                    dict(found) if all(isinstance(e["sha256"], str) for e in found["files"].values()) else {}
                )
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
    raise StoreError(f"{address}/{MANIFEST}: not a manifest of format {FORMAT}: publish to another address")


def _upload(fs: Any, path: Path, target: str) -> None:
    """A whole object or none: object stores give that, a file system by a rename."""
    if "file" in _protocols(fs):
        with atomic_path(Path(target)) as temporary:
            shutil.copyfile(path, temporary)
    else:
        fs.put_file(str(path), target)


def _put(fs: Any, target: str, body: bytes) -> None:
    if "file" in _protocols(fs):
        write_file(Path(target), body)
    else:
        fs.pipe_file(target, body)


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)
