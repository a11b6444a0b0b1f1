"""Tests that are Python source, executed in the test runner; the names that they do not define come from the program.

Only for tests that `reading` finds to be calls with plain values and comparisons of plain values. Modules and comparisons are
always the test runner's own. Invariant: whatever the tests raise is a fail with its line.

    run(connection, job, names, ["assert f(1) == 2"], each=False)
"""

import ast
import builtins
import math
import types
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from evoltune.sandbox import reading
from evoltune.sandbox.limits import Outcome
from evoltune.sandbox.proxies import NeedsSameProcess, Proxy, SolutionConnection, SolutionExited
from evoltune.sandbox.same_process.expectations import without_stop
from evoltune.sandbox.trees import walk

_FILE = "<tests>"

_JUDGES: dict[str, Any] = {"math": math, "isclose": math.isclose}
"""By these tests judge, also where they leave it to the program to import them."""

_CALLING: dict[str, Any] = {
    "map": lambda function, *items: map(without_stop(function) if isinstance(function, Proxy) else function, *items),
    "filter": lambda function, items: filter(
        without_stop(function) if isinstance(function, Proxy) else function, items
    ),
}
"""A StopIteration of the function that they call would be the end of its arguments. They are no types: not for `isinstance`."""

Names = list[list[str]]
"""[name, "call" or "value"] of each name that the program defines (`solution_process`)."""


def run(connection: SolutionConnection, job: dict[str, Any], names: Names, sources: list[str], each: bool) -> Outcome:
    """Runs the sources in order, in one namespace, up to the first that does not pass; with `each` all of them. Raises
    SolutionExited and NeedsSameProcess."""
    passed: list[int] = []
    first: Outcome | None = None
    space: dict[str, Any] = {"__name__": "__main__"}
    meanings = reading.own_meanings(sources, job["program"], job["entry"])
    for number, source in enumerate(sources):
        outcome = _run_source(connection, job, names, source, space, meanings)
        passed.append(int(outcome.status == "pass"))
        if outcome.status == "pass":
            continue
        if len(sources) > 1:
            outcome.evidence["case"] = number
        first = first or outcome
        if not each or outcome.status == "error":
            break
    evidence: dict[str, Any] = {"passed": passed} if each else {}
    if first:
        return first._replace(evidence={**evidence, **first.evidence})
    if not connection.calls:
        return Outcome("unverifiable", "the tests never call the program", evidence)
    return Outcome("pass", "", evidence) if sources else Outcome("error", "no tests", {})


def missing_entry_point(entry: str, names: Names) -> Outcome | None:
    """The failure of a program that does not define the function under test; else None."""
    kinds = dict(names)
    if kinds.get(entry) != "call":
        return Outcome("fail", f"no function {entry!r} in the program", {"defined": sorted(kinds)[:20]})
    return None


def _run_source(
    connection: SolutionConnection,
    job: dict[str, Any],
    names: Names,
    source: str,
    space: dict[str, Any],
    meanings: set[str],
) -> Outcome:
    try:
        code, functions = _compiled(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Outcome("error", f"the tests do not compile: {type(error).__name__}: {error}"[:300], {})
    entry = job["entry"]
    if "check" in functions and (missing := missing_entry_point(entry, names)):
        return missing
    try:
        _add_names(space, connection, names, {*_loaded_names(code)} - {*space}, meanings, entry)
        exec(code, space)  # noqa: S102 - the test runner is sandboxed too
        for name in functions:
            space[name](*([Proxy(connection, {"n": entry})] if name == "check" else []))
    except (SolutionExited, NeedsSameProcess):
        raise
    except BaseException as error:  # noqa: BLE001 - tests may raise anything
        return _failed(connection, error, source)
    if connection.dead:
        raise SolutionExited
    return Outcome("pass", "", {})


@lru_cache(maxsize=64)  # a shared test runner meets the tests of a task once for each of its samples
def _compiled(source: str) -> tuple[types.CodeType, tuple[str, ...]]:
    """Code, and the functions to call after it: those that the source does not call itself. A syntax tree only where a
    function could be called: building one takes longer than most programs run."""
    code = compile(source, _FILE, "exec")
    functions = []
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            name, arguments = constant.co_name, constant.co_argcount
            if (name == "check" and arguments == 1) or (name.startswith("test") and arguments == 0):
                functions.append(name)
    if any(source.count(f"{name}(") > 1 for name in functions):
        tree = ast.parse(source)
        called = {
            getattr(n.func, "id", "")
            for s in tree.body
            if isinstance(s, ast.Expr)
            for n in walk(s)
            if isinstance(n, ast.Call)
        }
        functions = [name for name in functions if name not in called]
    return code, (*functions,)


def _loaded_names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _loaded_names(constant)


def _add_names(
    space: dict[str, Any],
    connection: SolutionConnection,
    names: Names,
    wanted: set[str],
    meanings: set[str],
    entry: str,
) -> None:
    """Binds what the tests name and do not define."""
    judges = _JUDGES if "isinstance" in wanted else {**_JUDGES, **_CALLING}
    space |= {name: value for name, value in judges.items() if name in wanted and name != entry}
    for name, kind in names:
        if (
            name not in wanted
            or (hasattr(builtins, name) and name not in meanings)
            or (name in space and name != entry)
        ):
            continue
        if kind == "call":
            space[name] = Proxy(connection, {"n": name})
        else:
            space[name] = connection.perform("value", {"n": name})


def _failed(connection: SolutionConnection, error: BaseException, source: str) -> Outcome:
    line, trace = 0, error.__traceback__
    while trace:
        line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == _FILE else line
        trace = trace.tb_next
    lines = source.splitlines()
    test = lines[line - 1].strip()[:500] if 0 < line <= len(lines) else ""
    kind = type(error).__name__
    dead, connection.dead = connection.dead, True  # a repr must not ask the solution process
    try:
        text = str(error)[:300]
        results = connection.last_call if kind == "AssertionError" else []
        got = "".join(f" (last call gave {repr(result)[:200]})" for result in results)
    except BaseException:  # noqa: BLE001 - a proxy inside
        text = got = ""
    connection.dead = dead
    if kind == "AssertionError":
        reason = f"failed: {test}{': ' + text if text else ''}{got}"
        return Outcome("fail", reason, {"test": test, "line": line})
    return Outcome("fail", f"{kind}: {text} in: {test}", {"test": test, "line": line, "exception": kind})
