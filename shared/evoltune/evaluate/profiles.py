"""Profiles and their lock file: a scorer, prompt or decoding that changes must change its version, or a test fails.

    evoltune profiles                    # every named way to score, with version and hash
    evoltune profiles --lock FILE        # accept the present ones, after raising the version

Invariant: the hash covers the prompt, the decoding, and the source of the profile's own functions with the functions and
constants of the same module that they use; not the domain's verifier, whose source hash is in every score.
"""

import ast
import inspect
import re
import textwrap
from contextlib import suppress
from types import CodeType, FunctionType
from typing import Any

from evoltune.domain import Profile, installed, load_domain
from evoltune.record import digest


def all_profiles() -> dict[str, Profile]:
    """`domain/profile` -> profile, over the installed domains."""
    return {f"{ref}/{name}": p for ref in installed() for name, p in load_domain(ref).profiles.items()}


def profile_hash(profile: Profile) -> str:
    """16 hex digits over what the profile itself defines."""
    functions = {name: source_of(getattr(profile, name)) for name in ("render", "extract", "verify")}
    return digest([profile.prompt, sorted(profile.decoding.items()), functions])


def source_of(function: Any) -> list[str]:
    """The source of a function and of what it uses in its own module, without comments and docstrings; sorted."""
    found: dict[str, str] = {}
    waiting = [function] if function is not None else []
    while waiting:
        one = waiting.pop()
        while hasattr(one, "func"):  # functools.partial
            found[f"partial {len(found)}"] = repr((one.args, sorted(one.keywords)))
            one = one.func
        if not isinstance(one, FunctionType) or one.__qualname__ in found:
            continue
        found[one.__qualname__] = _code_of(one)
        waiting += [cell.cell_contents for cell in one.__closure__ or ()]
        for name in _names(one.__code__):
            value = one.__globals__.get(name)
            if isinstance(value, FunctionType) and value.__module__ == one.__module__:
                waiting.append(value)
            elif isinstance(value, str | int | float | tuple | re.Pattern):
                found[f"{name} ="] = value.pattern if isinstance(value, re.Pattern) else repr(value)
    return [f"{name}\n{text}" for name, text in sorted(found.items())]


def _code_of(function: FunctionType) -> str:
    """The source without docstrings, whole-line comments and blank lines; text, since syntax trees differ by Python version."""
    source = textwrap.dedent(inspect.getsource(function))
    lines = [line.rstrip() for line in source.splitlines()]
    with suppress(SyntaxError):  # a lambda inside an expression is no statement of its own
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is not None:
                first, last = node.body[0].lineno - 1, node.body[0].end_lineno
                lines[first:last] = [""] * len(lines[first:last])
    return "\n".join(line for line in lines if line and not line.lstrip().startswith("#"))


def _names(code: CodeType) -> set[str]:
    inner = (c for c in code.co_consts if isinstance(c, CodeType))
    return set(code.co_names).union(*(_names(c) for c in inner))


def present_lock() -> dict[str, dict[str, Any]]:
    """Version and hash of every profile as it is now."""
    return {name: {"version": p.version, "hash": profile_hash(p)} for name, p in sorted(all_profiles().items())}


def profile_rows() -> list[dict[str, object]]:
    """A row per profile."""
    return [
        {
            "profile": name,
            "version": p.version,
            "prompt": "own text" if p.prompt is not None else "checkpoint's template",
            "decoding": "n={n} T={temperature} top-p={top_p}".format(
                **{"n": 1, "temperature": 0.0, "top_p": 1.0, **p.decoding}
            ),
            "extraction": "own" if p.extract else "domain's",
            "scorer": "own" if p.verify else "domain's verifier",
            "hash": profile_hash(p),
        }
        for name, p in sorted(all_profiles().items())
    ]
