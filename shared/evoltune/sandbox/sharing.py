"""Which jobs may share a test runner: those whose tests cannot change it, and whose programs need no process or file.

The rule reads text, not syntax trees: building a tree takes longer than most programs run. Invariant: it errs on the side
of a test runner of its own; a job for which this returns True gets the verdict that it would get alone.

    shareable(Job(program="def f(x): return x", tests="assert f(1) == 1", entry_point="f"))    # True
"""

import re
import sys
from functools import lru_cache
from typing import Any

from evoltune.domain import Job
from evoltune.sandbox.source_tests import LIBRARIES, MODULE_ALIASES, TYPING_NAMES

_METHODS = (
    "append|extend|insert|remove|pop|clear|index|count|sort|reverse|keys|values|items|get|update|add|discard|union|"
    "split|rsplit|splitlines|join|strip|lstrip|rstrip|lower|upper|title|capitalize|replace|find|isdigit|isalpha|isupper|islower"
)
_ATTRIBUTE = re.compile(rf"\.(?!\d|[,)\]}}]|(?:{_METHODS})\()")
"""A dot that neither belongs to a number nor calls a method of plain values."""
_NAMES = "|".join(sorted(TYPING_NAMES))
_HARMLESS = re.compile(
    rf"^from typing import (?:{_NAMES})(?:, (?:{_NAMES}))*$|^import math$|\bmath\.[a-z]\w*(?=\()", re.M
)
"""What HumanEval and MBPP import for their tests: names for annotations, and calls of functions of `math`. Neither can be
assigned to in this form. Without this exception 21 of HumanEval's 164 problems could not share."""
_STRING_OR_COMMENT = re.compile(r"""([A-Za-z]*)('[^'\n]*'|"[^"\n]*")|\#[^\n]*""")
"""Reliable only in a source without backslashes and triple quotes."""
_WORD = re.compile(r"[A-Za-z_]\w*")
_FORBIDDEN_WORDS = frozenset({
    "import", "getattr", "setattr", "delattr", "vars", "globals", "locals", "exec", "eval", "compile", "open", "breakpoint", "help",
    "match", "case", *MODULE_ALIASES, *LIBRARIES, *sys.stdlib_module_names,
})  # fmt: skip
"""Words by which tests would reach beyond their own names. Modules are among them: they are the test runner's own."""
_NEEDS_PROCESS_OR_FILE = re.compile(
    r"\b(?:import|from)\b[^\n]*\b(?:os|io|pathlib|tempfile|shutil|fileinput|sqlite3|dbm|shelve|logging|threading|_thread|subprocess|"
    r"multiprocessing|concurrent|asyncio|signal|pty|ctypes|importlib)\b|\bopen\s*\(|\b__import__\b"
)


def shareable(job: Job) -> bool:
    """Whether a shared test runner gives the same verdict: the program needs nothing that it would not get there, and the
    tests are data, or code that reaches nothing beyond its own names."""
    tests: Any = job.tests
    if job.language != "python" or tests is None or (isinstance(tests, dict) and "stdio" in tests):
        return False
    if isinstance(tests, dict):
        sources = tests.get("each", ())
    else:
        sources = [tests] if isinstance(tests, str) else tests
    return not _NEEDS_PROCESS_OR_FILE.search(job.program) and all(map(_leaves_nothing_behind, sources))


@lru_cache(maxsize=64)
def _leaves_nothing_behind(source: str) -> bool:
    """Whether no later tests can notice these: calls and plain values, no module, no attribute, no way to a frame."""
    if not source.isascii() or "__" in source:
        return False
    if not any(mark in source for mark in ("\\", '"""', "'''")):
        source = _STRING_OR_COMMENT.sub(_without_text, source)
    if "math" in source or "typing" in source:
        source = _HARMLESS.sub("", source)
    return not _ATTRIBUTE.search(source) and _FORBIDDEN_WORDS.isdisjoint(_WORD.findall(source))


def _without_text(found: re.Match[str]) -> str:
    """An empty string for a string, nothing for a comment; a format string stays, because it holds code."""
    if found[2] is None:
        return ""
    return found[0] if "f" in found[1].lower() else f"{found[1]}''"
