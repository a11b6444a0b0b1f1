"""Where the file of a suite is, its download from the hub, and whether it is the published one.

    path, source = locate("math/gsm8k", benchmark, data=Path("~/suites"))
    sha256 = check_hash("math/gsm8k", benchmark, path)

A hub address has the form of evoltune.rows.hub. Without a config it means the dataset's only one, `main`, or all of
them one after another (the subjects of MATH); without a split it means `test`. Invariant: a file that passes
`check_hash` is the published one, or is unchanged since it was first loaded here.
"""

import gzip
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evoltune.domain import Benchmark
from evoltune.errors import DataError, require
from evoltune.rows.files import cache_folder, jsonl_writer, write_json
from evoltune.rows.hub import parse_address
from evoltune.run.paths import user_path


def candidates(name: str, benchmark: Benchmark, data: Path | None) -> Iterator[Path]:
    """The paths to try: the user's folder, EVOLTUNE_DATA, each with and without .gz; then the copy from the hub."""
    folders = [user_path(data)] if data else []
    if os.environ.get("EVOLTUNE_DATA"):
        folders.append(Path(os.environ["EVOLTUNE_DATA"]))
    if benchmark.file:
        for folder in [*folders, Path()] if Path(benchmark.file).is_absolute() else folders:
            path = folder / benchmark.file
            yield path
            yield path.with_suffix("") if path.suffix == ".gz" else path.with_name(path.name + ".gz")
    yield _hub_copy(name)


def _hub_copy(name: str) -> Path:
    return cache_folder() / "suites" / f"{name.replace('/', '-')}.jsonl"


def locate(name: str, benchmark: Benchmark, data: Path | None = None) -> tuple[Path, str]:
    """(path, source) of the suite's file, downloaded where needed. Raises DataError that says where to get it."""
    for path in candidates(name, benchmark, data):
        if path.exists():
            return path, str(path)
    problem = f"suite {name}: not on this machine"
    todo = f"put {benchmark.file} below EVOLTUNE_DATA or eval.data" if benchmark.file else "give its file"
    if not benchmark.hub:
        raise DataError(f"{problem}: {todo}")
    pins = cache_folder() / "suites" / "revisions.json"
    try:
        source = fetch(benchmark.hub, _hub_copy(name), pinned=_read_pins(pins).get(name, ""))
    except DataError as error:
        raise DataError(f"{problem}, and {error}: {todo}, or allow the download of {benchmark.hub}") from error
    _pin(pins, name, source.rpartition("@")[2])
    return _hub_copy(name), source


def file_hashes(path: Path) -> tuple[str, ...]:
    """SHA-256 of the bytes and, for gzip, of the content; of a folder: over the names and bytes of its files, sorted."""
    if path.is_dir():
        sha = hashlib.sha256()
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            sha.update(file.relative_to(path).as_posix().encode() + b"\0" + file.read_bytes())
        return (sha.hexdigest(),)
    data = path.read_bytes()
    found = [hashlib.sha256(data).hexdigest()]
    if data[:2] == b"\x1f\x8b":
        try:
            found.append(hashlib.sha256(gzip.decompress(data)).hexdigest())
        except (OSError, EOFError) as error:
            raise DataError(f"{path}: damaged gzip file: {error}: fetch it again") from error
    return tuple(found)


def check_hash(name: str, benchmark: Benchmark, path: Path) -> str:
    """The hash of the file, once it equals the published one, or the one recorded when it was first loaded here."""
    found, expected = file_hashes(path), benchmark.sha256
    if expected and path != _hub_copy(name):  # rows from the hub are rewritten here: their revision is pinned instead
        if not is_published(benchmark, path):
            raise DataError(
                f"suite {name}: {path} has sha256 {found[0]}, the published file has {expected}: "
                f"fetch the published file, or evaluate it as your own with {name.rpartition('/')[0]}:{path}"
            )
        return expected
    if Path(benchmark.file).is_absolute():  # shipped with the domain and still edited: stated in the scores, not pinned
        return found[-1]
    return _recorded(name, found, path)


def is_published(benchmark: Benchmark, path: Path) -> bool:
    """Whether the file is the one whose hash the domain states."""
    return benchmark.sha256 in (*file_hashes(path), *_gzipped_hash(path))


def _gzipped_hash(path: Path) -> tuple[str, ...]:
    """The hash after packing as the published .gz files were: level 9, no time, no name."""
    if path.is_dir() or path.suffix == ".gz":
        return ()
    return (hashlib.sha256(gzip.compress(path.read_bytes(), 9, mtime=0)).hexdigest(),)


def _recorded(name: str, found: tuple[str, ...], path: Path) -> str:
    pins = cache_folder() / "suites" / "hashes.json"
    before = _read_pins(pins).get(name)
    if before is None:
        _pin(pins, name, found[-1])
        return found[-1]
    if before not in found:
        raise DataError(
            f"suite {name}: {path} has sha256 {found[-1]}, when first loaded here it had {before}: "
            f"restore the file, or delete its line from {pins}"
        )
    return before


def _read_pins(path: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def _pin(path: Path, name: str, value: str) -> None:
    write_json(path, {**_read_pins(path), name: value}, sort_keys=True)


def fetch(address: str, out: Path, pinned: str = "") -> str:
    """Downloads a dataset into the JSONL file `out`; returns `owner/name@revision`. Raises DataError in one line.

    `pinned`: the revision to fetch where the address names none; "": the newest.
    """
    require(f"fetching {address} from the hub", "data", "datasets")
    import datasets
    from huggingface_hub import HfApi

    where = parse_address(address)
    try:
        revision = where.revision or pinned or str(HfApi().dataset_info(where.repo, timeout=10).sha)
        names = [where.config] if where.config else datasets.get_dataset_config_names(where.repo, revision=revision)
        rows: list[dict[str, Any]] = []
        for config in ["main"] if "main" in names else names or [None]:
            rows += datasets.load_dataset(where.repo, config, split=where.split or "test", revision=revision)
    except Exception as error:  # the hub's client raises a dozen unrelated types when offline
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise DataError(f"the download from the hub failed ({reason})") from error
    with jsonl_writer(out) as write:
        for row in rows:
            write(row)
    return f"{where.repo}@{revision}"
