"""The forms that tests take, and the function that runs each of them in the test runner (`evoltune.sandbox` lists them).

Invariant: only values and outputs compared here decide; an exception is a fail with its place, never an escape; each program
that is judged by its output meets a fresh process.

    run(connection, {"program": ..., "tests": {"cases": [[[1], 2]]}, "entry": "f", "stdin": "", "language": "python"})
    run(connection, {"program": "print(input())", "tests": {"stdio": [["4", "4"]]}, "language": "python", "stdin": ""})
"""

import os
import re
from _blake2 import blake2b
from typing import Any

from evoltune.record import STATUSES
from evoltune.sandbox import programs, reading, source_tests, values, whole_programs, wire
from evoltune.sandbox.limits import Outcome
from evoltune.sandbox.proxies import NeedsSameProcess, Proxy, SolutionConnection

_LIBRARY_IMPORT = re.compile(r"^\s*(?:import|from) (numpy|pandas|scipy|sympy)", re.M)


def run(connection: SolutionConnection, job: dict[str, Any]) -> Outcome:
    """The outcome of one program on one set of tests. Raises SolutionExited when the solution process is gone."""
    if "prepared" in job:
        return same_process(connection, job)
    tests = job["tests"]
    if job["language"] != "python" or tests is None or (isinstance(tests, dict) and "stdio" in tests):
        return whole_programs.run(connection, job)
    sources = tests.get("each") if isinstance(tests, dict) else [tests] if isinstance(tests, str) else tests
    names = _load(connection, job["program"], exact=sources is not None)
    if isinstance(names, Outcome):
        return names
    if sources is not None:
        return source_tests.run(connection, job, names, sources, each=isinstance(tests, dict))
    if missing := source_tests.missing_entry_point(job["entry"], names):
        return missing
    if "cases" in tests:
        return _compare_results(connection, job["entry"], tests)
    if "results" in tests:
        return _results(connection, job["entry"], tests)
    return _behaviour(connection, job["entry"], tests["probe"])


def _load(connection: SolutionConnection, program: str, exact: bool) -> source_tests.Names | Outcome:
    """The names that the program defines; or the outcome where loading it fails."""
    kind, names, *rest = connection.ask(["load", program, exact, programs.expects_more(program)])
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


def same_process(connection: SolutionConnection, job: dict[str, Any]) -> Outcome:
    """The outcome of tests that run in the program's own process. It counts only if the reply carries the secret key of the
    request, hashed once for each assertion that the reply reports: a program that forges a reply does not know it."""
    from binascii import a2b_base64  # late: every fork would hold its mappings

    key = os.urandom(16)
    request = {
        "key": key, "program": job["program"], "entry": job["entry"], "each": job["each"], "tests": a2b_base64(job["prepared"]),
        "libraries": _LIBRARY_IMPORT.findall(job["program"]), "apart": job.get("apart", False),
    }  # fmt: skip
    repeated, steps, (status, reason, evidence) = connection.ask(
        ["judge", request, programs.expects_more(job["program"])]
    )
    for _ in range(min(int(steps), reading.MAX_STEPS)):
        key = blake2b(key, digest_size=16).digest()
    well_formed = status in STATUSES and isinstance(reason, str) and isinstance(evidence, dict)
    if repeated != key.hex() or not well_formed:
        return Outcome("fail", "the program reported a verdict of its own", {})
    return Outcome(status, reason, evidence)


def _compare_results(connection: SolutionConnection, entry: str, tests: dict[str, Any]) -> Outcome:
    """Calls with arguments, compared with expected values, until one differs. Cases whose result is known by its digest alone
    and has another one are listed in `evidence["differs"]`: they may be equal still (floats, sets), so the dispatcher has
    them compared as values."""
    digests, differs, outcome = tests.get("digests") or {}, [], Outcome("pass", "", {})
    cases = tests["cases"]
    replies = connection.replies(entry, [case[0] for case in cases], whole="digests" not in tests)
    for number, (args, *accepted), reply in zip(tests.get("numbers") or range(len(cases)), cases, replies, strict=True):
        if known := digests.get(str(number)):
            if _digest_in(reply) != known:
                differs.append(number)
        elif _digest_in(reply):
            differs.append(number)
        elif reply != f'["ok", {wire.encode(accepted[0])}]':  # equal texts hold equal values
            outcome = _compare(connection, reply, accepted, tests)
        if outcome.status != "pass":
            outcome.evidence.update(case=number, test=f"{entry}(*{_short(values.decode(args))})")
            outcome = outcome._replace(reason=f"case {number}: {outcome.reason}")
            break
    if differs:
        outcome.evidence["differs"] = differs
    return outcome if cases else Outcome("error", "no cases", {})


