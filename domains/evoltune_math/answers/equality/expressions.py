"""Equality of two expressions by stages, the cheapest first: structure, exact value, normal form, numeric values, SymPy.

    expressions = Expressions(Policy()); expressions.equal(parse("x(x+1)"), parse("x^2+x")), expressions.method
    # True, "normal form"

A decimal may stand for an exact value that it rounds. Nothing over a size limit is computed.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, TypeVar

from evoltune_math.answers.algebra import numeric, symbolic
from evoltune_math.answers.algebra.ellipsis import SIZES, has_dots, last_indices, written_out
from evoltune_math.answers.algebra.evaluation import real_value
from evoltune_math.answers.algebra.normal_form import equal_forms, normal_form
from evoltune_math.answers.algebra.rational import TooLarge, Undefined, rational
from evoltune_math.answers.equality.piecewise import same_pieces
from evoltune_math.answers.nodes import ZERO, Node, walk
from evoltune_math.answers.policy import Policy
from evoltune_math.answers.vocabulary import word_set

T = TypeVar("T")
_WITHOUT_VALUE = word_set("text seq rel union inter minus builder cases ratio pmod row")
_ELSE = ("other", "else")
FLOAT_DIGITS = (16, 17)  # a binary double that is not exact prints so many digits: `0.30000000000000004` is 0.3
_FLOAT_ERROR = Fraction(23, 10**17)


class Expressions:
    """Compares expressions under one policy. `method`: the stage that decided last."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.method = "text"

    def equal(self, a: Node, b: Node) -> bool:
        if a == b:
            self.method = "structure"
            return not is_undefined(a)  # `1/0` does not even equal itself
        try:
            return self._decide(a, b)
        except (TooLarge, RecursionError):
            self.method = "budget"
        except Undefined:
            self.method = "undefined"
        return False

    def _decide(self, a: Node, b: Node) -> bool:
        x, y, digits = rational(a), rational(b), self.policy.decimal_digits
        if x is not None and y is not None:
            self.method = "rational"
            return x == y or rounds(a, b, x, y, digits)
        if (x is None) != (y is None) and digits:
            decimal, other = (a, b) if x is not None else (b, a)
            if rounds_irrational(decimal, other, digits):
                self.method = "decimal"
                return True
        if has_dots(a) or has_dots(b):
            self.method = "dots"
            return self._equal_written_out(a, b)
        if _is_symbolic(a) or _is_symbolic(b):
            self.method = "structure"
            if _same_shape(a, b) or "cases" not in (a.op, b.op):
                return _same_shape(a, b)
            is_same = same_pieces(a, b, self.equal)
            self.method = "cases"
            return is_same is True
        try:
            form, other_form = normal_form(a), normal_form(b)
            self.method = "normal form"
            if equal_forms(form, other_form):
                return True
            if form.is_free and other_form.is_free:
                return False
        except TooLarge:
            pass
        self.method = "numeric"
        verdict = numeric.agree(a, b)
        if verdict is not None:
            return verdict
        self.method = "sympy"
        return symbolic.equal(a, b)

    def _equal_written_out(self, a: Node, b: Node) -> bool:
        """`1+2+\\cdots+n` = `n(n+1)/2`, for several n; a fixed last term has no n."""
        if _same_shape(a, b):
            return True
        indices = last_indices(a) | last_indices(b)
        if len(indices) > 1:
            return False
        for size in SIZES if indices else SIZES[:1]:
            x, y = (written_out(tree, dict.fromkeys(indices, size)) for tree in (a, b))
            if x is None or y is None or has_dots(x) or has_dots(y) or not self.equal(x, y):
                return False
        return True


def is_undefined(node: Node) -> bool:
    """Whether the tree divides by zero anywhere."""
    return any(n.op == "div" and _vanishes(n.args[1]) for n in walk(node))


def _vanishes(node: Node) -> bool:
    if node.op in ("num", "sym", "const"):
        return node == ZERO
    try:
        return not normal_form(node).top
    except (TooLarge, Undefined):
        return False


def _is_symbolic(node: Node) -> bool:
    """Whether a part has no value (text, infinity, sets, tuples) and no operator around it could give it one."""
    nodes = list(walk(node))
    if any(n.op in ("bigop", "norm") or (n.op == "matrix" and n.note == "det") for n in nodes):
        return False
    return any(n.op in _WITHOUT_VALUE or (n.op == "const" and n.value not in ("pi", "e", "i")) for n in nodes)


