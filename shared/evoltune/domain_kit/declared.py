"""Laws about what a domain declares: its fields, columns, policy, profiles. No function of the domain runs here.

for finding in laws_of_fields(domain, sources): ...
"""

import importlib.util
import json
import math
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evoltune.domain import ENTRY_POINTS, Benchmark, Domain, Operator, Profile, installed, package_of
from evoltune.domain_kit.findings import Finding, Sources, broken, holds, shown
from evoltune.domain_kit.probing import Outcome
from evoltune.evaluate.prompts import DECODING_KEYS
from evoltune.record import Task

HEAVY = ("torch", "tensorflow", "jax", "transformers", "vllm", "ray")
"""Libraries that take seconds and gigabytes: commands that only list a domain import it too."""
IMPORT_S = 5.0
"""CPU seconds in which a package is imported."""


def _number(value: Any, least: float, most: float = math.inf) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most and value < math.inf
    )


_RANGES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "n": ("a whole number from 1", lambda v: isinstance(v, int) and _number(v, 1)),
    "max_tokens": ("a whole number from 1", lambda v: isinstance(v, int) and _number(v, 1)),
    "temperature": ("a number from 0 to 2", lambda v: _number(v, 0, 2)),
    "top_p": ("a number above 0 and up to 1", lambda v: _number(v, 1e-9, 1)),
    "repetition_penalty": ("a number above 0", lambda v: _number(v, 1e-9, 100)),
    "stop": ("a list of texts", lambda v: isinstance(v, list | tuple) and all(isinstance(t, str) and t for t in v)),
}
RESERVED = ("instruction", "reference", "tests")


def laws_of_fields(domain: Domain, sources: Sources) -> Iterator[Finding]:
    """Whether every field of Domain has its type. Where one has not, no other law can be looked at."""
    name = "fields of the Domain have their types"
    wrong = next(_wrong_fields(domain, sources), None)
    yield wrong or holds(
        name, f"{len(domain.operators)} operators, {len(domain.benchmarks)} suites, {len(domain.profiles)} profiles"
    )


def _wrong_fields(domain: Domain, sources: Sources) -> Iterator[Finding]:
    law = "fields of the Domain have their types"

    def wrong(field: str, value: object, must: str, place: str = "") -> Finding:
        shown = (
            f"a {type(value).__name__}"
            if callable(value) or not isinstance(value, str | int | float | None)
            else repr(value)
        )
        return broken(
            law,
            f"{field} is {shown}",
            place or sources.line_of(field.partition("[")[0], (".py",)) or sources.start(),
            f"it must be {must}",
        )

    if not isinstance(domain.name, str) or not re.fullmatch(r"[A-Za-z0-9][\w.-]*", domain.name):
        yield wrong("name", domain.name, "a word of letters, digits, dots, hyphens and underscores")
    for field in ("seeds", "verify", "extract"):
        if not callable(getattr(domain, field)):
            yield wrong(field, getattr(domain, field), "a function")
    for field in ("confirm", "cases", "check_steps", "route", "known_answers", "stand_in"):
        if getattr(domain, field) is not None and not callable(getattr(domain, field)):
            yield wrong(field, getattr(domain, field), "a function or None")
    if not isinstance(domain.answer_prompt, str):
        yield wrong("answer_prompt", domain.answer_prompt, "a text with the slot {instruction}")
    for field, kind in (("operators", Operator), ("eliminators", object), ("columns", str), ("preload", str)):
        value = getattr(domain, field)
        if isinstance(value, str) or not isinstance(value, tuple | list):
            yield wrong(field, value, "a tuple: write a comma behind a single item, (item,)")
            continue
        for i, item in enumerate(value):
            if not isinstance(item, kind) or (field == "eliminators" and not callable(item)):
                yield wrong(f"{field}[{i}]", item, "a function" if field == "eliminators" else f"a {kind.__name__}")
    kinds: dict[str, Any] = {
        "evidence": str,
        "overlap": None,
        "benchmarks": Benchmark,
        "profiles": Profile,
        "policy": object,
    }
    for field, kind in kinds.items():
        value = getattr(domain, field)
        if not isinstance(value, Mapping):
            yield wrong(field, value, "a mapping from names")
            continue
        for key, item in value.items():
            if not isinstance(key, str) or not key:
                yield wrong(f"{field}[{key!r}]", item, "under a name, which is a string")
            elif (not callable(item)) if kind is None else (not isinstance(item, kind)):
                yield wrong(
                    f"{field}[{key!r}]",
                    item,
                    "a function" if kind is None else f"a {kind.__name__}",
                    sources.named(key),
                )


