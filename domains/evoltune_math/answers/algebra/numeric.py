"""Numeric values by mpmath: they settle nearly every `not equal`, and confirm equality at several points.

    agree(parse("\\\\sin^2 x + \\\\cos^2 x"), ONE)   # True: equal at all points that could be compared

Symbols take positive and negative values. A point counts only if both sides are real there, unless the imaginary unit is
written. An unknown function has the value of a hash of its arguments. mpmath is imported on first use.
"""

import hashlib
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

from evoltune_math.answers.algebra.rational import MAX_BITS, TooLarge, Undefined, rational
from evoltune_math.answers.nodes import IMAGINARY, Node, has, symbols, walk
from evoltune_math.answers.vocabulary import CIRCULAR, HYPERBOLIC

DIGITS = 40
AGREEING_DIGITS = 25
AGREEING_DIGITS_BIGOP = 12  # of sums and integrals, whose numeric values are less precise
MAX_ARGUMENT = 20_000  # of functions that grow like e^x or faster
MAX_SUMMANDS = 10_000
MAX_DETERMINANT = 8
_POINTS = 7


class NotNumeric(Exception):
    """A part of the tree has no numeric value: text, a set, an integral without bounds."""


@lru_cache(maxsize=4)
def _context(digits: int) -> Any:
    import mpmath

    context = mpmath.mp.clone()
    context.dps = digits
    return context


