"""Atomic writes: under its final name a file is complete, or it is the file that was there before. And journals, which grow.

    write_json(folder / "scores.json", scores)
    with atomic_path(folder / "train.parquet") as temporary: ...
    with Journal(path) as journal: journal.append({"problem": "HumanEval/0", "sample": 0, ...})

The content goes to a temporary file in the same folder, is flushed to the disk and renamed. The temporary name holds the
process id, so that two processes that fill the same cache entry cannot write into each other's file.
"""

import gzip
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO, Self

import orjson

from evoltune.errors import DataError, naming_file
from evoltune.text.credentials import without_credentials

WriteRow = Callable[[Mapping[str, Any]], None]


def cache_folder() -> Path:
    """Evoltune's part of the user's cache directory; `EVOLTUNE_CACHE` moves it."""
    return Path(os.environ.get("EVOLTUNE_CACHE") or user_cache_folder() / "evoltune")


def user_cache_folder() -> Path:
    """The cache directory that all of the user's programs share."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def elsewhere(path: Path) -> str:
    """How what is written to a path is put on another disk: the end of a message about a full one."""
    path, temporary = path.absolute(), Path(tempfile.gettempdir()).absolute()
    places = {
        "EVOLTUNE_CACHE": cache_folder(),
        "HF_HOME": Path(os.environ.get("HF_HOME") or user_cache_folder() / "huggingface"),
    }
    variable = next((name for name, folder in places.items() if path.is_relative_to(folder.absolute())), "")
    if path.is_relative_to(temporary) and path.relative_to(temporary).as_posix().startswith(("evoltune", "tmp")):
        variable = "TMPDIR"
    return f"set {variable} to a folder on another disk" if variable else "give --out on another disk"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path to write to; it becomes `path` when the block ends, and is deleted when the block raises.

    Raises DataError for a device or a pipe, which the file would replace.
    """
    refuse_device(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with naming_file(path):
            yield temporary
            with temporary.open("rb") as file:  # without it, a crash of the machine can leave an empty file behind
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def refuse_device(path: Path) -> None:
    """Raises DataError where something is there that is neither a file nor a folder, such as `/dev/null`."""
    folder = path.parent.resolve()
    is_stream = path.is_symlink() and (folder == Path("/dev") or Path("/proc") in folder.parents)  # /dev/stdout
    if is_stream or (path.exists() and not path.is_file() and not path.is_dir()):
        raise DataError(f"{path}: is a device or a pipe, which a file would replace: name a file to write")


def write_file(path: Path, content: str | bytes) -> None:
    """Writes bytes, or text as UTF-8 and without secrets."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(without_credentials(content).encode() if isinstance(content, str) else content)


def write_json(path: Path, value: Any, *, sort_keys: bool = False) -> None:
    """Writes one JSON value, indented, in UTF-8. With `sort_keys`, equal values give equal bytes."""
    write_file(path, json.dumps(value, ensure_ascii=False, indent=1, sort_keys=sort_keys) + "\n")


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object that a file holds; None where it is missing, damaged or holds something else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


@contextmanager
def jsonl_writer(path: Path) -> Iterator[WriteRow]:
    """A function that appends one row; compresses when the name ends in .gz. The file appears when the block ends."""
    with atomic_path(path) as temporary, temporary.open("wb") as raw, packed(raw, path.suffix == ".gz") as file:

        def write(row: Mapping[str, Any]) -> None:
            file.write(orjson.dumps(row, default=str, option=orjson.OPT_APPEND_NEWLINE))

        yield write


def packed(raw: BinaryIO, compress: bool) -> AbstractContextManager[Any]:
    """The file itself, or one that compresses into it."""
    # No file name and no time in the header: the same rows give the same bytes.
    return gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if compress else nullcontext(raw)


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---- journals


class Journal:
    """An append-only JSONL file that survives kill -9: an incomplete last line is cut off when the file is opened again.

    One writer; each `append` is one `write` of one line.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        repair(path)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def append(self, row: Mapping[str, Any]) -> None:
        line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
        with naming_file(self.path):
            while line:  # a full disk may take a part first; the rest then raises OSError
                line = line[os.write(self._file, line) :]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        os.close(self._file)


def repair(path: Path) -> int:
    """Cuts off an incomplete last line. Returns the number of bytes removed."""
    if not path.is_file() or not (size := path.stat().st_size):
        return 0
    with path.open("r+b") as file:
        kept = size
        while kept:
            start = max(0, kept - 65536)
            file.seek(start)
            found = file.read(kept - start).rfind(b"\n")
            if found >= 0:
                kept = start + found + 1
                break
            kept = start
        if kept < size:
            file.truncate(kept)
    return size - kept


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """The complete lines of a journal; none when it does not exist. NaN and infinities, which JSON lacks, are None. Raises
    DataError that names a damaged line."""
    if not path.is_file():
        return
    with path.open("rb") as raw, gzip.open(raw) if path.suffix == ".gz" else raw as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                row = _decoded(line)
            except ValueError as error:
                todo = "delete this line; its work is repeated"
                raise DataError(f"{path}:{number}: not JSON: {error}: {todo}") from error
            if not isinstance(row, dict):
                raise DataError(f"{path}:{number}: a row must be a JSON object, this is a {type(row).__name__}")
            yield row


def _decoded(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except ValueError:  # Python's own encoder writes NaN and Infinity
        return json.loads(line, parse_constant=lambda _: None)
