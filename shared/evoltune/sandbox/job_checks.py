"""What is wrong with a job before anything runs: its size, its language, the shape of its tests.

refusal(Job(program="", tests={"case": []})).reason    # "tests: unknown form ['case']: allowed: ..."
"""

from typing import Any

from evoltune.domain import Job
from evoltune.record import Verdict
from evoltune.sandbox import languages, values

MAX_PROGRAM = 4 << 20
"""Characters of a program."""
FORMS = ("each", "cases", "probe", "results", "stdio")
"""Keys of which tests in a dict must have one; "results" is the dispatcher's own, for oracles."""


def refusal(job: Job) -> Verdict | None:
    """The verdict of a job that cannot run; None when it can."""
    size = len(job.program)
    if size > MAX_PROGRAM:
        return Verdict(status="fail", reason=f"the program has {size} characters, allowed {MAX_PROGRAM}")
    if job.language != "python" and (why := languages.missing(job.language)):
        return Verdict(status="unverifiable", reason=why)
    try:
        wrong = _wrong_shape(job.tests)
    except RecursionError as error:
        wrong = f"nested too deep: {error}"
    return Verdict(status="error", reason=f"tests: {wrong}"[:300]) if wrong else None


def _wrong_shape(tests: Any) -> str:
    """What is wrong with the shape of the tests; empty when nothing is."""
    if tests is None or isinstance(tests, str):
        return ""
    if isinstance(tests, list):
        return "" if tests and all(isinstance(t, str) for t in tests) else "a list must hold sources of tests"
    if not isinstance(tests, dict):
        return f"a {type(tests).__name__}, must be source, a list of sources, or one of the forms in evoltune.sandbox"
    form = next((k for k in FORMS if k in tests), None)
    if form is None:
        return f"unknown form {sorted(map(str, tests))!r}: allowed: each, cases, probe, stdio"
    rows = tests[form]
    if not isinstance(rows, list) or not rows or not isinstance(tests.get("atol") or 0.0, int | float):
        return f"{form!r} must be a list that is not empty, atol a number"
    if form == "each":
        return "" if all(isinstance(t, str) for t in rows) else "'each' must hold sources of tests"
    if form == "stdio":
        pairs = all(isinstance(r, list | tuple) and len(r) == 2 for r in rows)
        return "" if pairs else "'stdio' must hold [input, output]"
    return _wrong_values(form, rows, has_oracle="oracle" in tests)


def _wrong_values(form: str, rows: list[Any], has_oracle: bool) -> str:
    """What is wrong with the tagged values of cases, or of the argument lists of probes."""
    width = 0 if form != "cases" else 1 if has_oracle else 2
    if width and not all(isinstance(r, list | tuple) and len(r) >= width for r in rows):
        return "'cases' must hold [args, expected], or [args] beside an oracle"
    try:
        arguments = [values.decode([r[0], *r[1:2]] if width else [r]) for r in rows]
    except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError) as error:
        return f"{form!r} holds what is no tagged value: {error}"
    lists = all(isinstance(a[0], list | tuple) for a in arguments)
    return "" if lists else f"{form!r}: the arguments must be a list"