class Evaluator:
    """Evaluates trees at one point, with one precision."""

    def __init__(self, values: Mapping[str, Fraction], digits: int = DIGITS, real_roots: bool = False) -> None:
        self.mp, self.digits, self.real_roots = _context(digits), digits, real_roots
        self.values: dict[str, Any] = {name: self.convert(value) for name, value in values.items()}

    def convert(self, value: Fraction) -> Any:
        return self.mp.mpf(value.numerator) / value.denominator

    def value(self, node: Node) -> Any:
        """An mpf or mpc. Raises `NotNumeric`, `Undefined`, `TooLarge`."""
        method = getattr(self, "_" + node.op, self._operation)
        try:
            result = self.mp.convert(method(node))
        except (ZeroDivisionError, ValueError, OverflowError) as error:
            raise Undefined(str(error)) from None
        for part in (result.real, result.imag):
            if part and part._mpf_[1] and abs(part._mpf_[2] + part._mpf_[3]) > MAX_BITS:
                raise TooLarge(f"a value of more than {MAX_BITS} bits")
            if not self.mp.isfinite(part):
                raise Undefined("not finite")
        return result

    def _operation(self, node: Node) -> Any:
        if node.op not in _OPERATIONS:
            raise NotNumeric(node.op)
        return _OPERATIONS[node.op](self.mp, [self.value(a) for a in node.args])

    # A method for each op that needs more than the values of its arguments; its name is an underscore and the op.

    def _num(self, node: Node) -> Any:
        assert isinstance(node.value, Fraction)
        return self.convert(node.value)

    _dec = _num

    def _sym(self, node: Node) -> Any:
        if node.value not in self.values:
            raise NotNumeric(str(node.value))
        return self.values[str(node.value)]

    def _const(self, node: Node) -> Any:
        if node == IMAGINARY:
            return self.mp.mpc(0, 1)
        if node.value not in ("pi", "e"):
            raise NotNumeric(str(node.value))
        return +getattr(self.mp, str(node.value))

    def _div(self, node: Node) -> Any:
        bottom = self.value(node.args[1])
        nearly_zero = self.mp.almosteq(bottom, 0, abs_eps=self.mp.mpf(10) ** (5 - self.digits))
        if nearly_zero and rational(node.args[1]) is None:
            raise Undefined("division by nearly zero")
        return self.value(node.args[0]) / bottom

    def _pow(self, node: Node) -> Any:
        base, exponent = self.value(node.args[0]), self.value(node.args[1])
        if base == 0:
            if exponent.real > 0:
                return self.mp.mpf(0)
            raise Undefined("zero to a power that is not positive")
        if abs(exponent) * (abs(self.mp.log(abs(base))) + 4) > MAX_BITS:
            raise TooLarge(f"a power of more than {MAX_BITS} bits")
        exact = rational(node.args[1])
        if exact is not None and exact.denominator == 1:
            return base ** int(exact)
        if self.real_roots and exact and exact.denominator % 2 and base.imag == 0 and base.real < 0:
            return (-1) ** (exact.numerator % 2) * self.mp.power(-base, exponent)
        return self.mp.power(base, exponent)

    def _root(self, node: Node) -> Any:
        inside, index = self.value(node.args[0]), self.value(node.args[1])
        is_odd = index.imag == 0 and index == int(index.real) and int(index.real) % 2 == 1
        if is_odd and inside.imag == 0 and inside.real < 0:
            return -self.mp.power(-inside, 1 / index)
        return self.mp.power(inside, 1 / index)

    def _norm(self, node: Node) -> Any:
        inside = node.args[0]
        if inside.op != "seq":
            raise NotNumeric("norm")
        return self.mp.sqrt(self.mp.fsum([abs(self.value(a)) ** 2 for a in inside.args]))

    def _base(self, node: Node) -> Any:
        value = rational(node)
        if value is None:
            raise NotNumeric("base")
        return self.convert(value)

    def _fact(self, node: Node) -> Any:
        inside = self.value(node.args[0])
        if abs(inside) > MAX_ARGUMENT:
            raise TooLarge(f"a factorial of more than {MAX_ARGUMENT}")
        return self.mp.fac2(inside) if node.value == "!!" else self.mp.factorial(inside)

    def _matrix(self, node: Node) -> Any:
        if node.note != "det":
            raise NotNumeric("matrix")
        rows = [[self.value(c) for c in r.args] for r in node.args]
        if len(rows) > MAX_DETERMINANT or any(len(r) != len(rows) for r in rows):
            raise NotNumeric("determinant")
        return self.mp.det(self.mp.matrix(rows))

    def _bigop(self, node: Node) -> Any:
        body, below, above = node.args
        if node.value == "int" and "seq" not in (below.op, above.op):
            bounds = [self._bound(below), self._bound(above)]
            return self.mp.quad(lambda x: self._value_where(node.note, x, body), bounds, maxdegree=7)
        if node.value not in ("sum", "prod") or below.op != "rel" or below.value != "=" or above.op == "seq":
            raise NotNumeric(str(node.value))
        index, low, high = str(below.args[0].value), rational(below.args[1]), rational(above)
        if low is None or high is None or low.denominator != 1 or high.denominator != 1:
            raise NotNumeric("a sum whose bounds are not integers")
        if high - low > MAX_SUMMANDS:
            raise TooLarge(f"a sum of {high - low} terms, the limit is {MAX_SUMMANDS}")
        terms = [self._value_where(index, self.mp.mpf(k), body) for k in range(int(low), int(high) + 1)]
        return self.mp.fsum(terms) if node.value == "sum" else self.mp.fprod(terms)

    def _value_where(self, name: str, x: Any, body: Node) -> Any:
        """The value of `body` at the point where the symbol `name` is x."""
        outside = self.values
        self.values = {**outside, name: x}
        result = self.value(body)
        self.values = outside
        return result

    def _bound(self, node: Node) -> Any:
        if node.value == "inf":
            return self.mp.inf
        if node.op == "neg" and node.args[0].value == "inf":
            return -self.mp.inf
        return self.value(node)

    def _fn(self, node: Node) -> Any:
        name, mp = str(node.value), self.mp
        args = [self.value(a) for a in node.args]
        if name[:1] == "?":
            return self._unknown(name, args)
        if name == "log":
            return mp.log(args[0]) / mp.log(args[1]) if len(args) > 1 else mp.log(args[0])
        if name in ("max", "min"):
            return (max if name == "max" else min)(a.real for a in args)
        if name in ("gcd", "lcm"):  # of symbols: the value is unknown, the order does not matter
            return self._unknown(name, sorted(args, key=str))
        if name == "perm" and len(args) == 2:
            return mp.ff(*args)
        method = _METHODS.get(name)
        if method is None or len(args) != (2 if name == "binom" else 1):
            raise NotNumeric(name)
        if name in ("exp", "sinh", "cosh", "gamma") and abs(args[0]) > MAX_ARGUMENT:
            raise TooLarge(f"{name} of more than {MAX_ARGUMENT}")
        return getattr(mp, method)(*args)

    def _unknown(self, name: str, args: list[Any]) -> Any:
        """A function without a definition: equal arguments give equal values, however they are written."""
        shown = ",".join(self.mp.nstr(a, 15) for a in args)
        sha = hashlib.sha256(f"{name}({shown})".encode()).digest()
        return self.mp.mpf(int.from_bytes(sha[:6], "big") + 1) / 2**47


