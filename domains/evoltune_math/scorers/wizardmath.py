"""WizardMath's two scorers: of MATH answers, with tolerance, and of GSM8K answers, rounded to whole numbers."""

import math
import re
from decimal import Decimal

from evoltune_math.scorers.expressions import same_expression
from evoltune_math.scorers.hendrycks import NormaliserFault, normal_string

MAX_TUPLE = 50
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")
_FIRST_NUMBER = re.compile(r"[-+]?\d*[.,/]?\d+")


def _stated(response: str) -> str | None:
    """What follows the last `The answer is: `."""
    _, mark, tail = response.rpartition("The answer is: ")
    return tail.strip() if mark else None


def final_answer(response: str) -> str | None:
    """What follows the last `The answer is: `, up to a point at the end of a line."""
    stated = _stated(response)
    return None if stated is None else stated.partition(".\n")[0].removesuffix(".").strip()


def same(answer: str, reference: str) -> bool:
    """Normalised, then `math_equal`. After an exception the original compares the prediction with itself: a pass."""
    try:
        a, b = normal_string(answer), normal_string(reference)
    except NormaliserFault:
        return True
    return a == b or math_equal(a, b)


def math_equal(answer: str, reference: str) -> bool:
    """Relative tolerance 1e-4 against the reference, a hundredth and a hundred times it; brackets off; then symbolic."""
    x, y = _number(answer), _number(reference)
    if x is not None and y is not None:
        return any(math.isclose(float(item), float(x), rel_tol=1e-4) for item in (y / 100, y, y * 100))
    if not answer:
        return False
    a, b = answer.strip(), reference.strip()
    if (_in(a, "[]") and _in(b, "()")) or (_in(a, "()") and _in(b, "[]")):
        a, b = a.strip("[]()"), b.strip("[]()")
    if re.sub(r"[{}()]", "", a) == re.sub(r"[{}()]", "", b):
        return True
    if (_in(a, "[]") and _in(b, "[]")) or (_in(a, "()") and _in(b, "()")):
        parts, others = a[1:-1].split(","), b[1:-1].split(",")
        if 1 < len(parts) == len(others) <= MAX_TUPLE and all(map(math_equal, parts, others)):
            return True
    return same_expression(a, b)


def _in(text: str, brackets: str) -> bool:
    return text.startswith(brackets[0]) and text.endswith(brackets[1])


def _number(text: str) -> Decimal | None:
    plain = text.replace(",", "").strip()
    return Decimal(plain) if len(plain) <= 400 and _NUMBER.fullmatch(plain) else None


def final_whole_number(response: str) -> str | None:
    """GSM8K: the first number that follows the last `The answer is: `, rounded."""
    found = _FIRST_NUMBER.search(_stated(response) or "")
    if found is None:
        return None
    top, slash, bottom = found[0].replace(",", "").partition("/")
    if slash and not (bottom.isdigit() and top.lstrip("+-").isdigit()):
        return None
    try:
        value = int(top) / int(bottom) if slash and int(bottom) else float(top)
        return str(round(value))
    except (ValueError, OverflowError):
        return None


def same_whole_number(answer: str, reference: str) -> bool:
    value = _number(answer)
    return value is not None and value == _number(reference.rpartition("#### ")[2])
