"""Suites: named sets of problems that the domains declare, or any rows file of the user's, with hash and licence.

    load_suite("math/gsm8k", data=Path("~/suites"))      # a domain's benchmark: local file, EVOLTUNE_DATA, cache, hub
    load_suite("code:mine.jsonl")                        # your own rows, judged by the domain `code`

Invariant: a suite that loads is the published file (its hash agrees), or its hash was recorded at the first load and has
not changed since; it has at least one problem and no two of one name.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from evoltune.domain import Benchmark, Domain, installed, load_domain, to_task
from evoltune.errors import DataError, DomainError, nearest
from evoltune.record import Task
from evoltune.rows.files import cache_folder, write_json

ROWS = re.compile(r"\.(jsonl|json|ndjson|csv|parquet)(\.gz)?$")


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Problems, and how they are scored unless a recipe says otherwise."""

    name: str
    domain: str
    """Reference of the domain that judges: an entry point, module:attribute or path."""
    tasks: tuple[Task, ...]
    sha256: str
    licence: str
    profile: str = "sound"
    beside: tuple[str, ...] = ()
    """Profiles that score the same generations beside the first."""
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A declared benchmark, before anything of it is read."""

    name: str
    domain: str
    benchmark: Benchmark


def declared() -> dict[str, Entry]:
    """`domain/suite` -> entry, over all installed domains. A domain that does not load is left out."""
    found = {}
    for ref in installed():
        try:
            domain = load_domain(ref)
        except DomainError:
            continue  # asked for by name, it raises in `load_suite`
        for name, benchmark in domain.benchmarks.items():
            found[f"{ref}/{name}"] = Entry(name=name, domain=ref, benchmark=benchmark)
    return found


def load_suite(name: str, data: Path | None = None, *, domain: str = "") -> Suite:
    """A suite by `suite`, `domain/suite`, or `domain:rows-file` (`domain=` for a bare path).

    Raises DataError: unknown name (nearest), file missing (where to get it), hash differs, no or duplicate problems.
    """
    prefix, colon, rest = name.partition(":")
    if colon and ROWS.search(rest):
        return user_suite(Path(rest), prefix)
    if ROWS.search(name) or Path(name).is_file():
        if not domain:
            raise DataError(f"suite {name!r} is a rows file: say which domain judges it, e.g. 'math:{name}'")
        return user_suite(Path(name), domain)
    entry = _entry(name, domain)
    path, source = locate(entry, data)
    sha = check_hash(entry, path)
    tasks = _checked(entry.name, str(path), entry.benchmark.load(path))
    return Suite(
        name=entry.name, domain=entry.domain, tasks=tasks, sha256=sha, licence=entry.benchmark.licence,
        profile=entry.benchmark.profile, beside=entry.benchmark.beside, source=source,
    )  # fmt: skip


def judging_domain(name: str, domain: str = "") -> str:
    """The domain that judges a suite of this name; reads no suite file. Raises DataError for an unknown name."""
    prefix, colon, rest = name.partition(":")
    if colon and ROWS.search(rest):
        return prefix
    return domain if ROWS.search(name) or Path(name).is_file() else _entry(name, domain).domain


def _entry(name: str, domain: str) -> Entry:
    """The recipe's own domain first: it may be a path that no entry point names."""
    own = load_domain(domain).benchmarks if domain else {}
    if name in own:
        return Entry(name=name, domain=domain, benchmark=own[name])
    if "/" in name and name.partition("/")[0] in installed():
        ref, _, short = name.partition("/")
        benchmarks = load_domain(ref).benchmarks
        if short not in benchmarks:
            raise DataError(
                f"suite {name!r}: the domain {ref!r} has no such suite: {nearest(short, benchmarks)}"
            )
        return Entry(name=short, domain=ref, benchmark=benchmarks[short])
    known = declared()
    found = [entry for entry in known.values() if entry.name == name]
    if len(found) > 1:
        raise DataError(
            f"suite {name!r} is in several domains: write {' or '.join(f'{e.domain}/{name}' for e in found)}"
        )
    if not found:
        names = {*own, *(entry.name for entry in known.values())}
        raise DataError(f"unknown suite {name!r}: {nearest(name, names)}; or give DOMAIN:rows.jsonl")
    return found[0]


def user_suite(path: Path, ref: str) -> Suite:
    """A rows file (any form that `evoltune.dataset` reads) as a suite of that domain."""
    from evoltune.rows.readers import read_located

    judge: Domain = load_domain(ref)
    path = path.expanduser()
    if not path.is_file():
        raise DataError(f"suite {str(path)!r}: no such file")
    tasks = (_named(to_task(judge, row, where), where) for where, row in read_located(path))
    return Suite(
        name=path.name.split(".")[0], domain=ref, tasks=_checked(path.name, str(path), tasks),
        sha256=file_hashes(path)[0], licence="yours", source=str(path),
    )  # fmt: skip


