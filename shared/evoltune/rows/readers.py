"""Reads rows: JSON, JSONL, Parquet, CSV (also .gz and .zst), a folder of these or of `save_to_disk`, a run, a dataset on the hub, a file at an fsspec
address (s3://bucket/rows.jsonl).

    for where, row in read_located("data/train.jsonl"): ...     # where = "train.jsonl:17"

A row is bad when it is no object, not UTF-8, not JSON, over 64 MiB, or a CSV line with too few or too many cells. Without a
list `bad`, the first one raises a DataError that names file and line; with a list, bad rows are collected in it.
"""

import codecs
import csv
import gzip
import io
import json
import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from evoltune.errors import DataError, require
from evoltune.rows import hub, storage
from evoltune.rows.arrow import read_arrow, saved_files
from evoltune.rows.marks import OTHER_SPLITS
from evoltune.run.paths import DATASET, MANIFEST, RECIPE, STORE, train_rows, user_path

MAX_ROW_BYTES = 128 * 2**20  # a program of 100 MB is judged (and fails); a longer line is a file with lost line ends
SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet", ".csv", ".arrow")
PACKED = (".gz", ".zst")
_UNREADABLE = (OSError, EOFError, zlib.error)
"""What a missing right, a cut file and a damaged one raise."""
STANDARD_INPUT = "-"
_NOTES = re.compile(r"^(dataset_infos?|dataset_dict|state|manifest)\.json$|certificate\.json$")
"""Files beside rows that hold none: of `datasets`, LLaMA-Factory and Evoltune."""
_TWICE = "the key {!r} stands twice in one object, and only the last would be read: delete one of them"
DIGITS_AS_0 = bytes(ord("0") if chr(i).isdigit() and i < 128 else i for i in range(256))


@dataclass(frozen=True, kw_only=True)
class BadRow:
    """A row that cannot be read: where (path:line) and why."""

    where: str
    reason: str
    text: bytes = b""
    """The JSON line as it is in the file; empty when it is too long, has a key twice or was no JSON line."""


Row = dict[str, Any]
Found = tuple[str, "Row | BadRow"]


def read_rows(ref: str | Path, bad: list[BadRow] | None = None) -> Iterator[Row]:
    """The rows of a source as dicts, as they are in the file. See `read_located`."""
    for _, row in read_located(ref, bad):
        yield row


def read_located(ref: str | Path, bad: list[BadRow] | None = None) -> Iterator[tuple[str, Row]]:
    """(file:line, row) of each row. Bad rows raise DataError, or are collected in `bad`."""
    for where, row in read_found(ref):
        if not isinstance(row, BadRow):
            yield where, row
        elif bad is None:
            raise DataError(f"{row.where}: {row.reason}: fix or delete this row")
        else:
            bad.append(row)


def found_json_lines(path: Path) -> Iterator[Found]:
    """(file:line with its folder, object or BadRow) of each line of a JSONL file under any name; .gz and .zst are decompressed."""
    return ((in_full(path, where), row) for where, row in _reading(path, _lines(path)))


def read_json_lines(path: Path) -> Iterator[tuple[str, Row]]:
    """(file:line with its folder, object) of each line of a JSONL file under any name; .gz and .zst are decompressed. Raises DataError."""
    for where, row in found_json_lines(path):
        if isinstance(row, BadRow):
            raise DataError(f"{where}: {row.reason}: fix or delete this line")
        yield where, row


def read_found(ref: str | Path) -> Iterator[Found]:
    """(file:line, row or BadRow) in the order of the source, for callers that answer each row. `-` is standard input."""
    if str(ref) == STANDARD_INPUT:
        return _reading("standard input", _parsed_lines(sys.stdin.buffer, "standard input"))
    if storage.is_address(ref):
        ref = storage.download(str(ref))
    path = user_path(ref)
    if path.is_dir():
        return _folder(path)
    if path.is_file():
        return _file(path)
    refuse_missing(ref)
    return _hub(str(ref))


def refuse_missing(ref: str | Path) -> None:
    """Raises DataError for a path where nothing is. Hub ids and addresses are asked for only when they are read."""
    path, text = user_path(ref), str(ref)
    if storage.is_address(ref) or path.is_dir() or path.is_file():
        return
    looks_like_file = path.is_absolute() or text.startswith((".", "~")) or _suffix(path) in SUFFIXES
    if looks_like_file or text.partition("@")[0].count("/") > 1:  # a revision may hold slashes: refs/pr/1
        raise DataError(f"{text}: no such file or folder: give a path ({', '.join(SUFFIXES)}, .gz, .zst) or a hub id")


