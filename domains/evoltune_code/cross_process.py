"""Adapts tests that share more than plain data with the program: their own classes, built-in types, names of modules.

Tests run in another process than the program, and there `sum` and `trace` mean Python's own. Each function here turns a
job into one that means the same in both processes:

    adapted(job, verdict.reason)    # QuixBugs passes its own Node objects; MBPP/533 passes the type int

Invariant: what is compared stays in the tests; only definitions and names move into the program.
"""

import ast
import builtins
import re
import sys
from dataclasses import replace

from evoltune.domain import Job
from evoltune.record import Json
from evoltune_code.syntax import calls_by_name, parse

_TAKEN = frozenset({*dir(builtins), *sys.stdlib_module_names})
_TYPES = frozenset("int float str bool list tuple dict set complex bytes".split())
_PREFIX = "_of_program_"


def with_own_name(job: Job) -> Job:
    """Renames an entry point that is called like a built-in or a module: MBPP/126 defines `sum`."""
    name = job.entry_point
    if name not in _TAKEN or not isinstance(job.tests, str | list):
        return job
    pattern, own = re.compile(rf"(?<![\w.]){name}\b(?!\s*=[^=])"), _PREFIX + name
    sources = [job.tests] if isinstance(job.tests, str) else job.tests
    renamed: list[Json] = [pattern.sub(own, str(source)) for source in sources]
    tests = renamed[0] if isinstance(job.tests, str) else renamed
    return replace(job, program=f"{job.program}\n{own} = {name}\n", tests=tests, entry_point=own)


def adapted(job: Job, reason: str) -> Job | None:
    """The job for a second run after a failure whose reason says that a value could not cross; else None."""
    if "not plain data" in reason:
        return with_shared_classes(job)
    if "must be a type" in reason:
        return with_named_types(job)
    return None


def with_shared_classes(job: Job) -> Job | None:
    """Moves the classes of the tests to the end of the program, so that both sides mean the same class. None when the
    tests define no class."""
    tree = parse(job.tests) if isinstance(job.tests, str) else None
    classes = [node for node in (tree.body if tree else ()) if isinstance(node, ast.ClassDef)]
    if tree is None or not classes:
        return None
    tree.body = [node for node in tree.body if node not in classes]
    shared = "\n".join(ast.unparse(node) for node in classes)
    return replace(job, program=f"{job.program}\n{shared}\n", tests=ast.unparse(tree))


def with_named_types(job: Job) -> Job | None:
    """Lets the tests ask the program for `int`, `str` ... where they pass it a type. None where they pass none."""
    tree = parse(job.tests) if isinstance(job.tests, str) else None
    found: set[str] = set()
    for name, call in calls_by_name(tree):
        if name in (job.entry_point, "candidate"):
            found |= {arg.id for arg in call.args if isinstance(arg, ast.Name) and arg.id in _TYPES}
            call.args = [_from_program(arg) for arg in call.args]
    if tree is None or not found:
        return None
    named = "\n".join(f"def {_PREFIX}{name}():\n    return {name}" for name in sorted(found))
    tests = ast.unparse(ast.fix_missing_locations(tree))
    return replace(job, program=f"{job.program}\n{named}\n", tests=tests)


def _from_program(arg: ast.expr) -> ast.expr:
    if isinstance(arg, ast.Name) and arg.id in _TYPES:
        return ast.Call(func=ast.Name(id=_PREFIX + arg.id, ctx=ast.Load()), args=[], keywords=[])
    return arg
