"""Whether a mathematical answer is right: `Domain.verify`, and `check` for an answer that is not extracted yet.

    check("\\\\frac{1}{2}", "0.5").status == "pass"
    check("The answer is $\\\\boxed{2x+1}$", "y = 2x + 1").evidence["method"] == "normal form"

Both are pure functions that raise for no text; the worker that runs them limits their time and memory.
"""

import re
import time
from collections.abc import Mapping
from typing import Any

from evoltune.domain import Context
from evoltune.record import Status, Task, Verdict
from evoltune.verification.records import NO_ANSWER
from evoltune_math.answers.equality import compare
from evoltune_math.answers.equality.expressions import is_undefined
from evoltune_math.answers.equality.values import same_words
from evoltune_math.answers.kinds import Answer, Group, Text, Value
from evoltune_math.answers.opposites import opposed, without_direction
from evoltune_math.answers.policy import DEFAULT, Policy
from evoltune_math.answers.quantified import bounds_differ
from evoltune_math.answers.reading.cleanup import cached, normalised, plain_number, without_spaces
from evoltune_math.answers.reading.reader import OUR_FAULTS, read
from evoltune_math.extraction import find
from evoltune_math.references import find_for, is_prose

_UNDEFINED = re.compile(r"/\{?0\}?(?![.\d])|\{0\}$|^nan$", re.I)
_GROUPED_DIGITS = re.compile(r"(?<!\d)\d{1,3}(?:,\d{3})+")
_COMMA_DECIMAL, _POINT_DECIMAL = re.compile(r"-\d+,\d|-?\d+,\d\d"), re.compile(r"-?\d+\.\d{1,2}")
_ABBREVIATED = re.compile(r"\s*\$?((?:\\\$)?\s?\d[\d,]*(?:\.\d+)?)\s?([kKMB]|[bm]n)\$?(?:\s+(\\text\{[^{}]*\}))?\.?\s*")
"""`1.2k`, `\\$3M`: only beside a number that is the same."""
_THOUSANDS = {"k": "thousand", "m": "million", "mn": "million", "b": "billion", "bn": "billion"}
_DIRECTION = re.compile(r"clockwise|north|south|east|west", re.I)
_PROSE = "\0prose"
MAX_EVIDENCE = 2_000
MAX_LIST_TEXT = 400
MAX_ABBREVIATED = 40


def verify(task: Task, candidate: str, context: Context) -> Verdict:
    """`Domain.verify`: pass, fail, or unverifiable if the task has no reference."""
    return _verdict(candidate, task.reference, Policy.of(context.policy), "given")


def check(answer: str, reference: str | None, policy: Policy | Mapping[str, Any] = DEFAULT) -> Verdict:
    """Extracts the final answer of a response, or takes a bare answer, and verifies it.

    The verdict is pass, fail or unverifiable (no reference); its evidence has `extracted`, `extraction` (how the answer
    was found) and `method` (the stage that decided).
    """
    found = find_for(reference, answer)
    if found is None:
        return Verdict(status="fail", reason=NO_ANSWER, evidence={"extracted": None, "extraction": "none"})
    chosen = policy if isinstance(policy, Policy) else Policy.of(policy)
    return _verdict(found.text, reference, chosen, found.method)


def _verdict(candidate: str, reference: str | None, policy: Policy, extraction: str) -> Verdict:
    started = time.perf_counter()
    evidence: dict[str, Any] = {"extracted": candidate[:MAX_EVIDENCE], "extraction": extraction}

    def verdict(status: Status, reason: str = "") -> Verdict:
        seconds = time.perf_counter() - started
        return Verdict(status=status, reason=reason, seconds=seconds, evidence=evidence)

    target = None if reference is None else _answer_in(reference)
    if reference is None or target is None:
        return verdict("unverifiable", "no reference")
    if target == _PROSE:
        evidence["method"] = "text"
        is_same = same_words(candidate, reference, policy.text)
        return verdict("pass") if is_same else verdict("unverifiable", "the reference is prose")
    try:
        if _is_same_text(candidate, reference) and not _is_undefined(candidate):
            equal, method = True, "string"
        else:
            equal, method = same_answer(candidate, target, policy)
    except (NotImplementedError, *OUR_FAULTS) as fault:  # must not count as a wrong answer
        return verdict("error", f"{type(fault).__name__}: {fault}")
    evidence["method"] = method
    return verdict("pass") if equal else verdict("fail", f"not equal ({method})")


