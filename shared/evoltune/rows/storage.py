"""Files and published folders at any fsspec address (s3://, gs://, file://, memory://): reading side.

    download("s3://bucket/rows.jsonl")                 # a local copy in the cache
    fetch("s3://bucket/mine", Path("runs/mine"))       # downloads what differs, each file checked by its hash

A published folder is a set of objects FOLDER/STEM-HASH.EXT that are never overwritten, and one object `manifest.json` that
names the current ones: a reader sees the old state or the new one, never a mixture. `run.publish` writes them.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from evoltune.errors import DataError, MissingExtraError, StoreError, require
from evoltune.record import digest
from evoltune.rows.files import atomic_path, cache_folder, file_digest, write_json

MANIFEST = "manifest.json"
FORMAT = 1
Manifest = dict[str, Any]
"""{"format": 1, "version": hash, "before": version, "files": {name: {"sha256", "bytes", "object"}}}"""

_VERSION_NOTE = ".published.json"
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
                fs.get_file(path, str(temporary))
        return target


def fetch(address: str, folder: Path) -> Manifest:
    """Makes `folder` equal to what was published last; files that are not in the manifest are deleted.

    Raises:
        DataError: nothing was published at the address.
        StoreError: a file is missing or does not match its hash, or the manifest is malformed.
    """
    manifest = read_manifest(address)
    if manifest is None:
        raise DataError(f"{address}: nothing was published there (no {MANIFEST}): check the address")
    with filesystem(address) as (fs, root):
        for name, entry in manifest["files"].items():
            target = _inside(folder, name, address)
            if target.is_file() and file_digest(target) == entry["sha256"]:
                continue
            with atomic_path(target) as temporary:
                fs.get_file(f"{root}/{object_name(name, entry['sha256'])}", str(temporary))
                if (found := file_digest(temporary)) != entry["sha256"]:
                    raise StoreError(
                        f"{address}/{name}: damaged: its hash is {found[:12]}, the manifest says {entry['sha256'][:12]}: "
                        "publish it again"
                    )
    for path in files_of(folder):
        if path.relative_to(folder).as_posix() not in manifest["files"]:
            path.unlink()
    note_version(folder, address, manifest["version"])
    return manifest


def read_manifest(address: str) -> Manifest | None:
    """The manifest at an address; None when nothing was published. Raises StoreError when it is malformed."""
    with filesystem(address) as (fs, root):
        fs.invalidate_cache()
        try:
            body = fs.cat_file(f"{root}/{MANIFEST}")
        except FileNotFoundError:
            return None
    try:
        manifest = json.loads(body)
        hashes = [entry["sha256"] for entry in manifest["files"].values()]
        if manifest["format"] == FORMAT and all(isinstance(text, str) for text in (manifest["version"], *hashes)):
            return dict(manifest)
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise StoreError(f"{address}/{MANIFEST}: not a manifest of format {FORMAT}: publish to another address")


def files_of(folder: Path) -> Iterator[Path]:
    """The files of a folder that are published: no links, no locks, nothing that is still being written."""
    for path in sorted(folder.rglob("*")):
        is_note = path == folder / _VERSION_NOTE
        if path.is_file() and not path.is_symlink() and not is_note and not path.name.endswith(_UNFINISHED):
            yield path


def object_name(name: str, sha256: str) -> str:
    """Where a file's content lies below the address: its hash is part of the name."""
    path = PurePosixPath(name)
    return str(path.with_name(f"{path.stem}-{sha256[:32]}{path.suffix}"))


def _inside(folder: Path, name: str, address: str) -> Path:
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts:
        raise StoreError(f"{address}: the manifest names {name!r}, which is outside of the folder: not fetched")
    return folder.joinpath(*parts)


def version_of(folder: Path) -> str:
    """The version that the folder was fetched as or published as last; "" when never."""
    try:
        return str(json.loads((folder / _VERSION_NOTE).read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def note_version(folder: Path, address: str, version: str) -> None:
    """Records which published version the folder holds."""
    write_json(folder / _VERSION_NOTE, {"address": address, "version": version})


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
    try:
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        return (OSError,)
    return (OSError, BotoCoreError, ClientError)