def _compare(connection: SolutionConnection, reply: str, accepted: list[Any], tests: dict[str, Any]) -> Outcome:
    """Whether a reply holds one of the accepted results."""
    try:
        got = _reduced(connection.result(reply), tests.get("compare"))
    except Exception as error:  # noqa: BLE001 - whatever the program raised
        name = type(error).__name__
        return Outcome("fail", f"{name}: {str(error)[:200]}", {"exception": name})
    got = _as_lists(got) if tests.get("lists") else got
    wanted, atol = list(map(values.decode, accepted)), float(tests.get("atol") or 0.0)
    if any(_same_values(got, value, atol) for value in wanted):
        return Outcome("pass", "", {})
    return Outcome("fail", f"got {_short(got)}, expected {_short(wanted[0])}", {})


def _reduced(value: Any, compare: str | None) -> Any:
    """What is compared of a result: itself, its set of items, or whether there is one."""
    if compare == "found":
        return value if isinstance(value, bool) else value is not None
    return set(value) if compare == "set" else value


def _digest_in(reply: str) -> str:
    """The digest that a reply holds in place of a long result, else ""."""
    return str(wire.parse(reply)[1]) if reply.startswith('["digest"') else ""


def _as_lists(value: Any) -> Any:
    """The value with tuples as lists: what JSON makes of it."""
    if isinstance(value, tuple | list):
        return [_as_lists(item) for item in value]
    if isinstance(value, dict):
        return {key: _as_lists(item) for key, item in value.items()}
    return value


def _same_values(got: Any, wanted: Any, atol: float) -> bool:
    try:
        return values.same(got, wanted, atol)
    except NeedsSameProcess:  # an object of the program, which is no plain value
        return False


def _short(value: Any) -> str:
    try:
        return "an object" if isinstance(value, Proxy) else repr(value)[:200]
    except (ValueError, RecursionError, NeedsSameProcess):  # digits beyond the limit, depth, an object of the program
        return f"a {type(value).__name__}"


def _results(connection: SolutionConnection, entry: str, tests: dict[str, Any]) -> Outcome:
    """What an oracle returns for each list of arguments, as values for `cases`; null where it is no plain value. Of a long
    one only the digest where `tests["whole"]` is false."""
    results: list[Any] = []
    digests: dict[str, str] = {}
    replies = connection.replies(entry, tests["results"], whole=tests.get("whole", True))
    for number, reply in enumerate(replies):
        if digest := _digest_in(reply):
            digests[str(number)] = digest
            results.append(None)
            continue
        try:
            results.append(values.encode(_reduced(connection.result(reply), tests.get("compare"))))
        except (values.UnencodableError, NeedsSameProcess):
            results.append(None)
        except Exception as error:  # noqa: BLE001 - whatever the oracle raised
            return Outcome("error", f"the oracle raised {type(error).__name__}: {str(error)[:200]}", {})
    return Outcome("pass", "", {"results": results, "digests": digests})


def _behaviour(connection: SolutionConnection, entry: str, cases: Any) -> Outcome:
    """A string for each call; equal strings mean equal results. Long ones end in a hash."""
    results: list[str] = []
    for reply in connection.replies(entry, cases, whole=True):
        try:
            got = connection.result(reply)
        except Exception as error:  # noqa: BLE001 - whatever the program raised
            text = f"raise {type(error).__name__}"
        else:
            try:
                text = wire.encode(values.encode(got))
            except values.UnencodableError:
                text = f"object {type(got).__name__}"
        if len(text) > 200:
            import hashlib  # late: it would bring OpenSSL into every fork

            text = text[:100] + hashlib.sha256(text.encode()).hexdigest()
        results.append(text)
    return Outcome("pass", "", {"results": results})