@cached
def _answer_in(reference: str) -> str | None:
    """The answer that a reference states: references may be whole solutions. A number in a sentence is not the answer."""
    if is_prose(reference):
        return _PROSE
    found = find(reference)
    return found.text if found is not None else reference if reference.strip() else None


def _is_same_text(answer: str, reference: str) -> bool:
    """The same text except for white space and wrappers; `1/0` and `?` equal nothing."""
    if len(answer) > 10 * len(reference) + 100:
        return False
    a, b = without_spaces(normalised(answer)), without_spaces(normalised(reference))
    return a == b and any(c.isalnum() for c in a) and not _UNDEFINED.search(a)


def _is_undefined(answer: str) -> bool:
    """Whether the answer divides by a difference that is zero: `1/(1-1)`."""
    if "-" not in answer or ("/" not in answer and "frac" not in answer):
        return False
    value = read(answer)
    return isinstance(value, Value) and is_undefined(value.node)


def same_answer(a: str, b: str, policy: Policy = DEFAULT) -> tuple[bool, str]:
    """Whether two extracted answers are the same, and the stage that decided: string, rational, structure, ..., opposites, quantifier."""
    equal, method = _compared(a, b, policy)
    if not equal and any(len(text) < MAX_ABBREVIATED and _ABBREVIATED.fullmatch(text) for text in (a, b)):
        equal, method = _compared(_ABBREVIATED.sub(_written_out, a), _ABBREVIATED.sub(_written_out, b), policy)
    if not equal and (_DIRECTION.search(a[-12:]) or _DIRECTION.search(b[-12:])):
        equal, method = _compared(without_direction(a), without_direction(b), policy)
    if equal and method != "string":
        if opposed(a, b):
            return False, "opposites"
        if bounds_differ(a, b):
            return False, "quantifier"
    return equal, method


def _written_out(found: re.Match[str]) -> str:
    return f"{found[1]} {_THOUSANDS[found[2].lower()]} {found[3] or ''}"


def _compared(a: str, b: str, policy: Policy) -> tuple[bool, str]:
    x, y = plain_number(a.strip()), plain_number(b.strip())
    if x is not None and y is not None and "." not in a + b:
        return x == y, "rational"
    left, right = read(a), read(b)
    if isinstance(left, Text) and isinstance(right, Text) and without_spaces(a) == without_spaces(b):
        return any(c.isalnum() for c in a), "string"
    equal, method = compare(left, right, policy)
    if not equal and (_may_be_list(a, right) or _may_be_list(b, left)):
        left, right = (read(text, lists=_GROUPED_DIGITS.search(text) is not None) for text in (a, b))
        return compare(left, right, policy)
    if not equal and (_is_decimal_comma(a, b) or _is_decimal_comma(b, a)):
        return plain_number(a.strip().replace(",", ".")) == plain_number(b.strip().replace(",", ".")), "rational"
    return equal, method


def _is_decimal_comma(text: str, other: str) -> bool:
    """`-1,25` beside `-1.25`: beside one decimal it is no list of two numbers, unless it is as short as `1,2`."""
    return bool(_COMMA_DECIMAL.fullmatch(text.strip()) and _POINT_DECIMAL.fullmatch(other.strip()))


def _may_be_list(text: str, other: Answer) -> bool:
    """`100,200,300` beside a list is a list."""
    is_short = isinstance(other, Group) and len(text) < MAX_LIST_TEXT
    return is_short and ",0" not in text and bool(_GROUPED_DIGITS.search(text))
