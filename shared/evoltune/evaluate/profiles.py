"""Profiles and their lock: a scorer, prompt or decoding that changes must change its version, or a test fails.

    evoltune eval profiles                 # every named way to score, with version and hash
    evoltune eval profiles lock            # accept the present ones (after raising the version)

Invariant: the hash covers the prompt, the decoding, and the source of the profile's own functions with the functions and
constants of the same module that they use; not the domain's shared verifier, whose source hash stands in every score.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from evoltune.domain import Profile, installed, load_domain
from evoltune.record import digest
from evoltune.rows.files import write_json

LOCK = Path("tests/profiles.lock.json")


def all_profiles() -> dict[str, Profile]:
    """`domain/profile` -> profile, over the installed domains."""
    return {f"{ref}/{name}": p for ref in installed() for name, p in load_domain(ref).profiles.items()}


def profile_hash(profile: Profile) -> str:
    """16 hex digits over all that the profile says itself."""
    functions = {name: source_of(getattr(profile, name)) for name in ("render", "extract", "verify")}
    return digest([profile.prompt, sorted(profile.decoding.items()), functions])


def source_of(function: Any) -> list[str]:
    """The source of a function and of what it uses in its own module, without comments and blank lines; sorted."""
    found: dict[str, str] = {}
    waiting = [function] if function is not None else []
    while waiting:
        one = waiting.pop()
        while hasattr(one, "func"):  # functools.partial
            found[f"partial {len(found)}"] = repr((one.args, sorted(one.keywords)))
            one = one.func
        if not isinstance(one, FunctionType) or one.__qualname__ in found:
            continue
        found[one.__qualname__] = _plain(inspect.getsource(one))
        for cell in one.__closure__ or ():
            waiting.append(cell.cell_contents)
        for name in _names(one.__code__):
            value = one.__globals__.get(name)
            if isinstance(value, FunctionType) and value.__module__ == one.__module__:
                waiting.append(value)
            elif isinstance(value, str | int | float | tuple | re.Pattern):
                found[f"{name} ="] = value.pattern if isinstance(value, re.Pattern) else repr(value)
    return [f"{name}\n{text}" for name, text in sorted(found.items())]


def _names(code: CodeType) -> set[str]:
    inner = (c for c in code.co_consts if isinstance(c, CodeType))
    return set(code.co_names).union(*(_names(c) for c in inner))


def _plain(source: str) -> str:
    lines = (line.rstrip() for line in source.splitlines())
    return "\n".join(line for line in lines if line and not line.lstrip().startswith("#"))


def current() -> dict[str, dict[str, Any]]:
    return {
        name: {"version": p.version, "hash": profile_hash(p)} for name, p in sorted(all_profiles().items())
    }


def write_lock(path: Path = LOCK) -> int:
    """Records version and hash of every profile; the number of profiles."""
    found = current()
    write_json(path, found)
    return len(found)


def breaches(locked: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What a lock does not allow: changed under the same version, gone, or new and not yet locked."""
    found = []
    for name in sorted({*locked, *now}):
        old, new = locked.get(name), now.get(name)
        if old is None:
            found.append(f"{name}: new: lock it with `evoltune eval profiles lock`")
        elif new is None:
            found.append(
                f"{name}: gone: scores made with it cannot be repeated; remove it from the lock on purpose"
            )
        elif old["hash"] != new["hash"] and old["version"] == new["version"]:
            found.append(
                f"{name}: changed under version {old['version']}: raise its version, then lock again"
            )
    return found


def listing() -> list[dict[str, object]]:
    """A row per profile."""
    rows: list[dict[str, object]] = []
    for name, profile in sorted(all_profiles().items()):
        d = profile.decoding
        rows.append(
            {
                "profile": name,
                "version": profile.version,
                "prompt": "own text" if profile.prompt is not None else "checkpoint's template",
                "decoding": f"n={d.get('n', 1)} T={d.get('temperature', 0.0)} top-p={d.get('top_p', 1.0)}",
                "extraction": "own" if profile.extract else "domain's",
                "scorer": "own" if profile.verify else "domain's verifier",
                "hash": profile_hash(profile),
            }
        )
    return rows