def laws_of_package(domain: Domain, sources: Sources, imported: Outcome) -> Iterator[Finding]:
    """How the package is found and what its import costs."""
    law = "the package is found by its name and imported quickly"
    if heavy := [name for name in HEAVY if name in imported.heavy]:
        todo = "import it within the function that needs it, and name it in Domain.preload: every command imports the package"
        yield broken(
            law,
            f"importing it imports {', '.join(heavy)}",
            sources.line_of(f"import {heavy[0]}", (".py",)) or sources.start(),
            todo,
        )
    elif imported.cpu > IMPORT_S:
        todo = "import and build within the functions what only they need: every command and each worker imports the package"
        yield broken(
            law, f"importing it takes {imported.cpu:.1f} s of CPU (at most {IMPORT_S:g})", sources.start(), todo
        )
    elif found := next(_wrong_entry(domain, sources), None):
        yield broken(law, *found)
    else:
        yield holds(law, f"{imported.cpu:.1f} s of CPU")


def _wrong_entry(domain: Domain, sources: Sources) -> Iterator[tuple[str, str, str]]:
    """(what, where, what to do) where the name means another domain, or leads nowhere."""
    package, known = package_of(domain), installed()
    other = known.get(domain.name, "").partition(":")[0].partition(".")[0]
    if other and other != package:
        detail = f"the name {domain.name!r} is that of an installed domain of the package {other}"
        yield (
            detail,
            sources.line_of(f"{domain.name!r}".replace("'", '"'), (".py",)) or sources.start(),
            "give it a name of its own",
        )
    for root in sources.roots:
        file = next(
            (
                f
                for f in (Path(root).parent / "pyproject.toml", Path(root).parents[1] / "pyproject.toml")
                if f.is_file()
            ),
            None,
        )
        if file is None:
            continue
        try:
            tree = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            yield (
                f"pyproject.toml cannot be read: {error}",
                f"{shown(str(file))}:1",
                "correct it: without it nothing can be installed",
            )
            return
        points = tree.get("project", {}).get("entry-points", {}).get(ENTRY_POINTS, {})
        ours = {
            name: value
            for name, value in points.items()
            if str(value).startswith(f"{package}:") or str(value).startswith(f"{package}.")
        }
        right = f'{domain.name} = "{package}:domain"'
        if ours and domain.name not in ours:
            yield (
                f"pyproject.toml has the entry point {min(ours)!r}, the domain's name is {domain.name!r}",
                f"{shown(str(file))}:1",
                f"write {right}",
            )
        elif ours and not _leads_to(ours[domain.name], domain):
            yield (
                f"the entry point {ours[domain.name]!r} in pyproject.toml leads to no domain",
                f"{shown(str(file))}:1",
                f"write {right}",
            )


def _leads_to(value: str, domain: Domain) -> bool:
    module, _, attribute = value.partition(":")
    found = sys.modules.get(module)
    return found is not None and getattr(found, attribute.strip(), None) is domain


def laws_of_options(domain: Domain, sources: Sources) -> Iterator[Finding]:
    """Policy, profiles, preload: what a recipe may choose."""
    law = "policy, profiles and preloaded modules can be used"
    found = next(_wrong_options(domain, sources, law), None)
    counts = f"{len(domain.profiles)} profiles, {len(domain.policy)} options, {len(domain.preload)} modules"
    yield found or holds(law, counts)


def laws_of_read_options(domain: Domain, asked: set[str], declared: set[str], sources: Sources) -> Iterator[Finding]:
    """`asked`: the options that were read from `context.policy`; `declared`: those that were read from the Domain's own."""
    law = "options are read from context.policy"
    passed_over = sorted(declared - asked)
    if passed_over:
        key = passed_over[0]
        yield broken(
            law,
            f"policy {key!r} is read from what the Domain declares: what a recipe chooses would change nothing",
            sources.line_of("domain.policy", (".py",)) or sources.function(domain.verify),
            f"read context.policy[{key!r}], which holds a recipe's verify.policy over the defaults",
        )
    elif domain.policy:
        yield holds(law, f"{len(asked)} of {len(domain.policy)} were asked for")