def _same_shape(a: Node, b: Node) -> bool:
    """Equality of structure that ignores notes, but for words behind a part (`n is even`), and the order of sums, products and cases with a condition each."""
    if a.op != b.op or len(a.args) != len(b.args):
        return False
    if a.op in ("add", "mul") or (
        a.op == "cases" and not any(n.op == "text" and str(n.value).lower().startswith(_ELSE) for n in walk(a))
    ):
        return same_in_any_order(a.args, b.args, _same_shape)
    words_differ = a.op == "unit" and a.note != b.note
    return a.value == b.value and not words_differ and all(map(_same_shape, a.args, b.args))


def same_in_any_order(a: Sequence[T], b: Sequence[T], same: Callable[[T, T], bool]) -> bool:
    """Whether each item of one sequence has its own partner in the other."""
    left = list(b)
    for item in a:
        at = next((i for i, other in enumerate(left) if same(item, other)), None)
        if at is None:
            return False
        left.pop(at)
    return not left


def _literal(node: Node) -> str:
    """The decimal as written, or "" for anything else."""
    while node.op in ("neg", "pct", "unit"):
        node = node.args[0]
    return node.note.lower() if node.op == "dec" else ""


def significant_digits(node: Node) -> int:
    """Of a literal decimal; 0 for anything else, and for a repeating decimal, which is exact."""
    literal = _literal(node)
    mantissa = literal.partition("e")[0]
    if "." not in mantissa or "\\" in literal or "(" in literal:
        return 0
    return sum(c.isdigit() for c in mantissa.replace(".", "").lstrip("0"))


def _last_place(node: Node) -> Fraction:
    """The value of one unit in the last place of a literal decimal."""
    mantissa, _, exponent = _literal(node).partition("e")
    places = sum(c.isdigit() for c in mantissa.partition(".")[2])
    unit = Fraction(1, 10**places) * Fraction(10) ** int(exponent or 0)
    return unit / 100 if node.op == "pct" or (node.op == "neg" and node.args[0].op == "pct") else unit


def _stands_for(decimal: Node, gap: Any, digits: int, size: Any) -> bool:
    """Whether a literal rounds or truncates a value. `gap`: how far its size is above that of the value, which is `size`.

    A printed double may differ by its rounding error instead.
    """
    unit = _last_place(decimal)
    is_near = -unit < gap <= unit / 2
    return bool(is_near or (digits in FLOAT_DIGITS and abs(gap) <= size * _FLOAT_ERROR))


def rounds(a: Node, b: Node, x: Fraction, y: Fraction, least_digits: int) -> bool:
    """Whether one of `a` = x and `b` = y is a decimal of at least so many digits (0: none) that rounds the other."""
    if not least_digits:
        return False
    digits_a, digits_b = significant_digits(a), significant_digits(b)
    if digits_a and digits_b:  # two decimals: only the noise of binary floats is forgiven
        long, short = max(digits_a, digits_b), min(digits_a, digits_b)
        return long in FLOAT_DIGITS and short not in FLOAT_DIGITS and abs(x - y) <= max(abs(x), abs(y)) / 10**15
    if digits_b:
        a, x, digits_a, y = b, y, digits_b, x
    if digits_a < max(least_digits, 1) or x * y < 0:
        return False
    return _stands_for(a, abs(x) - abs(y), digits_a, abs(y))


def rounds_irrational(decimal: Node, irrational: Node, least_digits: int) -> bool:
    """Whether a rational tree is a decimal that rounds or truncates an irrational one."""
    digits = significant_digits(decimal)
    if not digits or digits < least_digits:
        return False
    value, exact = real_value(irrational), rational(decimal)
    if value is None or exact is None or value * exact.numerator < 0:
        return False
    mantissa, exponent = abs(value).man_exp
    size = mantissa * Fraction(2) ** exponent
    return _stands_for(decimal, abs(exact) - size, digits, size)


def both_round_one_value(a: Node, b: Node) -> bool | None:
    """Whether two decimals may be roundings of one number; None if one is no decimal."""
    if not significant_digits(a) or not significant_digits(b):
        return None
    x, y, unit_a, unit_b = rational(a), rational(b), _last_place(a), _last_place(b)
    assert x is not None and y is not None
    return x == y or (unit_a != unit_b and abs(x - y) <= max(unit_a, unit_b))
