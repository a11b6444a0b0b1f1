"""Suites: named sets of problems that the domains declare, or any rows file of the user's, with hash and licence.

    load_suite("math/gsm8k", data=Path("~/suites"))      # declared: a local file, EVOLTUNE_DATA, the cache, or the hub
    load_suite("code:mine.jsonl")                        # your own rows, judged by the domain `code`

Invariant: a loaded suite has at least one problem, no two problems of one name, and a file that `check_hash` accepted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evoltune.domain import Benchmark, author_code, installed, load_domain, to_task
from evoltune.errors import DataError, DomainError, RecipeError, nearest
from evoltune.evaluate.difficulty import (
    DIFFICULTY_COLUMNS,
    NOT_STATED,
    SKILL_COLUMNS,
    difficulties_of,
    number_in,
    numeric_order,
    skills_of,
)  # fmt: skip
from evoltune.evaluate.results import percent
from evoltune.evaluate.suite_files import candidates, check_hash, file_hashes, locate
from evoltune.record import Task
from evoltune.rows.readers import in_full, read_located
from evoltune.run.paths import user_path
from evoltune.terminal import table

LATER_TURNS = "later_turns"
"""Column of what the user says after the first answer, a list of texts."""
REFERENCES = "reference_answers"
"""Column of right answers that a judge is shown beside the answers, a text for each turn, or one text for the first."""
TURN = "dialogue_turn"
"""Field of a later turn's task, where each turn is a problem of its own: its number, 2 for the second."""
ROWS_FILE = re.compile(r"\.(jsonl|json|ndjson|csv|parquet)(\.gz|\.zst)?$")


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Problems, and how they are scored unless a recipe says otherwise."""

    name: str
    domain: str
    """The domain that judges: an entry point, module:attribute or path."""
    tasks: tuple[Task, ...]
    sha256: str
    licence: str
    profile: str = "sound"
    beside: tuple[str, ...] = ()
    """Profiles that score the same generations in addition to the first."""
    source: str = ""

    def first(self, limit: int) -> Suite:
        """The suite of its first `limit` problems; 0: all."""
        return replace(self, tasks=self.tasks[:limit]) if limit else self


@dataclass(frozen=True, kw_only=True)
class DeclaredSuite:
    """A benchmark of a domain, before its file is read."""

    name: str
    domain: str
    benchmark: Benchmark

    @property
    def full_name(self) -> str:
        return f"{self.domain}/{self.name}"


def later_turns(task: Task) -> Sequence[str]:
    """What the user says after the first answer, turn by turn (`fields["later_turns"]`); the verifier judges the first answer, a
    judge each."""
    turns = task.fields.get(LATER_TURNS)
    return [str(turn) for turn in turns] if isinstance(turns, list) else []


def declared_suites() -> dict[str, DeclaredSuite]:
    """`domain/suite` -> suite, over the installed domains. Leaves out domains that do not load."""
    found = {}
    for ref in installed():
        try:
            domain = load_domain(ref)
        except DomainError:
            continue  # asked for by name, it raises in `load_suite`
        for name, benchmark in domain.benchmarks.items():
            found[f"{ref}/{name}"] = DeclaredSuite(name=name, domain=ref, benchmark=benchmark)
    return found


def load_suite(name: str, data: Path | None = None, *, domain: str = "") -> Suite:
    """Loads a suite.

    Args:
        name: `suite`, `domain/suite`, or `domain:FILE` with the user's own rows.
        data: folder with suite files, searched before EVOLTUNE_DATA.
        domain: the domain of a bare file name, and the first to be searched for a suite name.

    Raises DataError: unknown name (with the nearest), missing file (with where to get it), other hash, no or equal
    problems.
    """
    if own := _own_rows(name, domain):
        ref, path = own
        if not ref:
            raise DataError(f"suite {name!r} is a rows file: say which domain judges it, e.g. 'math:{name}'")
        return _own_suite(path, ref)
    declared = _find(name, domain)
    benchmark = declared.benchmark
    path, source = locate(declared.full_name, benchmark, data)
    sha256 = check_hash(declared.full_name, benchmark, path)
    owner = load_domain(declared.domain)
    with author_code(owner, f"load of {declared.name!r}"):
        tasks = _checked(declared.name, path, benchmark.load(path))
    return Suite(
        name=declared.name, domain=declared.domain, tasks=tasks,
        sha256=sha256, licence=benchmark.licence, profile=benchmark.profile, beside=benchmark.beside, source=source,
    )  # fmt: skip


def refuse_twice(names: Sequence[str], domain: str = "") -> None:
    """Raises RecipeError when two of a recipe's suites have one name, in whatever way it is written: the answers to the second, and
    its score, would be written over the first's. Reads no suite file."""
    written: dict[str, str] = {}
    for given in names:
        own = _own_rows(given, domain)
        name = _name_of_rows(own[1]) if own else _find(given, domain).name
        if name in written:
            todo = "give one of them" if not own else "give one of them, or another name to one file"
            raise RecipeError(f"eval.suites: {written[name]!r} and {given!r} have one name, {name!r}: {todo}")
        written[name] = given


def judging_domain(name: str, domain: str = "") -> str:
    """The domain that judges a suite of this name; reads no suite file. Raises DataError for an unknown name."""
    own = _own_rows(name, domain)
    return own[0] if own else _find(name, domain).domain


