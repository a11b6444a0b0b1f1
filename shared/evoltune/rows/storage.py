"""Files and published folders at any fsspec address (s3://, gs://, file://, memory://): reading side.

    download("s3://bucket/rows.jsonl")                 # a local copy in the cache
    fetch("s3://bucket/mine", Path("runs/mine"))       # downloads what differs, each file checked by its hash

A published folder is a set of objects FOLDER/STEM-HASH.EXT that are never overwritten, and one object `manifest.json` that
names the current ones: a reader sees the old state or the new one, never a mixture. `run.publish` writes them. Invariant:
nothing is read beyond the size that was announced, or beyond half of the free disk where none was.
"""

import importlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from evoltune.errors import DataError, MissingExtraError, StoreError, require
from evoltune.record import digest
from evoltune.rows.files import atomic_path, cache_folder, file_digest, read_json, write_json

MANIFEST = "manifest.json"
FORMAT = 1
Manifest = dict[str, Any]
"""{"format": 1, "version": hash, "before": version, "files": {name: {"sha256", "bytes", "object"}}}"""

_VERSION_NOTE = ".published.json"
MAX_MANIFEST_BYTES = 64 * 2**20
"""200 bytes a file: 300,000 files."""
MAX_NAME_BYTES = 255
"""Of one file or folder: what Linux takes."""
_UNFINISHED = (".lock", ".tmp", "-wal", "-shm")
"""Suffixes of files that belong to a running process."""


def is_address(place: object) -> bool:
    """Whether a place is an fsspec address and not a local path."""
    scheme, mark, _ = str(place).partition("://")
    return bool(mark) and scheme.replace("+", "").isalnum()


def working_copy(address: str) -> Path:
    """The local folder in which a run at an address is worked on; the same on each call."""
    name = PurePosixPath(address.partition("://")[2]).name or "run"
    return cache_folder() / "places" / f"{name}-{digest(['place', address.rstrip('/')])[:12]}"


def download(address: str) -> Path:
    """A local copy of a file or a published folder. A file is not downloaded again while the storage reports no change."""
    with filesystem(address) as (fs, path):
        info = fs.info(path)
        if info.get("type") == "directory":
            folder = working_copy(address)
            fetch(address, folder)
            return folder
        version = digest(["object", address, str(info.get("ETag") or ""), info.get("size"), str(fs.ukey(path))])
        target = cache_folder() / "objects" / version[:16] / PurePosixPath(address).name
        if not target.is_file():
            with atomic_path(target) as temporary:
                _get(fs, path, temporary, info.get("size"), address)
        return target


def fetch(address: str, folder: Path, *, strict: bool = False) -> Manifest:
    """Makes the published files of `folder` those that were published last. What no publication put there stays.

    Everything is downloaded beside its place and checked, then put in place; nothing is changed when anything is wrong.

    Args:
        strict: Refuse also a folder with files that only it has; else they stay.

    Raises:
        DataError: nothing was published at the address.
        StoreError: a file is missing or does not match its hash, the manifest is malformed, or a file that would be replaced
            is none that a publication put there, or has changed since.
    """
    manifest = read_manifest(address)
    if manifest is None:
        raise DataError(f"{address}: nothing was published there (no {MANIFEST}): check the address")
    ours = _files_put_there(folder)
    wanted = {name: entry["sha256"] for name, entry in manifest["files"].items()}
    there = {name: file_digest(path) for name in {*wanted, *(ours or ())} if (path := folder / name).is_file()}
    known = there if ours is None else ours
    kept = {name for name, sha256 in there.items() if sha256 not in (wanted.get(name), known.get(name))}
    kept |= {name for name in wanted if _is_blocked(folder, name)}
    if strict:
        kept |= {name for name in map(partial(_name, folder), files_of(folder)) if name not in there}
    if kept:
        raise StoreError(
            f"{address}: {folder} has files that no publication put there, or that have changed since: "
            f"{', '.join(sorted(kept)[:3])}: `evoltune runs publish {folder} OTHER_ADDRESS` keeps them, or move them away; "
            "nothing was changed"
        )
    waiting = folder / f".fetch{_UNFINISHED[1]}"
    shutil.rmtree(waiting, ignore_errors=True)
    missing = [name for name in wanted if there.get(name) != wanted[name]]
    try:
        with filesystem(address) as (fs, root):
            for name in missing:
                source, entry = f"{root}/{object_name(name, wanted[name])}", manifest["files"][name]
                _download(fs, source, waiting / name, entry, f"{address}/{name}")
        for name in missing:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            for log in ("-wal", "-shm"):  # SQLite would apply the old database's log to the new one
                target.with_name(target.name + log).unlink(missing_ok=True)
            (waiting / name).replace(target)
    finally:
        shutil.rmtree(waiting, ignore_errors=True)
    for name in set(there) - set(wanted):
        (folder / name).unlink()
    note_version(folder, address, manifest)
    return manifest