def _suffix(path: Path) -> str:
    return Path(path.stem).suffix if path.suffix in PACKED else path.suffix


def finished_rows(folder: Path) -> Path | None:
    """The training rows of a run's folder or a dataset's; None when neither is there. Raises DataError for a run's dataset
    without its manifest, which is written last: the build was interrupted, and rows may be missing."""
    rows = train_rows(folder)
    if rows is None or rows.parent.resolve().name != DATASET or (rows.parent / MANIFEST).is_file():
        return rows
    run = rows.resolve().parents[1]
    if any((run / name).is_file() for name in (STORE, RECIPE)):
        raise DataError(
            f"{rows.parent}: not finished (no {MANIFEST}): run `evoltune build` again, nothing is paid for it"
        )
    return rows


def source_files(path: Path) -> tuple[list[Path], list[Path]]:
    """(files that are read, files of other splits that are not) of a file or folder here, in name order.

    A folder is a run, a dataset folder (its train file is read), or holds files, in itself or in `data/` or `train/`.
    Where some are named `train` (`train.jsonl`, `train-00000-of-00002.parquet`) only those are read, as the hub's client
    does; else all that are not named as a test or validation split. Raises DataError when there is none.
    """
    if not path.is_dir():
        return [path], []
    if (train := finished_rows(path)) is not None:
        return [train], []
    if (saved := saved_files(path)) is not None:
        return saved
    for folder in (path, path / "data", path / "train"):
        inside = sorted(folder.iterdir()) if folder.is_dir() else []
        if files := [p for p in inside if p.is_file() and _suffix(p) in SUFFIXES and not _NOTES.search(p.name)]:
            break
    else:
        raise DataError(f"{path}: holds no {', '.join(SUFFIXES)} file: give a file, a dataset folder or a run")
    chosen = [file for file in files if "train" in _words(file)]
    chosen = chosen or [file for file in files if not _words(file) & OTHER_SPLITS] or files
    names: dict[str, Path] = {}
    for file in chosen:
        if (other := names.setdefault((Path(file.stem).stem if file.suffix in PACKED else file.stem), file)) != file:
            raise DataError(
                f"{path}: {other.name} and {file.name} have one name in two forms, and each row would be read twice: name one of them"
            )
    return chosen, [file for file in files if file not in chosen]


def _words(file: Path) -> set[str]:
    return set(re.split(r"[^a-z]+", file.name.lower()))


def refuse_other_splits(ref: str | Path) -> None:
    """Raises DataError for a folder all of whose files are named as a test or validation split: nothing there is for training."""
    path = user_path(ref)
    files = source_files(path)[0] if path.is_dir() and not storage.is_address(ref) else []
    if files and all(_words(file) & OTHER_SPLITS for file in files):
        raise DataError(
            f"{ref}: holds no training split, only {files[0].name}: name the file if it is to be trained on all the same"
        )


def left_out(ref: str | Path) -> str:
    """`set: test.jsonl is not read (another split than train.jsonl)`, or "" when every file of a source is read."""
    path = user_path(ref)
    if not path.is_dir():
        return ""
    files, others = source_files(path)
    names = ", ".join(file.name for file in others[:10]) + (f" and {len(others) - 10} more" if len(others) > 10 else "")
    return f"{ref}: not read, as another split than {files[0].name}: {names}" if others else ""


def _folder(path: Path) -> Iterator[Found]:
    files, _ = source_files(path)
    return (found for file in files for found in _file(file))


def _file(path: Path) -> Iterator[Found]:
    kinds = {".jsonl": _lines, ".ndjson": _lines, ".json": _json, ".csv": _csv, ".parquet": _parquet, ".arrow": _arrow}
    if _suffix(path) not in kinds:
        unpack = ": unpack it first" if path.suffix in (".xz", ".bz2", ".zip", ".lz4") else ""
        raise DataError(
            f"{path}: unknown kind of file {path.suffix!r}{unpack}: allowed: {', '.join(SUFFIXES)}, also with .gz or .zst"
        )
    return _reading(path, kinds[_suffix(path)](path))


