"""Tests that are Python source, executed in the test runner; the names that they do not define come from the program.

Modules and comparisons are always the test runner's own. Invariant: whatever the tests raise is a fail with its line.

    run(connection, job, names, ["assert f(1) == 2"], each=False)
"""

import builtins
import importlib
import re
import sys
import types
from collections.abc import Iterator
from typing import Any

from evoltune.sandbox.limits import Outcome
from evoltune.sandbox.proxies import Proxy, SolutionConnection, SolutionExited

LIBRARIES = frozenset({"numpy", "sympy", "pandas", "scipy", "pytest", "typing_extensions"})
MODULE_ALIASES = {"np": "numpy", "pd": "pandas", "sp": "sympy"}
TYPING_NAMES = frozenset("Any Callable Dict Iterable List Optional Sequence Set Tuple Union".split())
"""Names of `typing` that are of use only in annotations: also a shared test runner hands them out."""
_OWN_MODULES = sys.stdlib_module_names | LIBRARIES
_COMPARISONS = frozenset({"isclose", "allclose", "array_equal", "approx", "assert_allclose", "raises"})
_HOME_OF_COMPARISON = {"isclose": "math", "approx": "pytest", "raises": "pytest"}
_FILE = "<tests>"

Names = list[list[str]]
"""[name, kind, detail] of each name that the program defines (`solution_process`)."""


def run(connection: SolutionConnection, job: dict[str, Any], names: Names, sources: list[str], each: bool) -> Outcome:
    """Runs the sources in order, up to the first that does not pass; with `each` all of them. Raises SolutionExited."""
    passed: list[int] = []
    first: Outcome | None = None
    for number, source in enumerate(sources):
        outcome = _run_source(connection, job, names, source)
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
    return Outcome("pass", "", evidence) if sources else Outcome("error", "no tests", {})


def missing_entry_point(entry: str, names: Names) -> Outcome | None:
    """The failure of a program that does not define the function under test; else None."""
    kinds = {name: kind for name, kind, _ in names}
    if kinds.get(entry, "value") in ("value", "module"):
        return Outcome("fail", f"no function {entry!r} in the program", {"defined": sorted(kinds)[:20]})
    return None


def _run_source(connection: SolutionConnection, job: dict[str, Any], names: Names, source: str) -> Outcome:
    try:
        code, functions, called = _compiled(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Outcome("error", f"the tests do not compile: {type(error).__name__}: {error}"[:300], {})
    entry = job["entry"]
    if "check" in functions and not called and (missing := missing_entry_point(entry, names)):
        return missing
    try:
        space = _namespace(connection, names, {*_loaded_names(code)}, entry)
        exec(code, space)  # noqa: S102 - the test runner is sandboxed too
        for name in [] if called else functions:
            space[name](*([Proxy(connection, {"n": entry}, "")] if name == "check" else []))
    except SolutionExited:
        raise
    except BaseException as error:  # noqa: BLE001 - tests may raise anything
        return _failed(connection, error, source)
    if connection.dead:
        raise SolutionExited
    return Outcome("pass", "", {})


def _compiled(source: str) -> tuple[types.CodeType, list[str], bool]:
    """Code, the functions to call after it, and whether the source itself calls one of them. No syntax tree: building
    one takes longer than most programs run."""
    code = compile(source, _FILE, "exec", dont_inherit=True)
    functions = []
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            name, arguments = constant.co_name, constant.co_argcount
            if (name == "check" and arguments == 1) or (name.startswith("test") and arguments == 0):
                functions.append(name)
    called = any(re.search(rf"^{name}\(", source, re.MULTILINE) for name in functions)
    return code, functions, called


def _loaded_names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _loaded_names(constant)


def _namespace(connection: SolutionConnection, names: Names, wanted: set[str], entry: str) -> dict[str, Any]:
    """The tests' global names: modules and comparisons of the test runner's, the others from the program."""
    space: dict[str, Any] = {"__name__": "tests"}
    for name in wanted & ({*_OWN_MODULES} | {*MODULE_ALIASES}):
        if (module := _module(MODULE_ALIASES.get(name, name))) is not None:
            space[name] = module
    classes = {name for name, kind, _ in names if kind == "class"}
    Proxy.named = frozenset(classes & wanted - {entry})
    for name, kind, detail in names:
        if name not in wanted or name in space or name in _COMPARISONS or hasattr(builtins, name):
            continue
        if kind == "value":
            space[name] = connection.perform("value", {"n": name})
        elif kind == "exception":
            base = getattr(builtins, str(detail), Exception)
            base = base if isinstance(base, type) and issubclass(base, Exception) else Exception
            space[name] = connection.exceptions[name] = type(name, (base,), {})
        elif kind in ("import", "module") and (own := _own_object(str(detail))) is not None:
            if connection.shared and not (name in TYPING_NAMES and detail == f"typing:{name}"):
                connection.refused = True
                raise SolutionExited("a shared test runner hands out no object of its own")
            space[name] = own
        elif kind in ("call", "class") or (kind == "import" and name == entry):
            space[name] = Proxy(connection, {"n": name}, "")
    for name in wanted & _COMPARISONS:
        if (module := _module(_HOME_OF_COMPARISON.get(name, "numpy"))) is not None:
            space[name] = getattr(module, name)
    return space


def _module(name: str) -> Any:
    if name.partition(".")[0] not in _OWN_MODULES:
        return None
    try:
        return importlib.import_module(name)
    except Exception:  # noqa: BLE001 - a module that this host lacks is a missing name
        return None


def _own_object(detail: str) -> Any:
    """What a library's name means here: the test runner imports it itself. `detail` is "module:qualified.name"."""
    module, _, path = detail.partition(":")
    found = _module(module)
    for part in path.split(".") if path and found is not None else ():
        found = getattr(found, part, None)
    return found


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
