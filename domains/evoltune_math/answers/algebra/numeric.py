"""Numeric values by mpmath: they settle nearly every `not equal`, and confirm equality at several points.

    agree(parse("\\\\sin^2 x + \\\\cos^2 x"), ONE)   # True: equal at all points that could be compared

Symbols take positive and negative values. A point counts only if both sides are real there, unless the imaginary unit is
written.

Points decide only what they can see. A term that is much smaller than its neighbours (`x + e^{-100}`) raises the precision
until it counts. A term that may be zero at all points by chance (`\\max(0, x-10)`, `|x-10|`) is tried beyond every constant of
the expression too, and `\\lfloor u \\rfloor` is compared by its argument.
"""

import hashlib
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from evoltune_math.answers.algebra.evaluation import DIGITS, SEEN_BITS, Evaluator, NotNumeric, approximate, real_value
from evoltune_math.answers.algebra.rational import TooLarge, Undefined, known_rational
from evoltune_math.answers.nodes import IMAGINARY, Node, has, symbols, walk

AGREEING_DIGITS = 25
AGREEING_DIGITS_BIGOP = 12  # of sums and integrals, whose numeric values are less precise
MAX_DIGITS = 2_000  # of the precision that makes the smallest term count
_POINTS = 7
_FOLDED = ("abs", "root", "pow")
_WHOLE = frozenset(map(Fraction, range(-64, 65)))  # exponents of powers that have no branch
MAX_LARGE = 4
_PIECEWISE = frozenset(["max", "min", "sgn", "floor", "ceil", "sqrt", "Re", "Im", "arg", "conj"])


def _points(names: list[str]) -> list[dict[str, Fraction]]:
    """Fixed pseudo-random points: three positive ones, of which the first is below one, then mixed signs."""
    found = []
    for k in range(_POINTS):
        point = {}
        for name in names:
            sha = hashlib.sha256(f"{k}/{name}".encode()).digest()
            start, width = (Fraction(1, 5), Fraction(3, 5)) if k == 0 else (Fraction(1, 3), 3 if k < 5 else 9)
            size = start + Fraction(int.from_bytes(sha[:4], "big"), 2**32) * width
            point[name] = -size if k > 2 and (len(names) == 1 or sha[4] % 2) else size
        found.append(point)
    return found


def _far_points(names: list[str], trees: tuple[Node, ...]) -> list[dict[str, Fraction]]:
    """Points beyond every constant of the trees, on both sides and close to zero: `|x-10|` changes its sign at 10."""
    reach = Fraction(3)
    for value in (_constant(n) for tree in trees for n in _constants(tree)):
        if value is not None:
            reach = max(reach, 2 * abs(value) + 3)
    sizes = (reach, -reach, 1 / reach, -1 / reach)
    points = [{name: size + Fraction(k, 7) * size for k, name in enumerate(names)} for size in sizes]
    if len(names) > 1:  # one name large, the others small
        points += [{name: reach if name == large else 1 / reach for name in names} for large in names[:MAX_LARGE]]
    return points


def _constants(node: Node) -> Iterator[Node]:
    """The largest parts without symbols."""
    stack = [node]
    while stack:
        node = stack.pop()
        if symbols(node):
            stack.extend(node.args)
        elif node.op not in ("num", "dec") or node.value:
            yield node


def _constant(node: Node) -> Fraction | None:
    value = approximate(node)
    return Fraction(value).limit_denominator(10**6) if value is not None and abs(value) < 1e100 else None


def _is_folded(node: Node) -> bool:
    """Whether a part has a sign or a branch that depends on symbols."""
    folded = (n for n in walk(node) if n.op in _FOLDED or (n.op == "fn" and n.value in _PIECEWISE))
    return any(symbols(n) and not (n.op == "pow" and known_rational(n.args[1]) in _WHOLE) for n in folded)


def _close(a: Any, b: Any, digits: int) -> bool:
    scale = max(abs(a), abs(b))
    return bool(scale == 0 or abs(a - b) <= scale * scale.context.mpf(10) ** (-digits))


def agree(a: Node, b: Node) -> bool | None:
    """Whether two expressions have the same values; None if too few points could be compared. Raises `TooLarge`."""
    names = sorted(symbols(a) | symbols(b))
    is_complex = any(n == IMAGINARY for tree in (a, b) for n in walk(tree))
    if not names:
        principal = _agree_at({}, a, b, allow_complex=True)
        return principal if principal is not False else (not is_complex and _real_roots_agree(a, b))
    too_large: TooLarge | None = None
    for points, allow_complex in ((_points(names), is_complex), (_points(names)[:3], True)):
        compared = 0
        for point in points:
            try:
                same = _agree_at(point, a, b, allow_complex)
            except TooLarge as error:
                too_large = error
                continue
            if same is False:
                return False
            compared += same is True
        if compared >= 2:
            return _agree_far_away(names, a, b, allow_complex)
    if too_large is not None:
        raise too_large
    return None


def _agree_far_away(names: list[str], a: Node, b: Node, allow_complex: bool) -> bool:
    """Whether no point beyond the constants tells the two apart, if one could: other expressions are settled already."""
    if not (_is_folded(a) or _is_folded(b)):
        return True
    for point in _far_points(names, (a, b)):
        try:
            if _agree_at(point, a, b, allow_complex) is False:
                return False
        except TooLarge:
            continue
    return True


def _real_roots_agree(a: Node, b: Node) -> bool:
    """`(-8)^{1/3}` read as the real root, where the principal value is complex."""
    if not any(n.op == "pow" and n.args[1].op == "div" for tree in (a, b) for n in walk(tree)):
        return False
    left, right = real_value(a, real_roots=True), real_value(b, real_roots=True)
    return left is not None and right is not None and _close(left, right, AGREEING_DIGITS)


def _agree_at(point: Mapping[str, Fraction], a: Node, b: Node, allow_complex: bool) -> bool | None:
    imprecise = has(a, "bigop") or has(b, "bigop")
    wanted = AGREEING_DIGITS_BIGOP if imprecise else AGREEING_DIGITS
    first = _compare(point, a, b, DIGITS, allow_complex, wanted)
    if first is not True or point or imprecise:
        return first
    return _compare(point, a, b, 3 * DIGITS, allow_complex, 90)


def _compare(
    point: Mapping[str, Fraction], a: Node, b: Node, digits: int, complex_too: bool, wanted: int
) -> bool | None:
    try:
        at = Evaluator(point, digits)
        left, right = at.value(a), at.value(b)
        hidden = int(at.lost * 0.302) if at.lost > SEEN_BITS else 0
        if hidden > MAX_DIGITS:
            raise TooLarge(f"a term is {hidden} digits smaller than another, the limit is {MAX_DIGITS}")
        if at.cancelled or hidden:  # zero or only small? More digits tell
            digits, wanted = 4 * digits + _in_steps(hidden), wanted + hidden
            finer = Evaluator(point, digits)
            left, right = finer.value(a), finer.value(b)
    except (Undefined, NotNumeric):
        return None
    is_real = all(abs(v.imag) <= abs(v) * v.context.mpf(10) ** (-wanted) for v in (left, right))
    if not is_real and not complex_too:
        return None
    return _close(left, right, wanted) if left.imag or right.imag else _close(left.real, right.real, wanted)


def _in_steps(digits: int) -> int:
    """Rounded up, so that few contexts are made."""
    return -(-digits // DIGITS) * DIGITS
