"""The forms that tests take, each as one function (link, tests, job) -> (status, reason, evidence). Runs in the judge.

Which form is which: see `evoltune.sandbox`. Invariant: only values compared here decide; an exception is a fail with
its place, never an escape.
"""

from __future__ import annotations

import builtins
import importlib
import json
import re
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

from evoltune.sandbox import limits, remote, values

Result = tuple[str, str, dict[str, Any]]
_OWN_MODULES = sys.stdlib_module_names | {"numpy", "sympy", "pandas", "scipy", "pytest", "typing_extensions"}
_ALIASES = {"np": "numpy", "pd": "pandas", "sp": "sympy"}
_COMPARISONS = frozenset({"isclose", "allclose", "array_equal", "approx", "assert_allclose", "raises"})


def judge(link: remote.Link, tests: Any, job: dict[str, Any], language: str) -> Result:
    """The verdict of one candidate on one set of tests. Raises remote.Dead when the candidate is gone."""
    if language != "python":
        from evoltune.sandbox import languages

        return languages.judge(link, tests, job, language)
    if tests is None:
        return _script(link, job)
    if isinstance(tests, dict) and "stdio" in tests:
        return stdio(link, tests, lambda text: ["script", job["program"], text])
    sources = _sources(tests)
    if sources is not None:
        return _load(
            link, job, lambda names: _run_sources(link, job, names, sources, isinstance(tests, dict))
        )
    if isinstance(tests, dict) and "cases" in tests:
        return _load(link, job, lambda names: _cases(link, job, names, tests))
    if isinstance(tests, dict) and ("probe" in tests or "results" in tests):
        return _load(link, job, lambda names: _probe(link, job, names, tests))
    return "error", f"tests of an unknown form: {type(tests).__name__} {str(tests)[:80]!r}", {}


def _sources(tests: Any) -> list[str] | None:
    found = tests.get("each") if isinstance(tests, dict) else [tests] if isinstance(tests, str) else tests
    return found if isinstance(found, list) and all(isinstance(t, str) for t in found) else None


# ---- the program as a module that is called


def _load(link: remote.Link, job: dict[str, Any], then: Callable[[list[list[str]]], Result]) -> Result:
    reply = link.ask(["load", job["program"]])
    if reply[0] == "ready":
        return then(reply[1])
    _, names, text, line = reply
    if names[0] == "SystemExit":
        return "fail", "the program exited before the tests", {"exception": "SystemExit"}
    place = f" on line {line}" if line else ""
    if names[0] == "SyntaxError":
        return "fail", f"syntax error{place}: {text}", {"exception": "SyntaxError", "line": line}
    return (
        "fail",
        f"loading raised {names[0]}{place}: {text[:300]}",
        {"exception": str(names[0]), "line": line},
    )


def _entry(link: remote.Link, job: dict[str, Any], names: list[list[str]]) -> remote.Remote | Result:
    entry = job["entry"]
    kinds = {name: kind for name, kind, _ in names}
    if kinds.get(entry, "value") in ("value", "module"):
        return "fail", f"no function {entry!r} in the program", {"defined": sorted(kinds)[:20]}
    return remote.Remote(link, {"n": entry}, "")


def _bind(link: remote.Link, names: list[list[str]], wanted: set[str], entry: str) -> dict[str, Any]:
    """The tests' global names that come from the program. Modules and comparisons are the judge's own."""
    space: dict[str, Any] = {"__name__": "tests"}
    for name in wanted & ({*_OWN_MODULES} | {*_ALIASES}):
        if (module := _module(_ALIASES.get(name, name))) is not None:
            space[name] = module
    remote.Remote.named = frozenset(
        n for n, kind, _ in names if kind == "class" and n in wanted and n != entry
    )
    for name, kind, detail in names:
        if name not in wanted or name in space or name in _COMPARISONS or hasattr(builtins, name):
            continue
        if kind == "value":
            space[name] = link.do("value", {"n": name})
        elif kind == "exception":
            base = getattr(builtins, str(detail), Exception)
            base = base if isinstance(base, type) and issubclass(base, Exception) else Exception
            space[name] = link.exceptions[name] = type(name, (base,), {})
        elif kind in ("import", "module") and (own := _own(str(detail))) is not None:
            if link.shared:
                link.refused = True
                raise remote.Dead("a judge who stays lends nothing of its own")
            space[name] = own
        elif kind in ("call", "class") or (kind == "import" and name == entry):
            space[name] = remote.Remote(link, {"n": name}, "")
    for name in wanted & _COMPARISONS:
        home = {"isclose": "math", "approx": "pytest", "raises": "pytest"}.get(name, "numpy")
        if (module := _module(home)) is not None:
            space[name] = getattr(module, name)
    return space