def _named(task: Task, where: str) -> Task:
    if not task.instruction:
        raise DataError(
            f"{where}: no column instruction, prompt, question or problem: nothing to ask a model"
        )
    if task.name:
        return task
    return Task(**{**{k: getattr(task, k) for k in Task.__dataclass_fields__}, "name": where})


def _checked(name: str, where: str, tasks: Iterable[Task]) -> tuple[Task, ...]:
    found = tuple(tasks)
    if not found:
        raise DataError(f"suite {name!r}: {where} holds no problem")
    twice = [task for task, count in Counter(task.name for task in found).items() if count > 1]
    if twice:
        raise DataError(
            f"suite {name!r}: {where}: {len(twice)} ids stand twice, e.g. {twice[0]!r}: make them unique"
        )
    return found


# ---- where the file is


def cache_dir() -> Path:
    """Suites from the hub and hashes recorded at first load; override with EVOLTUNE_CACHE."""
    return cache_folder() / "suites"


def candidates(entry: Entry, data: Path | None) -> Iterator[Path]:
    """The paths that are tried, in order: the user's folder, EVOLTUNE_DATA, the cache; each with and without .gz."""
    folders = [data.expanduser()] if data else []
    if os.environ.get("EVOLTUNE_DATA"):
        folders.append(Path(os.environ["EVOLTUNE_DATA"]))
    if entry.benchmark.file:
        for folder in [*folders, Path()] if Path(entry.benchmark.file).is_absolute() else folders:
            whole = folder / entry.benchmark.file
            other = whole.with_suffix("") if whole.suffix == ".gz" else whole.with_name(whole.name + ".gz")
            yield from (whole, other)
    yield cache_dir() / f"{entry.domain}-{entry.name}.jsonl"


def locate(entry: Entry, data: Path | None = None) -> tuple[Path, str]:
    """The suite's file and a word on where it came from. Raises DataError that says where to get it."""
    for path in candidates(entry, data):
        if path.exists():
            return path, str(path)
    if not entry.benchmark.hub:
        raise _missing(entry, "")
    from evoltune.evaluate.hub import fetch

    try:
        return fetch(entry, cache_dir())
    except DataError as error:
        raise _missing(entry, f", and {error}") from error


def _missing(entry: Entry, why: str) -> DataError:
    below = (
        f"put {entry.benchmark.file} below EVOLTUNE_DATA or eval.data"
        if entry.benchmark.file
        else "give its file"
    )
    hub = f", or let the hub have it: {entry.benchmark.hub}" if entry.benchmark.hub else ""
    return DataError(f"suite {entry.domain}/{entry.name}: not on this machine{why}: {below}{hub}")


# ---- what the file is


def file_hashes(path: Path) -> tuple[str, ...]:
    """SHA-256 of the bytes and, for gzip, of what they hold; a folder: over its files' names and bytes, sorted."""
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


def check_hash(entry: Entry, path: Path) -> str:
    """The file's hash, once it agrees with the published one, or with the one recorded at the first load."""
    found, expected, name = file_hashes(path), entry.benchmark.sha256, f"{entry.domain}/{entry.name}"
    from_hub = (
        path.parent == cache_dir()
    )  # rows re-written by us: pinned by revision and recorded hash instead
    if expected and not from_hub:
        if expected not in (*found, *_regzipped(path, expected)):
            raise DataError(
                f"suite {name}: {path} has sha256 {found[0]}, the published file has {expected}: "
                f"fetch the published file, or evaluate it as your own with {entry.domain}:{path}"
            )
        return expected
    if Path(entry.benchmark.file).is_absolute():
        return found[
            -1
        ]  # a file of the domain's own package, still being written: stated in the scores, not pinned
    return _recorded(name, found, path)


def _regzipped(path: Path, expected: str) -> tuple[str, ...]:
    """The hash of plain bytes when packed as published files are here: gzip level 9, no time, no name."""
    if path.is_dir() or path.suffix == ".gz":
        return ()
    packed = gzip.compress(path.read_bytes(), 9, mtime=0)
    return (hashlib.sha256(packed).hexdigest(),)


def _recorded(name: str, found: tuple[str, ...], path: Path) -> str:
    ledger = cache_dir() / "hashes.json"
    known = json.loads(ledger.read_text(encoding="utf-8")) if ledger.is_file() else {}
    before = known.get(name)
    if before is None:
        write_json(ledger, {**known, name: found[-1]}, sort_keys=True)
        return found[-1]
    if before not in found:
        raise DataError(
            f"suite {name}: {path} has sha256 {found[-1]}, at its first load here it had {before}: "
            f"restore the file, or remove the line from {ledger}"
        )
    return str(before)