def _get(fs: Any, source: str, target: Path, size: int | None, where: str) -> None:
    """Downloads one object of at most `size` bytes; None: as far as half of the free disk goes. Raises StoreError for a larger
    one, at once and not when the disk is full."""
    from fsspec.callbacks import Callback

    target.parent.mkdir(parents=True, exist_ok=True)
    limit = shutil.disk_usage(target.parent).free // 2 if size is None else size

    class Bounded(Callback):  # type: ignore[misc]
        def relative_update(self, inc: int = 1) -> None:
            super().relative_update(inc)
            if self.value > limit:
                raise StoreError(f"{where}: more than {limit} bytes, which is {_SIZED[size is None]}: not read further")

    fs.get_file(source, str(target), callback=Bounded())
    if target.stat().st_size > limit:
        raise StoreError(f"{where}: {target.stat().st_size} bytes, {limit} are {_SIZED[size is None]}: not used")


_SIZED = {False: "the size that was announced", True: "half of the free disk"}


def _download(fs: Any, source: str, target: Path, entry: dict[str, Any], where: str) -> None:
    sha256 = entry["sha256"]
    with atomic_path(target) as temporary:
        _get(fs, source, temporary, entry.get("bytes"), where)
        if (found := file_digest(temporary)) != sha256:
            raise StoreError(
                f"{where}: damaged: its hash is {found[:12]}, the manifest says {sha256[:12]}: "
                "publish it again with --repair"
            )