def _wrong_options(domain: Domain, sources: Sources, law: str) -> Iterator[Finding]:
    code = "\n".join(f.read_text(encoding="utf-8", errors="replace") for f in sources.files() if f.suffix == ".py")
    for key, value in domain.policy.items():
        at = sources.named(key)
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            yield broken(
                law,
                f"policy {key!r}: the default {value!r} is no plain JSON",
                at,
                "use numbers, strings, booleans, lists, objects or None",
            )
        if len(re.findall(rf"\b{re.escape(key)}\b", code)) < 2:
            yield broken(
                law,
                f"policy {key!r} is read nowhere",
                at,
                f"read context.policy[{key!r}] in verify, or delete the option",
            )
    if "sound" not in domain.profiles:
        yield broken(
            law,
            "there is no profile 'sound'",
            sources.line_of("profiles", (".py",)) or sources.start(),
            "add it: Profile(version=1) is the domain's own way to score",
        )
    for name, profile in domain.profiles.items():
        at = sources.named(name)
        if isinstance(profile.version, bool) or not isinstance(profile.version, int) or profile.version < 1:
            yield broken(
                law,
                f"profile {name!r}: version {profile.version!r}",
                at,
                "give a whole number from 1, and raise it with each change",
            )
        if not isinstance(profile.prompt, str | None):
            yield broken(
                law, f"profile {name!r}: prompt is a {type(profile.prompt).__name__}", at, "give a text or None"
            )
        if isinstance(profile.decoding, Mapping) and (unknown := set(profile.decoding) - set(DECODING_KEYS)):
            todo = f"use {', '.join(DECODING_KEYS)}"
            yield broken(law, f"profile {name!r}: decoding has the unknown key {min(unknown, key=str)!r}", at, todo)
        decoding = profile.decoding if isinstance(profile.decoding, Mapping) else {}
        yield from _out_of_range(law, name, decoding, at)
        count = decoding.get("n", 1)
        if isinstance(count, int) and count > 1 and not decoding.get("temperature"):
            todo = "give a temperature above 0, or n=1"
            yield broken(law, f"profile {name!r}: {count} samples at temperature 0 are all the same", at, todo)
        if not isinstance(profile.decoding, Mapping):
            yield broken(
                law,
                f"profile {name!r}: decoding is a {type(profile.decoding).__name__}",
                at,
                "give a mapping: {'n': 1, 'temperature': 0.0}",
            )
        for field in ("render", "extract", "verify"):
            if getattr(profile, field) is not None and not callable(getattr(profile, field)):
                yield broken(law, f"profile {name!r}: {field} is no function", at, "give a function or None")
    yield from _wrong_names(domain, sources, law)


def _out_of_range(law: str, name: str, decoding: Mapping[str, Any], at: str) -> Iterator[Finding]:
    for key, value in decoding.items():
        if key in _RANGES and not _RANGES[key][1](value):
            yield broken(law, f"profile {name!r}: decoding has {key} {value!r}", at, f"give {_RANGES[key][0]}")


def _wrong_names(domain: Domain, sources: Sources, law: str) -> Iterator[Finding]:
    """Modules that are not there, and columns that cannot be columns."""
    for module in domain.preload:
        try:
            known = importlib.util.find_spec(module) is not None
        except (ImportError, ValueError):
            known = False
        if not known:
            yield broken(
                law,
                f"preload: the module {module!r} is not installed",
                sources.named(module),
                "install it, or correct the name",
            )
    for column in domain.columns:
        at = sources.named(column)
        if column in RESERVED:
            yield broken(
                law,
                f"columns: {column!r} has a place of its own in a Task",
                at,
                "leave it out, and read task.reference, task.tests or task.instruction",
            )
        if list(domain.columns).count(column) > 1:
            yield broken(law, f"columns: {column!r} is named twice", at, "delete one")


def laws_of_columns(domain: Domain, asked: set[str], tasks: Sequence[Task], sources: Sources) -> Iterator[Finding]:
    """What verify reads from `Task.fields` is what `columns` names. `asked`: the names that it asked for."""
    law = "columns are what verify reads"
    held = {name for task in tasks for name in task.fields}
    missing = sorted(name for name in asked & held if name not in domain.columns)
    unused = [name for name in domain.columns if name not in asked and name not in held]
    if missing:
        todo = f"add it: columns=({missing[0]!r}, ...); rewards and rows files keep only these"
        yield broken(
            law,
            f"verify reads task.fields[{missing[0]!r}], which columns does not name",
            sources.named(missing[0]),
            todo,
        )
    elif unused:
        yield broken(
            law,
            f"columns names {unused[0]!r}, which no task has and verify does not read",
            sources.named(unused[0]),
            "correct the name or delete it",
        )
    elif asked or domain.columns:
        yield holds(law, f"{len(domain.columns)} columns, {len(asked)} read")