def _module(name: str) -> Any:
    if name.partition(".")[0] not in _OWN_MODULES:
        return None
    try:
        return importlib.import_module(name)
    except Exception:  # noqa: BLE001 - a module that this host lacks is a missing name
        return None


def _own(detail: str) -> Any:
    """What a name of a library means here: the judge imports it itself."""
    module, _, path = detail.partition(":")
    found = _module(module)
    for part in path.split(".") if path and found is not None else ():
        found = getattr(found, part, None)
    return found


def _loaded_names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _loaded_names(constant)


def _compiled(source: str) -> tuple[types.CodeType, list[str], bool]:
    """Code, the functions to call after it, and whether the source calls check itself. No syntax tree: building one
    takes longer than most programs run."""
    code = compile(source, "<tests>", "exec", dont_inherit=True)
    functions = []
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            name, arguments = constant.co_name, constant.co_argcount
            if (name == "check" and arguments == 1) or (name.startswith("test") and arguments == 0):
                functions.append(name)
    called = any(re.search(rf"^{name}\(", source, re.MULTILINE) for name in functions)
    return code, functions, called


def _run_sources(
    link: remote.Link, job: dict[str, Any], names: list[list[str]], sources: list[str], each: bool
) -> Result:
    passed: list[int] = []
    first: Result | None = None
    for number, source in enumerate(sources):
        result = _run_source(link, job, names, source)
        passed.append(int(result[0] == "pass"))
        if result[0] != "pass":
            if len(sources) > 1:
                result[2]["case"] = number
            first = first or result
            if not each or result[0] == "error":
                break
    evidence: dict[str, Any] = {"passed": passed} if each else {}
    if first:
        return first[0], first[1], {**evidence, **first[2]}
    return ("pass", "", evidence) if sources else ("error", "no tests", {})


