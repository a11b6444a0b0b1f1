"""Tests that share more than plain data with the program: their own classes, built-in types, names of modules.

Tests run in another process than the program, and there `sum` and `trace` mean Python's own. Each function here turns
a job into one that means the same in both processes:

    bridged(job, verdict.reason)    # QuixBugs passes its own Node objects; MBPP/533 passes the type int

Invariant: what is compared stays in the tests; only definitions and names move into the program.
"""

from __future__ import annotations

import ast
import builtins
import re
import sys
from dataclasses import replace

from evoltune.domain import Job
from evoltune_code.program import parse

_TAKEN = frozenset({*dir(builtins), *sys.stdlib_module_names})
_TYPES = frozenset({"int", "float", "str", "bool", "list", "tuple", "dict", "set", "complex", "bytes"})
_PREFIX = "_of_program_"


def with_own_name(job: Job) -> Job:
    """The job with another name for an entry point that is called like a built-in or a module: MBPP/126 defines `sum`."""
    name = job.entry_point
    if name not in _TAKEN or not isinstance(job.tests, str | list):
        return job
    pattern = re.compile(rf"(?<![\w.]){name}\b(?!\s*=[^=])")
    own = _PREFIX + name
    tests = (
        [pattern.sub(own, str(t)) for t in job.tests]
        if isinstance(job.tests, list)
        else pattern.sub(own, job.tests)
    )
    return replace(job, program=f"{job.program}\n{own} = {name}\n", tests=tests, entry_point=own)


def bridged(job: Job, reason: str) -> Job | None:
    """The job for a second run after a failure that says that the tests could not hand something over; else None."""
    if "not plain data" in reason:
        return with_shared_classes(job)
    if "must be a type" in reason:
        return with_named_types(job)
    return None


def with_shared_classes(job: Job) -> Job | None:
    """The job with the classes of its tests at the end of its program, so that both sides mean the same class. None
    when the tests define no class."""
    tree = parse(job.tests) if isinstance(job.tests, str) else None
    classes = [node for node in (tree.body if tree else ()) if isinstance(node, ast.ClassDef)]
    if tree is None or not classes:
        return None
    tree.body = [node for node in tree.body if node not in classes]
    shared = "\n".join(ast.unparse(node) for node in classes)
    return replace(job, program=f"{job.program}\n{shared}\n", tests=ast.unparse(tree))


def with_named_types(job: Job) -> Job | None:
    """The job whose tests ask the program for `int`, `str` ... where they hand it a type. None when they hand it none."""
    tree = parse(job.tests) if isinstance(job.tests, str) else None
    found: set[str] = set()
    for node in ast.walk(tree) if tree else ():
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in (job.entry_point, "candidate")
        ):
            found |= {arg.id for arg in node.args if isinstance(arg, ast.Name) and arg.id in _TYPES}
            node.args = [_asked(arg) for arg in node.args]
    if tree is None or not found:
        return None
    named = "\n".join(f"def {_PREFIX}{name}():\n    return {name}" for name in sorted(found))
    return replace(
        job, program=f"{job.program}\n{named}\n", tests=ast.unparse(ast.fix_missing_locations(tree))
    )


def _asked(arg: ast.expr) -> ast.expr:
    if isinstance(arg, ast.Name) and arg.id in _TYPES:
        return ast.Call(func=ast.Name(id=_PREFIX + arg.id, ctx=ast.Load()), args=[], keywords=[])
    return arg