def _binary(path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rb")  # type: ignore[return-value]
    if path.suffix != ".zst":
        return path.open("rb")
    require(f"reading {path.name}", "data", "pyarrow")
    import pyarrow as pa

    return io.BufferedReader(pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"))


def _reading(path: Path | str, found: Iterable[Found]) -> Iterator[Found]:
    try:
        for where, row in found:
            yield where, replace(row, where=in_full(path, where)) if isinstance(row, BadRow) else row
    except _UNREADABLE as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def in_full(ref: str | Path, where: str) -> str:
    """`train.jsonl:3`, which names a row, as a message says it: with the folder of the file that was read."""
    path = Path(ref)
    return str(path.parent / where) if where.startswith(f"{path.name}:") else where


def _lines(path: Path) -> Iterator[Found]:
    """JSON lines, split on newline only (a row may hold U+2028); at most 128 MiB of a line is ever in memory."""
    with _binary(path) as handle:
        yield from _parsed_lines(handle, path.name)


def _parsed_lines(handle: BinaryIO, name: str) -> Iterator[Found]:
    for number, line in enumerate(_bounded(handle), start=1):
        where = f"{name}:{number}"
        if isinstance(line, int):
            reason = f"a row of {line} bytes, at most {MAX_ROW_BYTES} are read"
            yield where, BadRow(where=where, reason=reason)
        elif line.strip():
            yield where, _object(where, line.removeprefix(codecs.BOM_UTF8) if number == 1 else line)


def _bounded(handle: BinaryIO) -> Iterator[bytes | int]:
    """Each line, or its length in bytes when it is too long."""
    while line := handle.readline(MAX_ROW_BYTES + 1):
        if len(line) <= MAX_ROW_BYTES:
            yield line
            continue
        length = len(line)
        while not line.endswith(b"\n") and (line := handle.readline(MAX_ROW_BYTES)):
            length += len(line)
        yield length


def _object(where: str, text: bytes) -> Row | BadRow:
    try:
        value = _value(text)
    except orjson.JSONDecodeError as error:
        return BadRow(where=where, reason=_why(error, text, f"column {error.colno}"), text=text)
    if twice := _key_twice(text, value):
        return BadRow(where=where, reason=_TWICE.format(twice))
    return _checked(where, value, text)


def _why(error: orjson.JSONDecodeError, text: bytes, place: str) -> str:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return "not UTF-8 (save the file in this encoding)"
    constants: list[str] = []
    with suppress(ValueError, RecursionError):
        json.loads(text, parse_constant=constants.append)
    if constants:  # which Python's own encoder writes
        return f"not JSON: {constants[0]} stands where a value belongs (write null)"
    return f"not JSON: {error.msg} at {place}"


def _value(text: bytes) -> Any:
    """The JSON value. orjson is four times as fast as json, but reads integers from 2**64 up as floats."""
    value = orjson.loads(text)
    return json.loads(text) if b"0" * 20 in text.translate(DIGITS_AS_0) else value


def _key_twice(text: bytes, value: Any) -> str:
    """A key that an object of this text has twice, of which a parser keeps the last; "" where there is none.

    The value written again has fewer colons then; only where this is so is the text parsed key by key, which is slow.
    """
    with suppress(TypeError):  # an integer of more than 64 bits
        if text.count(b":") <= orjson.dumps(value).count(b":"):
            return ""
    twice: list[str] = []

    def noted(pairs: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in pairs]
        twice.extend(name for name in names if names.count(name) > 1) if len({*names}) < len(names) else None

    json.loads(text, object_pairs_hook=noted)
    return next(iter(twice), "")


def _checked(where: str, row: object, text: bytes = b"") -> Row | BadRow:
    if not isinstance(row, dict):
        reason = f"a {type(row).__name__}, must be an object with named columns"
        return BadRow(where=where, reason=reason, text=text)
    return row


def _json(path: Path) -> Iterator[Found]:
    """One array of objects, an object that holds one array (`data`, `rows`, `examples`, `train`), or JSON lines."""
    try:
        with _binary(path) as handle:
            text = handle.read().removeprefix(codecs.BOM_UTF8)
    except _UNREADABLE as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    try:
        tree = _value(text)
    except orjson.JSONDecodeError as error:
        if text.lstrip()[:1] == b"{":
            return _lines(path)
        raise DataError(f"{path}: {_why(error, text, f'line {error.lineno}')}") from error
    if twice := _key_twice(text, tree):
        raise DataError(f"{path}: {_TWICE.format(twice)}")
    if isinstance(tree, dict):
        inner = next((tree[k] for k in ("data", "rows", "examples", "train") if isinstance(tree.get(k), list)), None)
        tree = [tree] if inner is None else inner
    if not isinstance(tree, list):
        raise DataError(f"{path}: a {type(tree).__name__}, must be an array of objects or JSON lines")
    places = ((f"{path.name}:{i}", row) for i, row in enumerate(tree, start=1))
    return (
        (where, _checked(where, row, b"" if isinstance(row, dict) else json.dumps(row).encode()))
        for where, row in places
    )


def _csv(path: Path) -> Iterator[Found]:
    """With a header line; a field may span lines; `where` is the line on which the row ends. Blank lines are skipped.

    Commas separate the cells; semicolons or tabs do where the header has these and no comma.
    """
    csv.field_size_limit(MAX_ROW_BYTES)
    with _binary(path) as handle:
        first = handle.readline()
    separator = next((mark for mark in ",;\t" if mark.encode() in first), ",")
    with _binary(path) as handle, io.TextIOWrapper(handle, encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text, delimiter=separator)
        header: list[str] = []
        while True:
            try:
                cells = next(reader, None)
            except (csv.Error, UnicodeDecodeError) as error:
                raise DataError(f"{path}:{reader.line_num + 1}: not CSV in UTF-8: {error}") from error
            if cells is None:
                return
            where = f"{path.name}:{reader.line_num}"
            if not any(cells):
                continue
            if not header:
                header = cells
                if twice := next((name for name in cells if name and cells.count(name) > 1), None):
                    raise DataError(
                        f"{path}:{reader.line_num}: the header has the column {twice!r} twice, and only one would be read: rename one"
                    )
            elif len(cells) != len(header):
                yield where, BadRow(where=where, reason=f"{len(cells)} cells, the header has {len(header)}")
            else:
                yield where, dict(zip(header, cells, strict=True))


def _parquet(path: Path) -> Iterator[Found]:
    require("reading Parquet", "data", "pyarrow")
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: not a Parquet file: {error}") from error
    names = file.schema_arrow.names
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise DataError(f"{path}: has the column {twice!r} twice, and only one would be read: rename one")
    rows = (_as_text(row) for batch in file.iter_batches(1024) for row in batch.to_pylist())
    return ((f"{path.name}:{i}", row) for i, row in enumerate(rows, start=1))


def _arrow(path: Path) -> Iterator[Found]:
    return ((f"{path.name}:{i}", _as_text(row)) for i, row in enumerate(read_arrow(path), start=1))


def _as_text(row: Row) -> Row:
    """Writers that know no text type leave it as binary."""
    for name, value in row.items():
        if isinstance(value, bytes):
            with suppress(UnicodeDecodeError):
                row[name] = value.decode()
    return row


def _hub(ref: str) -> Iterator[Found]:
    """The rows of a dataset on the hub, by default of its `train` split. Needs the network or the hub's local cache."""
    require(f"reading the hub dataset {ref!r}", "data", "datasets")
    from datasets import config, load_dataset

    address = hub.parse_address(ref)
    name = address.repo
    if not hub.has_local_dataset(name) and (reason := hub.unreachable()):
        raise DataError(
            f"{ref}: neither a file nor in the hub's local copy, and the hub cannot be asked ({reason}): "
            "check the path or the network"
        )
    has_torch = config.TORCH_AVAILABLE
    try:
        # Else a streamed dataset imports torch, 1.5 s, to become one of torch's own.
        config.TORCH_AVAILABLE = has_torch and "torch" in sys.modules
        rows = load_dataset(
            name, address.config or None, split=address.split or "train", revision=address.revision or None,
            streaming=True,
        )  # fmt: skip
    except Exception as error:  # the hub's client raises a dozen unrelated types
        reason = (str(error).splitlines() or [""])[0][:200]
        raise DataError(
            f"{ref}: neither a file nor a dataset that the hub gives ({type(error).__name__}: {reason}): check the name "
            f"({hub.FORM}), the network and your login; private sets need HF_TOKEN"
        ) from error
    finally:
        config.TORCH_AVAILABLE = has_torch
    return _streamed(ref, name, rows)


def _streamed(ref: str, name: str, rows: Iterable[Mapping[str, Any]]) -> Iterator[Found]:
    """The rows as they come: a file that is empty, cut or of another form, and a connection that ends, show only here."""
    read = 0
    try:
        for read, row in enumerate(rows, start=1):
            yield f"{name}:{read}", dict(row)
    except Exception as error:  # the hub's client, pyarrow and aiohttp raise unrelated types
        reason = (str(error).splitlines() or [""])[0][:200]
        after = f"after {read} rows" if read else "before the first row"
        raise DataError(
            f"{ref}: cannot be read from the hub {after} ({type(error).__name__}: {reason}): try again; if it stays, the files of this "
            "split are empty or damaged"
        ) from error