def _name(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _is_blocked(folder: Path, name: str) -> bool:
    """Whether a link or a folder stands where the file, or a folder above it, would be."""
    target = folder / name
    above = [folder.joinpath(*PurePosixPath(name).parts[:n]) for n in range(1, len(PurePosixPath(name).parts))]
    return target.is_symlink() or target.is_dir() or any(p.is_symlink() or p.is_file() for p in above)


def read_manifest(address: str) -> Manifest | None:
    """The manifest at an address; None when nothing was published. Raises StoreError when any part of it is malformed."""
    with filesystem(address) as (fs, root):
        fs.invalidate_cache()
        try:
            with tempfile.TemporaryDirectory() as folder:
                _get(fs, f"{root}/{MANIFEST}", Path(folder, MANIFEST), MAX_MANIFEST_BYTES, f"{address}/{MANIFEST}")
                body = Path(folder, MANIFEST).read_bytes()
        except FileNotFoundError:
            return None
    try:
        manifest = json.loads(body)
        files = manifest["files"]
        is_whole = manifest["format"] == FORMAT and isinstance(manifest["version"], str) and isinstance(files, dict)
        if is_whole and all(_is_entry(entry) for entry in files.values()):
            _refuse_names(files, address)
            return dict(manifest)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise StoreError(
        f"{address}/{MANIFEST}: not a manifest of format {FORMAT}: publish to another address, or replace it with "
        "`evoltune runs publish --repair`"
    )


def _is_entry(entry: dict[str, Any]) -> bool:
    size = entry.get("bytes", 0)
    return bool(re.fullmatch(r"[0-9a-f]{64}", entry["sha256"])) and type(size) is int and 0 <= size < 2**63


def _refuse_names(files: Iterable[str], address: str) -> None:
    """Raises StoreError for a name that is not a plain path below the folder, or that a process of ours uses for itself."""
    names = set(files)
    for name in names:
        path = PurePosixPath(name)
        is_plain = bool(path.parts) and str(path) == name and not name.startswith("/") and ".." not in path.parts
        if not is_plain or "\0" in name or "\\" in name:
            raise StoreError(f"{address}: the manifest names {name!r}, which is outside of the folder: not fetched")
        if not _can_be_written(path):
            raise StoreError(
                f"{address}: the manifest names {name[:60]!a}, as which no file can be written: not fetched"
            )
        if name == _VERSION_NOTE or _is_unfinished(path):
            raise StoreError(f"{address}: the manifest names {name!r}, which is never published: not fetched")
        if any(str(above) in names for above in path.parents):
            raise StoreError(f"{address}: the manifest names {name!r} below a file: not fetched")


def _can_be_written(path: PurePosixPath) -> bool:
    """Whether its names are Unicode, and no longer than file systems take them."""
    try:
        return all(len(part.encode()) <= MAX_NAME_BYTES for part in path.parts)
    except UnicodeEncodeError:
        return False


def files_of(folder: Path) -> Iterator[Path]:
    """The files of a folder that are published: no locks, nothing that is still being written. Raises DataError for a link:
    what it points to would be missing where the folder is fetched."""
    for path in sorted(folder.rglob("*")):
        if path == folder / _VERSION_NOTE or _is_unfinished(path.relative_to(folder)):
            continue
        if path.is_symlink():
            raise DataError(
                f"{path}: a symbolic link is not published: put the files themselves there, or mount the disk"
            )
        if path.is_file():
            yield path


def _is_unfinished(path: PurePath) -> bool:
    return any(part.endswith(_UNFINISHED) for part in path.parts)


def object_name(name: str, sha256: str) -> str:
    """Where a file's content lies below the address: its hash is part of the name."""
    path = PurePosixPath(name)
    return str(path.with_name(f"{path.stem}-{sha256[:32]}{path.suffix}"))


def version_of(folder: Path) -> str:
    """The version that the folder was fetched as or published as last; "" when never."""
    return str(_note(folder).get("version") or "")


def _files_put_there(folder: Path) -> dict[str, str] | None:
    """name -> SHA-256 of each file as the last publication or fetch left it; None: by a version that did not note them."""
    note = _note(folder)
    files = note.get("files", {})
    return None if note and "files" not in note else {str(k): str(v) for k, v in files.items()}


def _note(folder: Path) -> dict[str, Any]:
    return read_json(folder / _VERSION_NOTE) or {}


def note_version(folder: Path, address: str, manifest: Manifest) -> None:
    """Records which published version the folder holds, and the files that it consists of."""
    files = {name: entry["sha256"] for name, entry in manifest["files"].items()}
    write_json(folder / _VERSION_NOTE, {"address": address, "version": manifest["version"], "files": files})


@contextmanager
def filesystem(address: str) -> Iterator[tuple[Any, str]]:
    """(fsspec file system, path in it) of an address. Storage errors become StoreErrors that hold the address and no secret."""
    require(address, "storage", "fsspec")
    from fsspec.core import url_to_fs

    try:
        fs, path = url_to_fs(address)
        yield fs, str(path).rstrip("/")
    except FileNotFoundError as error:
        raise DataError(f"{address}: nothing there: check the address and the credentials") from error
    except ImportError as error:
        raise MissingExtraError(error.name or "s3fs", "storage", address) from error
    except ValueError as error:
        raise DataError(f"{address}: {str(error)[:200]}: give an address such as s3://bucket/folder") from error
    except _storage_errors() as error:
        raise StoreError(
            f"{address}: {type(error).__name__}: {str(error)[:200]}: the local copy is kept; check rights, network and space, "
            "then run again"
        ) from error


def _storage_errors() -> tuple[type[Exception], ...]:
    """What the clients of object stores and of the hub raise, beside OSError, as far as they are installed."""
    found: list[type[Exception]] = [OSError]
    for module, names in _CLIENT_ERRORS.items():
        with suppress(ImportError):
            found += [getattr(importlib.import_module(module), name) for name in names]
    return tuple(found)


_CLIENT_ERRORS = {
    "aiohttp": ("ClientError",),
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "httpx": ("HTTPError",),
    "httpx2": ("HTTPError",),
}
"""The hub's client lets httpx's errors through when nothing answers."""
