"""The forms that tests take, and the function that runs each of them in the test runner (`evoltune.sandbox` lists them).

Invariant: only values compared here decide; an exception is a fail with its place, never an escape.

    run(connection, {"program": ..., "tests": {"cases": [[[1], 2]]}, "entry": "f", "stdin": "", "language": "python"})
"""

from collections.abc import Iterator
from typing import Any

from evoltune.sandbox import output_tests, source_tests, values, wire
from evoltune.sandbox.outcome import Outcome
from evoltune.sandbox.proxies import Proxy, SolutionConnection


def run(connection: SolutionConnection, job: dict[str, Any]) -> Outcome:
    """The outcome of one program on one set of tests. Raises SolutionExited when the solution process is gone."""
    tests = job["tests"]
    if job["language"] != "python" or tests is None or (isinstance(tests, dict) and "stdio" in tests):
        return output_tests.run(connection, job)
    sources = tests.get("each") if isinstance(tests, dict) else [tests] if isinstance(tests, str) else tests
    names = _load(connection, job["program"])
    if isinstance(names, Outcome):
        return names
    if sources is not None:
        return source_tests.run(connection, job, names, sources, each=isinstance(tests, dict))
    if missing := source_tests.missing_entry_point(job["entry"], names):
        return missing
    if "cases" in tests:
        return _compare_results(connection, job["entry"], tests)
    if "results" in tests:
        return _results(connection, job["entry"], tests["results"])
    return _behaviour(connection, job["entry"], tests["probe"])


def _load(connection: SolutionConnection, program: str) -> source_tests.Names | Outcome:
    """The names that the program defines; or the outcome where loading it fails."""
    kind, names, *rest = connection.ask(["load", program])
    if kind == "ready":
        return list(names)
    text, line = rest
    if names[0] == "SystemExit":
        return Outcome("fail", "the program exited before the tests", {"exception": "SystemExit"})
    place = f" on line {line}" if line else ""
    evidence = {"exception": str(names[0]), "line": line}
    if names[0] == "SyntaxError":
        return Outcome("fail", f"syntax error{place}: {text}", evidence)
    return Outcome("fail", f"loading raised {names[0]}{place}: {text[:300]}", evidence)


def _calls(connection: SolutionConnection, entry: str, cases: Any) -> Iterator[tuple[str, Any]]:
    """For each tagged list of arguments ("value", result) or ("raise", exception)."""
    for args in cases:
        try:
            yield "value", connection.perform("call", {"n": entry}, *values.decode(args))
        except Exception as error:  # noqa: BLE001 - whatever the program raised
            yield "raise", error


def _compare_results(connection: SolutionConnection, entry: str, tests: dict[str, Any]) -> Outcome:
    """Calls with arguments, compared with expected values, until one differs."""
    atol = float(tests.get("atol") or 0.0)
    results = _calls(connection, entry, (case[0] for case in tests["cases"]))
    for number, ((args, expected), (kind, got)) in enumerate(zip(tests["cases"], results, strict=True)):
        evidence = {"case": number, "test": f"{entry}(*{_short(values.decode(args))})"}
        if kind == "raise":
            name = type(got).__name__
            evidence["exception"] = name
            return Outcome("fail", f"case {number}: {name}: {str(got)[:200]}", evidence)
        wanted = values.decode(expected)
        if not values.same(got, wanted, atol):
            return Outcome("fail", f"case {number}: got {_short(got)}, expected {_short(wanted)}", evidence)
    return Outcome("pass", "", {}) if tests["cases"] else Outcome("error", "no cases", {})


def _short(value: Any) -> str:
    try:
        return "an object" if isinstance(value, Proxy) else repr(value)[:200]
    except (ValueError, RecursionError):
        return f"a {type(value).__name__}"


def _results(connection: SolutionConnection, entry: str, cases: Any) -> Outcome:
    """What an oracle returns for each list of arguments, as values for `cases`; null where it is no plain value."""
    results: list[Any] = []
    for kind, got in _calls(connection, entry, cases):
        if kind == "raise":
            return Outcome("error", f"the oracle raised {type(got).__name__}: {str(got)[:200]}", {})
        try:
            results.append(values.encode(got))
        except values.UnencodableError:
            results.append(None)
    return Outcome("pass", "", {"results": results})


def _sha256(text: str) -> str:
    import hashlib  # late: it would bring OpenSSL into every fork

    return hashlib.sha256(text.encode()).hexdigest()


def _behaviour(connection: SolutionConnection, entry: str, cases: Any) -> Outcome:
    """A string for each call; equal strings mean equal results. Long ones end in a hash."""
    results: list[str] = []
    for kind, got in _calls(connection, entry, cases):
        try:
            text = wire.encode(values.encode(got)) if kind == "value" else f"raise {type(got).__name__}"
        except values.UnencodableError:
            text = f"object {type(got).__name__}"
        results.append(text if len(text) <= 200 else text[:100] + _sha256(text))
    return Outcome("pass", "", {"results": results})