_OPERATIONS: dict[str, Callable[[Any, list[Any]], Any]] = {
    "add": lambda mp, values: mp.fsum(values),
    "mul": lambda mp, values: mp.fprod(values),
    "neg": lambda mp, values: -values[0],
    "abs": lambda mp, values: abs(values[0]),
    "pct": lambda mp, values: values[0] / 100,
    "deg": lambda mp, values: values[0] * mp.pi / 180,
    "unit": lambda mp, values: values[0],
    "mod": lambda mp, values: mp.fmod(*values),
}
_METHODS = {
    **{name: name for name in (*CIRCULAR, *HYPERBOLIC)},
    **{f"arc{name}": f"a{name}" for name in CIRCULAR},
    **{f"ar{name}": f"a{name}" for name in HYPERBOLIC},
    "ln": "ln", "floor": "floor", "ceil": "ceil", "sgn": "sign", "Re": "re", "Im": "im", "arg": "arg", "gamma": "gamma", "erf": "erf",
    "conj": "conj", "sqrt": "sqrt", "binom": "binomial", "exp": "exp", "cis": "expj",
}  # fmt: skip
"""Function -> its name in mpmath."""


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


def _close(a: Any, b: Any, digits: int) -> bool:
    scale = max(abs(a), abs(b))
    return bool(scale == 0 or abs(a - b) <= scale * scale.context.mpf(10) ** (-digits))


def _tiny(value: Any, digits: int) -> bool:
    return bool(abs(value) < value.context.mpf(10) ** (8 - digits))


def agree(a: Node, b: Node) -> bool | None:
    """Whether two expressions have the same values; None if too few points could be compared. Raises `TooLarge`."""
    names = sorted(symbols(a) | symbols(b))
    is_complex = any(n == IMAGINARY for tree in (a, b) for n in walk(tree))
    if not names:
        principal = _agree_at({}, a, b, allow_complex=True)
        return principal if principal is not False else (not is_complex and _real_roots_agree(a, b))
    for points, allow_complex in ((_points(names), is_complex), (_points(names)[:3], True)):
        compared = 0
        for point in points:
            same = _agree_at(point, a, b, allow_complex)
            if same is False:
                return False
            compared += same is True
        if compared >= 2:
            return True
    return None


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
        if _tiny(left, digits) or _tiny(right, digits):  # zero or only small? More digits tell
            finer = Evaluator(point, 4 * digits)
            left, right = (0 * v if _tiny(v, 4 * digits) else v for v in (finer.value(a), finer.value(b)))
    except (Undefined, NotNumeric):
        return None
    is_real = all(
        _tiny(v.imag, digits - wanted // 4 + 4) or abs(v.imag) < abs(v) * v.context.mpf(10) ** (-wanted)
        for v in (left, right)
    )
    if not is_real and not complex_too:
        return None
    return _close(left, right, wanted) if left.imag or right.imag else _close(left.real, right.real, wanted)


def real_value(node: Node, real_roots: bool = False) -> Any:
    """The value of a constant as an mpf, or None if it has none or is not real."""
    try:
        value = Evaluator({}, DIGITS, real_roots).value(node)
    except (Undefined, NotNumeric, TooLarge):
        return None
    return value.real if value.imag == 0 else None


def approximate(node: Node) -> float | None:
    """The real value of a constant as a float, for sorting; None if it has none."""
    try:
        exact = rational(node)
        if exact is not None:
            return float(exact)
        value = Evaluator({}).value(node)
    except (Undefined, NotNumeric, TooLarge, OverflowError):
        return None
    return None if abs(value.imag) > 1e-20 else float(value.real)
