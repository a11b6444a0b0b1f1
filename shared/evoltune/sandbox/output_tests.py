"""Tests of whole programs, compared by what they print; Python and the languages of `languages.LANGUAGES`.

Invariant: output is compared here, in the test runner; each case meets a fresh process.

    run(connection, {"program": "print(2 * int(input()))", "tests": {"stdio": [["4", "8"]]}, "language": "python", "stdin": ""})
"""

from collections.abc import Callable
from typing import Any

from evoltune.sandbox import languages, limits, values
from evoltune.sandbox.outcome import OUT_OF_CPU, Outcome, of_exit_status
from evoltune.sandbox.proxies import MAX_OUTPUT, SolutionConnection

Request = Callable[[str], list[Any]]
"""From the text on standard input to the request that runs the program once."""


def run(connection: SolutionConnection, job: dict[str, Any]) -> Outcome:
    """Builds the program where its language asks for it, then runs it: for each [input, output], or once."""
    if job["language"] == "python":
        return _run(connection, job, lambda text: ["script", job["program"], text])
    name = languages.ALIASES.get(job["language"], job["language"])
    own_tests = _source(job["tests"])
    program = f"{job['program']}\n{own_tests}\n" if own_tests else job["program"]
    built, *code = connection.ask(["build", name, program])
    if built != "built":
        output = connection.drain().decode("utf-8", "replace")
        status = "memory" if code[0] == limits.EXIT_MEMORY else "timeout" if code[0] in OUT_OF_CPU else "fail"
        evidence = {"ended": True, "stdout": output[-2000:]}
        return Outcome(status, f"does not compile: {output[-600:].strip()}", evidence)
    outcome = _run(connection, job, lambda text: ["exec", name, text])
    if own_tests:
        outcome.evidence["judge"] = "same process"
    return outcome


def _source(tests: Any) -> str:
    """Tests written in the program's own language."""
    if isinstance(tests, list):
        return "\n".join(t for t in tests if isinstance(t, str))
    return tests if isinstance(tests, str) else ""


def _run(connection: SolutionConnection, job: dict[str, Any], request: Request) -> Outcome:
    if isinstance(job["tests"], dict) and "stdio" in job["tests"]:
        return _compare_outputs(connection, job["tests"], request)
    _, code, cpu_s, peak_kb = connection.ask(request(job["stdin"]))
    output = connection.drain().decode("utf-8", "replace")
    status, reason, _ = of_exit_status(int(code))
    if status == "fail":
        reason = f"{reason}: {output[-300:].strip()}"
    evidence = {"stdout": output, "ended": True, "cpu_s": float(cpu_s), "peak_kb": int(peak_kb)}
    return Outcome(status, reason, evidence)


def _compare_outputs(connection: SolutionConnection, tests: dict[str, Any], request: Request) -> Outcome:
    """One fresh process per [input, expected output], until one differs."""
    connection.kept_output = MAX_OUTPUT
    atol = float(tests.get("atol") or 0.0)
    evidence: dict[str, Any] = {"ended": True, "cpu_s": 0.0, "peak_kb": 0}
    for number, (given, expected) in enumerate(tests["stdio"]):
        connection.output.clear()
        connection.dropped_output = 0
        _, code, cpu_s, peak_kb = connection.ask(request(str(given)))
        got = connection.drain().decode("utf-8", "replace")
        evidence["cpu_s"] = max(evidence["cpu_s"], float(cpu_s))
        evidence["peak_kb"] = max(evidence["peak_kb"], int(peak_kb))
        status, reason, _ = of_exit_status(int(code))
        if status == "pass" and (connection.dropped_output or not _same_text(got, str(expected), atol)):
            status, reason = "fail", f"printed {got[:200]!r}, expected {str(expected)[:200]!r}"
        if status != "pass":
            evidence |= {"case": number, "stdout": got[-2000:]}
            return Outcome(status, f"case {number}: {reason}", evidence)
    return Outcome("pass", "", evidence) if tests["stdio"] else Outcome("error", "no cases", {})


def _same_text(got: str, expected: str, atol: float) -> bool:
    """Equal by lines without trailing blanks; with `atol` by tokens, numbers within it."""
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
