"""Is this answer right? `check(answer, reference, policy) -> Verdict`; the pure function behind `verify`.

    check("\\\\frac{1}{2}", "0.5").status == "pass"
    check("The answer is $\\\\boxed{2x+1}$", "y = 2x + 1").evidence["method"] == "normal form"

Raises nothing for any text. Statuses: pass, fail, unverifiable (no reference). Time and memory limits are the worker's.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from evoltune.record import Verdict
from evoltune_math.answers.equality.answers import Comparison
from evoltune_math.answers.kinds import Answer, Group, Text
from evoltune_math.answers.policy import DEFAULT, Policy
from evoltune_math.answers.reading.cleanup import plain_number
from evoltune_math.answers.reading.cleanup import unwrapped as unwrap
from evoltune_math.answers.reading.cleanup import without_spaces as squeezed
from evoltune_math.answers.reading.reader import read
from evoltune_math.extraction import Found, find

_FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    TypeError,
    ValueError,
)
_VALUELESS = re.compile(r"/\{?0\}?(?![.\d])|\{0\}$|^nan$", re.I)
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+")


def check(answer: str, reference: str | None, policy: Policy | Mapping[str, Any] = DEFAULT) -> Verdict:
    """Compares a response or a bare answer with the reference. `evidence`: extracted, extraction, method."""
    started = time.perf_counter()
    if reference is not None and _identical(answer, reference):
        evidence = {"extracted": answer.strip()[:2000], "extraction": "bare", "method": "string"}
        return Verdict(status="pass", seconds=time.perf_counter() - started, evidence=evidence)
    found = find(answer)
    if found is None:
        return Verdict(
            status="fail", reason="no answer found", evidence={"extracted": None, "extraction": "none"}
        )
    return judge(found.text, reference, policy, started=started, extraction=found.method)


def judge(
    candidate: str,
    reference: str | None,
    policy: Policy | Mapping[str, Any] = DEFAULT,
    *,
    started: float = 0.0,
    extraction: str = "given",
) -> Verdict:
    """`check` for a candidate that is extracted already."""
    started = started or time.perf_counter()
    chosen = policy if isinstance(policy, Policy) else Policy.of(policy)
    evidence: dict[str, Any] = {"extracted": candidate[:2000], "extraction": extraction}
    if reference is not None and _identical(candidate, reference):
        evidence["method"] = "string"
        return Verdict(status="pass", seconds=time.perf_counter() - started, evidence=evidence)
    gold = _reference(reference) if reference is not None else None
    if gold is None:
        return Verdict(
            status="unverifiable",
            reason="no reference",
            seconds=time.perf_counter() - started,
            evidence=evidence,
        )
    try:
        equal, method = same_text(candidate, gold.text, chosen)
    except _FAULTS as fault:  # ours, not the model's: never reported as a wrong answer
        seconds = time.perf_counter() - started
        return Verdict(
            status="error", reason=f"{type(fault).__name__}: {fault}", seconds=seconds, evidence=evidence
        )
    evidence["method"] = method
    seconds = time.perf_counter() - started
    return Verdict(
        status="pass" if equal else "fail",
        reason="" if equal else f"not equal ({method})",
        seconds=seconds,
        evidence=evidence,
    )


@lru_cache(maxsize=4096)
def _reference(text: str) -> Found | None:
    return find(text) or (Found(text, "bare") if text.strip() else None)


def _identical(answer: str, reference: str) -> bool:
    """The same text but for white space and wrappings; `1/0` and `?` are equal to nothing."""
    if len(answer) > 10 * len(reference) + 100:
        return False
    a, b = (squeezed(unwrap(t)) for t in (answer, reference))
    return a == b and any(c.isalnum() for c in a) and not _VALUELESS.search(a)


def same_text(a: str, b: str, policy: Policy = DEFAULT) -> tuple[bool, str]:
    """Whether two extracted answers are the same, and the stage that decided: string, rational, structure, ..."""
    x, y = plain_number(a.strip()), plain_number(b.strip())
    if x is not None and y is not None and "." not in a + b:
        return x == y, "rational"
    left, right = read(a), read(b)
    if isinstance(left, Text) and isinstance(right, Text) and squeezed(a) == squeezed(b):
        return any(c.isalnum() for c in a), "string"
    equal, method = _same(left, right, policy)
    if not equal and (_listed(a, right) or _listed(b, left)):
        return _same(read(a, lists=True), read(b, lists=True), policy)
    return equal, method


def _listed(text: str, other: Answer) -> bool:
    """`100,200,300` beside a list is a list."""
    return isinstance(other, Group) and len(text) < 400 and bool(_GROUPED.search(text)) and ",0" not in text


def _same(left: Answer, right: Answer, policy: Policy) -> tuple[bool, str]:
    comparison = Comparison(policy)
    try:
        return comparison.same(left, right), comparison.values.method
    except RecursionError:
        return False, "budget"
