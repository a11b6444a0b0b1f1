"""Where an exception came from, what it says, and what it makes of a job.

Invariant: no function of a module that the program can change sees the traceback, which leads to the frames of the tests.

    line_of(error, "<tests>")
"""

from typing import Any

from evoltune.sandbox.same_process import monitor, rewriting
from evoltune.sandbox.same_process.expectations import Unsupported
from evoltune.sandbox.same_process.importing import TestsMissing

Outcome = tuple[str, str, dict[str, Any]]
"""Status, reason and evidence."""


def while_loading(error: BaseException, file: str) -> Outcome:
    """The outcome of a program whose own lines, in this file, raised it."""
    line = line_of(error, file)
    if isinstance(error, SyntaxError) and error.filename == file:
        line = error.lineno or 0
    place, kind = f" on line {line}" if line else "", type(error).__name__
    evidence = {"exception": kind, "line": line}
    if isinstance(error, SyntaxError) and error.filename == file:
        return "fail", f"syntax error{place}: {error}", evidence
    return "fail", f"loading raised {kind}{place}: {text_of(error)[:300]}", evidence


def in_tests(error: BaseException, source: str, program: dict[str, Any]) -> Outcome:
    """The outcome where it ended the tests of this source; `program`: the names of the program."""
    line, lines = line_of(error, rewriting.FILE), source.splitlines()
    test = lines[line - 1].strip()[:500] if 0 < line <= len(lines) else ""
    kind, text = type(error).__name__, text_of(error)
    evidence: dict[str, Any] = {"test": test, "line": line}
    if isinstance(error, TestsMissing):
        return "error", f"the tests import {text!r}, which this host lacks", evidence
    if isinstance(error, Unsupported):
        return "error", f"the tests need {text}, which is not supported", evidence
    if isinstance(error, LookupError) and text.startswith("no function "):
        return "fail", text, {"defined": sorted(n for n in program if not n.startswith("__"))[:20]}
    if isinstance(error, AssertionError):
        return "fail", f"failed: {test}{': ' + text[:300] if text else ''}", evidence
    return "fail", f"{kind}: {text[:300]} in: {test}", {**evidence, "exception": kind}


def raised_by_tests(end: SystemExit) -> bool:
    """Whether the tests themselves called `sys.exit`: no frame of the program was on the way."""
    return all(monitor.is_own(file) for file, _ in _places(end))


def line_of(error: BaseException, file: str) -> int:
    """The innermost line of a file on the way of an exception; 0: none."""
    return next((line for place, line in reversed(_places(error)) if place == file), 0)


def text_of(error: BaseException) -> str:
    """Its text, which the program may write; empty where writing it fails."""
    try:
        return str(error)[:1000]
    except Exception:  # noqa: BLE001 - the program's own __str__
        return ""


def _places(error: BaseException) -> list[tuple[str, int]]:
    found, trace = list[tuple[str, int]](), error.__traceback__
    while trace:
        found.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    return found