def _own_rows(name: str, domain: str) -> tuple[str, Path] | None:
    """(domain, file) if the name means the user's own rows."""
    prefix, colon, rest = name.partition(":")
    if colon and ROWS_FILE.search(rest):
        return prefix, Path(rest)
    return (domain, Path(name)) if ROWS_FILE.search(name) or Path(name).is_file() else None


def _find(name: str, domain: str) -> DeclaredSuite:
    # The recipe's own domain first: it may be a path that no entry point names.
    own = load_domain(domain).benchmarks if domain else {}
    if name in own:
        return DeclaredSuite(name=name, domain=domain, benchmark=own[name])
    ref, slash, short = name.partition("/")
    if slash and ref in installed():
        benchmarks = load_domain(ref).benchmarks
        if short not in benchmarks:
            raise DataError(f"suite {name!r}: the domain {ref!r} has no such suite: {nearest(short, benchmarks)}")
        return DeclaredSuite(name=short, domain=ref, benchmark=benchmarks[short])
    known = declared_suites().values()
    found = [suite for suite in known if suite.name == name]
    if len(found) > 1:
        names = " or ".join(suite.full_name for suite in found)
        raise DataError(f"suite {name!r} is in several domains: write {names}")
    if not found:
        names_of_all = {*own, *(suite.name for suite in known)}
        raise DataError(f"unknown suite {name!r}: {nearest(name, names_of_all)}; or give DOMAIN:rows.jsonl")
    return found[0]


def _name_of_rows(path: Path) -> str:
    return path.name.split(".")[0]


def _own_suite(path: Path, ref: str) -> Suite:
    """The user's rows, in any form that evoltune.rows.readers reads."""
    domain = load_domain(ref)
    path = user_path(path)
    if not path.is_file():
        raise DataError(f"suite {str(path)!r}: no such file")
    tasks = []
    for where, row in read_located(path):
        task = to_task(domain, row, where)
        if not task.instruction:
            raise DataError(
                f"{in_full(path, where)}: no column instruction, prompt, question or problem: nothing to ask a model"
            )
        names = (row.get(column) for column in ("task_id", "problem_id"))
        name = task.name or next((str(name) for name in names if isinstance(name, str | int)), where)
        columns = (*SKILL_COLUMNS, *DIFFICULTY_COLUMNS, LATER_TURNS, REFERENCES)
        stated = {column: row[column] for column in columns if row.get(column) is not None}
        tasks.append(replace(task, name=name, fields={**stated, **task.fields}))
    return Suite(
        name=_name_of_rows(path), domain=ref, tasks=_checked(path.name, path, tasks),
        sha256=file_hashes(path)[0], licence="yours", source=str(path),
    )  # fmt: skip


def _checked(name: str, path: Path, tasks: Iterable[Task]) -> tuple[Task, ...]:
    found = tuple(tasks)
    if not found:
        raise DataError(f"suite {name!r}: {path} holds no problem")
    repeated = [task for task, count in Counter(task.name for task in found).items() if count > 1]
    if repeated:
        raise DataError(
            f"suite {name!r}: {path}: {len(repeated)} ids are not unique, e.g. {repeated[0]!r}: give each problem its own"
        )
    return found


def suite_rows(data: Path | None = None) -> list[dict[str, str]]:
    """A row per declared suite: profile, licence, hash, where its file is or where to get it."""
    found = []
    for name, suite in declared_suites().items():
        b = suite.benchmark
        file = next((str(path) for path in candidates(name, b, data) if path.exists()), "")
        hub = f" (hub: {b.hub})" if b.file and b.hub else ""
        sha256 = b.sha256[:12] or "at first load"
        where = file or f"missing: {b.file or b.hub}{hub}"
        found.append({"suite": name, "profile": b.profile, "licence": b.licence, "sha256": sha256, "file": where})
    return found


def suite_shares(names: Sequence[str], data: Path | None = None) -> dict[str, dict[str, Any]]:
    """For each suite, the number of problems of each skill and difficulty, and the mean difficulty (None: not stated).

    The WizardLM paper describes its test set in this way (2304.12244).
    """
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        suite = load_suite(name, data)
        stated = [(difficulties_of(task.fields) or [""])[0] for task in suite.tasks]
        numbers = [number for text in stated if (number := number_in(text)) is not None]
        found[suite.name] = {
            "problems": len(suite.tasks),
            "skill": Counter((skills_of(task.fields) or [NOT_STATED])[0] for task in suite.tasks),
            "difficulty": Counter(text or NOT_STATED for text in stated),
            "mean_difficulty": sum(numbers) / len(numbers) if numbers else None,
        }
    return found


def share_tables(shares: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """`suite_shares` as two tables, and a line per suite on its mean difficulty."""
    for title in ("skill", "difficulty"):
        groups = sorted({group for s in shares.values() for group in s[title]}, key=numeric_order)
        body = [
            [group, *(percent(s[title][group] / s["problems"]) if s[title][group] else "-" for s in shares.values())]
            for group in groups
        ]
        yield from table([title, *(f"{name} ({s['problems']})" for name, s in shares.items())], body)
        yield ""
    for name, s in shares.items():
        mean = s["mean_difficulty"]
        yield f"{name}: " + ("no difficulty stated" if mean is None else f"mean difficulty {mean:.2f}")
