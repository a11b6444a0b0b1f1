"""What is decided about a job before it runs: whether it can run at all, and whether it may share a test runner.

Invariant: `shareable` errs on the side of a test runner of its own; a job for which it returns True gets the verdict that it
would get alone.

    refusal(Job(program="", tests={"case": []})).reason    # "tests: unknown form ['case']: allowed: ..."
    shareable(Job(program="def f(x): return x", tests="assert f(1) == 1", entry_point="f"))    # True
"""

import re
import sys
from dataclasses import replace
from functools import lru_cache
from typing import Any

from evoltune.domain import Job
from evoltune.record import Verdict
from evoltune.sandbox import languages, reading, values

LIBRARIES = frozenset({"numpy", "sympy", "pandas", "scipy", "pytest", "typing_extensions"})
MODULE_ALIASES = frozenset({"np", "pd", "sp"})
TYPING_NAMES = frozenset("Any Callable Dict Iterable List Optional Sequence Set Tuple Union".split())
"""Names of `typing` that are of use only in annotations: also a shared test runner hands them out."""

MAX_PROGRAM = 4 << 20
"""Characters of a program."""
FORMS = ("each", "cases", "probe", "results", "stdio")
"""Keys of which tests in a dict must have one; "results" asks what a program returns, as of an oracle."""

_OWN_KEYS = frozenset({"digests", "numbers", "whole"})
"""Keys that the dispatcher alone adds."""


def refusal(job: Job) -> Verdict | None:
    """The verdict of a job that cannot run; None when it can."""
    size = len(job.program)
    if size > MAX_PROGRAM:
        return Verdict(status="fail", reason=f"the program has {size} characters, allowed {MAX_PROGRAM}")
    if why := languages.missing(job.language):
        return Verdict(status="unverifiable", reason=why)
    try:
        wrong = _wrong_shape(job.tests)
    except RecursionError as error:
        wrong = f"nested too deep: {error}"
    if wrong:
        return Verdict(status="error", reason=f"tests: {wrong}"[:300])
    sources = sources_of(job.tests) if job.language == "python" else None
    if sources and reading.asserts_nothing(tuple(sources)):
        return Verdict(status="unverifiable", reason="the tests assert nothing")
    return None


def sources_of(tests: Any) -> list[str] | None:
    """The sources of tests that are Python source; None for the other forms."""
    if isinstance(tests, str):
        return [tests]
    sources = tests.get("each") if isinstance(tests, dict) else tests
    return sources if isinstance(sources, list) else None


def without_program_imports(job: Job) -> Job:
    """The job with tests that no longer import from the program, whose names they are given anyway."""
    sources = sources_of(job.tests) if job.language == "python" else None
    if not sources or not any("import" in source for source in sources):
        return job
    kept: list[Any] = [reading.without_program_imports(source) for source in sources]
    tests = kept[0] if isinstance(job.tests, str) else kept if isinstance(job.tests, list) else {"each": kept}
    return replace(job, tests=tests)


def judge_of_job(job: Job) -> str:
    """How a job is judged: by reading its tests."""
    sources = sources_of(job.tests) if job.language == "python" else None
    return reading.judge_of(tuple(sources)) if sources else reading.SEPARATE


def _wrong_shape(tests: Any) -> str:
    """What is wrong with the shape of the tests; empty when nothing is."""
    if tests is None or isinstance(tests, str):
        return ""
    if isinstance(tests, list):
        return "" if tests and all(isinstance(t, str) for t in tests) else "a list must hold sources of tests"
    if not isinstance(tests, dict):
        return f"{repr(tests)[:80]} ({type(tests).__name__}): must be source, a list of sources, or a form of docs/validate.md"
    form = next((k for k in FORMS if k in tests), None)
    if form is None:
        return f"unknown form {sorted(map(str, tests))!r}: allowed: each, cases, probe, stdio"
    rows = tests[form]
    if not isinstance(rows, list) or not rows or not isinstance(tests.get("atol") or 0.0, int | float):
        return f"{form!r} must be a list that is not empty, atol a number"
    if own := _OWN_KEYS & tests.keys():
        return f"{sorted(own)[0]!r} is no key of tests"
    if tests.get("compare") not in (None, "", "set", "found"):
        return f"'compare' is {tests['compare']!r}: allowed: set, found"
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
        arguments = [values.decode(list(r) if width else [r]) for r in rows]
    except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError) as error:
        return f"{form!r} holds what is no tagged value: {error}"
    lists = all(isinstance(a[0], list | tuple) for a in arguments)
    return "" if lists else f"{form!r}: the arguments must be a list"


# ---- sharing a test runner: the rule reads text, because building a syntax tree takes longer than most programs run

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
_NEEDS_PROCESS = re.compile(
    r"(?:import|from)\b[^\n]*\b(?:os|io|pathlib|tempfile|shutil|fileinput|sqlite3|dbm|shelve|logging|threading|_thread|subprocess|"
    r"multiprocessing|concurrent|asyncio|signal|pty|ctypes|importlib)\b"
)
_OPENS = re.compile(r"open\s*\(")


def _needs_process_or_file(text: str) -> bool:
    """Told without a search from each word on: these take as long as everything else that is done here."""
    if "open" in text and _OPENS.search(text):
        return True
    return "import" in text and (_NEEDS_PROCESS.search(text) is not None or "__import__" in text)


_LEAVES_FILES = re.compile(
    r"\b(?:tmp_?path\w*|tmp_?dir\w*|save\w*|tofile|to_(?:csv|excel|json|parquet|pickle)|write_\w+|FileHandler)\b"
)
"""What tests in the program's own process may write to, besides files that they open."""


@lru_cache(maxsize=64)
def _leaves_no_files(source: str) -> bool:
    return not _needs_process_or_file(source) and not _LEAVES_FILES.search(source)


def shareable(job: Job, judge: str = reading.SEPARATE) -> bool:
    """Whether a shared test runner gives the same verdict: the program needs nothing that it would not get there, and the
    tests are data, or code that reaches nothing beyond its own names, or code that never runs in the test runner."""
    tests: Any = job.tests
    if job.language != "python" or tests is None or (isinstance(tests, dict) and "stdio" in tests):
        return False
    sources = sources_of(tests) or ()
    if judge == reading.SAME_PROCESS:
        return not _needs_process_or_file(job.program) and all(map(_leaves_no_files, sources))
    return not _needs_process_or_file(job.program) and all(map(_leaves_nothing_behind, sources))


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