def _run_source(link: remote.Link, job: dict[str, Any], names: list[list[str]], source: str) -> Result:
    try:
        code, functions, called = _compiled(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return "error", f"the tests do not compile: {type(error).__name__}: {error}"[:300], {}
    entry = job["entry"]
    wanted = {*_loaded_names(code)}
    if "check" in functions and not called and isinstance(found := _entry(link, job, names), tuple):
        return found
    try:
        space = _bind(link, names, wanted, entry)
        exec(code, space)  # noqa: S102 - the judge wears the sandbox too
        for name in [] if called else functions:
            space[name](*([remote.Remote(link, {"n": entry}, "")] if name == "check" else []))
    except remote.Dead:
        raise
    except BaseException as error:  # noqa: BLE001 - tests may raise anything
        return _failed(link, error, source)
    if link.dead:
        raise remote.Dead
    return "pass", "", {}


def _failed(link: remote.Link, error: BaseException, source: str) -> Result:
    line, trace = 0, error.__traceback__
    while trace:
        line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == "<tests>" else line
        trace = trace.tb_next
    lines = source.splitlines()
    test = lines[line - 1].strip()[:500] if 0 < line <= len(lines) else ""
    dead, link.dead = link.dead, True  # a repr must not ask the candidate
    kind = type(error).__name__
    try:
        said = str(error)[:300]
        got = (
            f" (last call gave {repr(link.last[1])[:200]})"
            if link.last[0] and kind == "AssertionError"
            else ""
        )
    except BaseException:  # noqa: BLE001 - a stand-in inside
        said, got = "", ""
    link.dead = dead
    if kind == "AssertionError":
        return "fail", f"failed: {test}{': ' + said if said else ''}{got}", {"test": test, "line": line}
    return "fail", f"{kind}: {said} in: {test}", {"test": test, "line": line, "exception": kind}


# ---- calls with values


def _values(link: remote.Link, job: dict[str, Any], cases: Any) -> Iterator[tuple[Any, Any]]:
    """For each tagged list of arguments ("value", result) or ("raise", exception)."""
    target = {"n": job["entry"]}
    for args in cases:
        try:
            yield "value", link.do("call", target, *values.decode(args))
        except Exception as error:  # noqa: BLE001 - whatever the program raised
            yield "raise", error


def _cases(link: remote.Link, job: dict[str, Any], names: list[list[str]], tests: dict[str, Any]) -> Result:
    if isinstance(found := _entry(link, job, names), tuple):
        return found
    atol = float(tests.get("atol") or 0.0)
    results = _values(link, job, (case[0] for case in tests["cases"]))
    for number, ((args, expected), (kind, got)) in enumerate(zip(tests["cases"], results, strict=True)):
        evidence = {"case": number, "test": f"{job['entry']}(*{_short(values.decode(args))})"}
        if kind == "raise":
            name = type(got).__name__
            return "fail", f"case {number}: {name}: {str(got)[:200]}", {**evidence, "exception": name}
        if not values.same(got, values.decode(expected), atol):
            return (
                "fail",
                f"case {number}: got {_short(got)}, expected {_short(values.decode(expected))}",
                evidence,
            )
    return ("pass", "", {}) if tests["cases"] else ("error", "no cases", {})


def _short(value: Any) -> str:
    try:
        return "an object" if isinstance(value, remote.Remote) else repr(value)[:200]
    except (ValueError, RecursionError):
        return f"a {type(value).__name__}"


def _probe(link: remote.Link, job: dict[str, Any], names: list[list[str]], tests: dict[str, Any]) -> Result:
    if isinstance(found := _entry(link, job, names), tuple):
        return found
    import hashlib

    whole = "results" in tests  # an oracle's values, for `cases`
    results: list[Any] = []
    for kind, got in _values(link, job, tests["results" if whole else "probe"]):
        if kind == "raise" and whole:
            return "error", f"the oracle raised {type(got).__name__}: {str(got)[:200]}", {}
        try:
            form = values.encode(got) if kind == "value" else None
        except values.UnencodableError:
            form, kind = None, "object"
        text = json.dumps(form) if kind == "value" else f"{kind} {type(got).__name__}"
        short = text if len(text) <= 200 else text[:100] + hashlib.sha256(text.encode()).hexdigest()
        results.append(form if whole else short)
    return "pass", "", {"results": results}


# ---- whole programs


def _script(link: remote.Link, job: dict[str, Any]) -> Result:
    return finished(link, link.ask(["script", job["program"], job["stdin"]]))


def finished(link: remote.Link, reply: list[Any]) -> Result:
    """The verdict on a program that just runs."""
    output = link.drain().decode("utf-8", "replace")
    evidence = {"stdout": output, "ended": True, "cpu_s": float(reply[2]), "peak_kb": int(reply[3])}
    status, reason = outcome(int(reply[1]))
    return status, reason and f"{reason}: {output[-300:].strip()}" if status == "fail" else reason, evidence


def outcome(code: int) -> tuple[str, str]:
    """Status and reason from an exit status, or minus the signal."""
    if code == 0:
        return "pass", ""
    if code == limits.EXIT_MEMORY:
        return "memory", "the program ran out of memory"
    if code in (-27, -24):
        return "timeout", "out of CPU time"
    return "fail", f"exit status {code}" if code > 0 else f"ended by signal {-code}"


def stdio(link: remote.Link, tests: dict[str, Any], request: Callable[[str], list[Any]]) -> Result:
    """One fresh process per [input, expected output]."""
    link.keep = remote.MAX_OUTPUT
    atol = float(tests.get("atol") or 0.0)
    evidence: dict[str, Any] = {"ended": True, "cpu_s": 0.0, "peak_kb": 0}
    for number, (given, expected) in enumerate(tests["stdio"]):
        link.out.clear()
        link.dropped = 0
        reply = link.ask(request(str(given)))
        got = link.drain().decode("utf-8", "replace")
        evidence["cpu_s"], evidence["peak_kb"] = (
            max(evidence["cpu_s"], float(reply[2])),
            max(evidence["peak_kb"], int(reply[3])),
        )
        status, reason = outcome(int(reply[1]))
        if status == "pass" and (link.dropped or not _same_text(got, str(expected), atol)):
            status, reason = "fail", f"printed {got[:200]!r}, expected {str(expected)[:200]!r}"
        if status != "pass":
            return status, f"case {number}: {reason}", {**evidence, "case": number, "stdout": got[-2000:]}
    return ("pass", "", evidence) if tests["stdio"] else ("error", "no cases", {})


def _same_text(got: str, expected: str, atol: float) -> bool:
    a, b = ([line.rstrip() for line in text.strip().splitlines()] for text in (got, expected))
    if a == b or not atol:
        return a == b
    x, y = (" ".join(lines).split() for lines in (a, b))
    return len(x) == len(y) and all(p == q or _near(p, q, atol) for p, q in zip(x, y, strict=True))


def _near(a: str, b: str, atol: float) -> bool:
    try:
        return values.same(float(a), float(b), atol)
    except ValueError:
        return False
