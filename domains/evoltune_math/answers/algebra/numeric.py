"""Values by mpmath: decides nearly every `not equal`, and confirms equality at several points and two precisions.

`agree(a, b)` -> True, False, or None when fewer than two points could be compared. Symbols take positive and negative
values; a point counts only where both sides are real, unless the imaginary unit is written. Unknown functions take the
value of a hash of their arguments. mpmath is imported on first use.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

from evoltune_math.answers.algebra.exact import Undefined, rational
from evoltune_math.answers.limits import MAX_BITS, MAX_SUMMANDS, TooLarge
from evoltune_math.answers.nodes import Node, has, symbols, walk
from evoltune_math.answers.vocabulary import TRIGONOMETRIC

DIGITS = 40
_POINTS = 7


class NotNumeric(Exception):
    """The tree has a part without a value: text, a set, an integral without bounds."""


@lru_cache(maxsize=4)
def _context(digits: int) -> Any:
    import mpmath

    context = mpmath.mp.clone()
    context.dps = digits
    return context


class Evaluator:
    """Evaluates trees at one point and one precision."""

    def __init__(
        self, values: Mapping[str, Fraction], digits: int = DIGITS, real_roots: bool = False
    ) -> None:
        self.real_roots = real_roots
        self.mp, self.digits = _context(digits), digits
        self.values: dict[str, Any] = {k: self.mp.mpf(v.numerator) / v.denominator for k, v in values.items()}

    def value(self, node: Node) -> Any:
        """An mpf or mpc. Raises `NotNumeric`, `Undefined`, `TooLarge`."""
        method = getattr(self, "_" + node.op, None)
        if method is None:
            raise NotNumeric(node.op)
        try:
            result = self.mp.convert(method(node))
        except (ZeroDivisionError, ValueError, OverflowError) as error:
            raise Undefined(str(error)) from None
        self.bounded(result)
        return result

    def bounded(self, result: Any) -> None:
        for part in (result.real, result.imag):
            if part and part._mpf_[1] and abs(part._mpf_[2] + part._mpf_[3]) > MAX_BITS:
                raise TooLarge("a value over the budget")
            if not self.mp.isfinite(part):
                raise Undefined("not finite")

    def _num(self, node: Node) -> Any:
        assert isinstance(node.value, Fraction)
        return self.mp.mpf(node.value.numerator) / node.value.denominator

    _dec = _num

    def _sym(self, node: Node) -> Any:
        if node.value not in self.values:
            raise NotNumeric(str(node.value))
        return self.values[str(node.value)]

    def _const(self, node: Node) -> Any:
        if node.value == "pi":
            return +self.mp.pi
        if node.value == "e":
            return +self.mp.e
        if node.value == "i":
            return self.mp.mpc(0, 1)
        raise NotNumeric(str(node.value))

    def _add(self, node: Node) -> Any:
        return self.mp.fsum([self.value(a) for a in node.args])

    def _mul(self, node: Node) -> Any:
        return self.mp.fprod([self.value(a) for a in node.args])

    def _neg(self, node: Node) -> Any:
        return -self.value(node.args[0])

    def _div(self, node: Node) -> Any:
        bottom = self.value(node.args[1])
        if (
            self.mp.almosteq(bottom, 0, abs_eps=self.mp.mpf(10) ** (5 - self.digits))
            and rational(node.args[1]) is None
        ):
            raise Undefined("division by nearly zero")
        return self.value(node.args[0]) / bottom

    def _pow(self, node: Node) -> Any:
        base, exponent = self.value(node.args[0]), self.value(node.args[1])
        if base == 0:
            if exponent.real > 0:
                return self.mp.mpf(0)
            raise Undefined("zero to a power that is not positive")
        if abs(exponent) * (abs(self.mp.log(abs(base))) + 4) > MAX_BITS:
            raise TooLarge("a power over the budget")
        whole = rational(node.args[1])
        if whole is not None and whole.denominator == 1:
            return base ** int(whole)
        if (
            self.real_roots
            and whole is not None
            and whole.denominator % 2
            and base.imag == 0
            and base.real < 0
        ):
            return (-1) ** (whole.numerator % 2) * self.mp.power(-base, exponent)
        return self.mp.power(base, exponent)

    def _root(self, node: Node) -> Any:
        inside, index = self.value(node.args[0]), self.value(node.args[1])
        odd = index.imag == 0 and index == int(index.real) and int(index.real) % 2 == 1
        if odd and inside.imag == 0 and inside.real < 0:
            return -self.mp.power(-inside, 1 / index)
        return self.mp.power(inside, 1 / index)

    def _abs(self, node: Node) -> Any:
        return abs(self.value(node.args[0]))

    def _norm(self, node: Node) -> Any:
        inside = node.args[0]
        if inside.op == "seq":
            return self.mp.sqrt(self.mp.fsum([abs(self.value(a)) ** 2 for a in inside.args]))
        raise NotNumeric("norm")

    def _pct(self, node: Node) -> Any:
        return self.value(node.args[0]) / 100

    def _deg(self, node: Node) -> Any:
        return self.value(node.args[0]) * self.mp.pi / 180

    def _unit(self, node: Node) -> Any:
        return self.value(node.args[0])

    def _base(self, node: Node) -> Any:
        value = rational(node)
        if value is None:
            raise NotNumeric("base")
        return self.mp.mpf(value.numerator) / value.denominator

    def _mod(self, node: Node) -> Any:
        return self.mp.fmod(self.value(node.args[0]), self.value(node.args[1]))

    def _fact(self, node: Node) -> Any:
        inside = self.value(node.args[0])
        if abs(inside) > 20_000:
            raise TooLarge("a factorial over the budget")
        return self.mp.fac2(inside) if node.note == "!!" else self.mp.factorial(inside)

    def _matrix(self, node: Node) -> Any:
        if node.note != "det":
            raise NotNumeric("matrix")
        rows = [[self.value(c) for c in r.args] for r in node.args]
        if len(rows) > 8 or any(len(r) != len(rows) for r in rows):
            raise NotNumeric("determinant")
        return self.mp.det(self.mp.matrix(rows))

    def _bigop(self, node: Node) -> Any:
        body, below, above = node.args
        if node.value == "int":
            return self._integral(node)
        if node.value not in ("sum", "prod") or below.op != "rel" or below.value != "=" or above.op == "seq":
            raise NotNumeric(str(node.value))
        index, low, high = str(below.args[0].value), rational(below.args[1]), rational(above)
        if low is None or high is None or low.denominator != 1 or high.denominator != 1:
            raise NotNumeric("a sum whose bounds are not whole numbers")
        if high - low > MAX_SUMMANDS:
            raise TooLarge("a sum with too many terms")
        saved = self.values.get(index)
        terms = []
        for k in range(int(low), int(high) + 1):
            self.values[index] = self.mp.mpf(k)
            terms.append(self.value(body))
        self.values.pop(index, None) if saved is None else self.values.__setitem__(index, saved)
        return self.mp.fsum(terms) if node.value == "sum" else self.mp.fprod(terms)

    def _integral(self, node: Node) -> Any:
        body, below, above = node.args
        if below.op == "seq" or above.op == "seq":
            raise NotNumeric("an integral without bounds")
        saved = dict(self.values)

        def integrand(x: Any) -> Any:
            self.values[node.note] = x
            return self.value(body)

        low, high = (
            self.mp.inf
            if n.value == "inf"
            else -self.mp.inf
            if n.op == "neg" and n.args[0].value == "inf"
            else self.value(n)
            for n in (below, above)
        )
        result = self.mp.quad(integrand, [low, high], maxdegree=7)
        self.values = saved
        return result

    def _fn(self, node: Node) -> Any:
        name = str(node.value)
        args = [self.value(a) for a in node.args]
        if name[:1] == "?":
            return self._unknown(name, args)
        mp = self.mp
        if name == "log":
            return (
                mp.log(args[0]) / mp.log(args[1] if len(args) > 1 else 10)
                if len(args) > 1
                else self._log(args[0])
            )
        if name in ("max", "min"):
            return (max if name == "max" else min)(a.real for a in args)
        simple = {"ln": "ln", "floor": "floor", "ceil": "ceil", "sgn": "sign", "Re": "re", "Im": "im", "arg": "arg", "gamma": "gamma",
                  "erf": "erf", "conj": "conj", "sqrt": "sqrt", "binom": "binomial", "exp": "exp"}  # fmt: skip
        if name == "cis":
            return mp.expj(args[0])
        if name in ("gcd", "lcm"):  # of symbols: the order does not matter, the value is not known
            return self._unknown(name, sorted(args, key=str))
        if name == "perm" and len(args) == 2:
            return mp.ff(args[0], args[1])
        inverse = {"arc": "a", "ar": "a"}
        for prefix, short in inverse.items():
            if name.startswith(prefix) and name[len(prefix) :] in _CIRCULAR:
                name = short + name[len(prefix) :]
        method = (
            getattr(mp, simple.get(name, name), None)
            if name in simple or name.lstrip("a") in _CIRCULAR
            else None
        )
        if method is None or len(args) != (2 if name == "binom" else 1):
            raise NotNumeric(name)
        if name in ("exp", "sinh", "cosh", "gamma") and abs(args[0]) > 20_000:
            raise TooLarge(name)
        return method(*args)

    def _log(self, x: Any) -> Any:
        return self.mp.log(x)

    def _unknown(self, name: str, args: list[Any]) -> Any:
        """A function without a definition: the same arguments give the same value, whatever they look like."""
        shown = ",".join(self.mp.nstr(a, 15) for a in args)
        sha = hashlib.sha256(f"{name}({shown})".encode()).digest()
        return self.mp.mpf(int.from_bytes(sha[:6], "big") + 1) / 2**47


_CIRCULAR = frozenset(
    ["sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "coth", "sech", "csch"]
)


def _points(names: list[str]) -> list[dict[str, Fraction]]:
    """Fixed pseudo-random points: three positive (the first below one), then of mixed signs."""
    found = []
    for k in range(_POINTS):
        point = {}
        for name in names:
            sha = hashlib.sha256(f"{k}/{name}".encode()).digest()
            size = Fraction(int.from_bytes(sha[:4], "big"), 2**32)
            size = (
                Fraction(1, 5) + size * Fraction(3, 5)
                if k == 0
                else Fraction(1, 3) + size * (3 if k < 5 else 9)
            )
            point[name] = -size if k > 2 and (len(names) == 1 or sha[4] % 2) else size
        found.append(point)
    return found


def _close(a: Any, b: Any, digits: int) -> bool:
    scale = max(abs(a), abs(b))
    return bool(scale == 0 or abs(a - b) <= scale * scale.context.mpf(10) ** (-digits))


def _tiny(value: Any, digits: int) -> bool:
    return bool(abs(value) < value.context.mpf(10) ** (8 - digits))


def agree(a: Node, b: Node) -> bool | None:
    """Whether two expressions have the same values. Raises `TooLarge`."""
    names = sorted(symbols(a) | symbols(b))
    written = any(n.op == "const" and n.value == "i" for tree in (a, b) for n in walk(tree))
    if not names:
        principal = _agree_at({}, a, b, complex_counts=True)
        return principal if principal is not False else (not written and _real_roots_agree(a, b))
    seen = spare = 0
    for point in _points(names):
        same = _agree_at(point, a, b, complex_counts=written)
        if same is False:
            return False
        seen += same is True
    if seen >= 2:
        return True
    for point in _points(names)[:3]:
        same = _agree_at(point, a, b, complex_counts=True)
        if same is False:
            return False
        spare += same is True
    return True if spare >= 2 else None


def _real_roots_agree(a: Node, b: Node) -> bool:
    """`(-8)^{1/3}` read as the real root, where the principal value is complex."""
    if not any(n.op == "pow" and n.args[1].op == "div" for tree in (a, b) for n in walk(tree)):
        return False
    try:
        at = Evaluator({}, DIGITS, real_roots=True)
        left, right = at.value(a), at.value(b)
    except (Undefined, NotNumeric, TooLarge):
        return False
    return not left.imag and not right.imag and _close(left.real, right.real, 25)


def _agree_at(point: Mapping[str, Fraction], a: Node, b: Node, complex_counts: bool) -> bool | None:
    loose = has(a, "bigop") or has(b, "bigop")
    first = _compare(point, a, b, DIGITS, complex_counts, 12 if loose else 25)
    if first is not True or point or loose:
        return first
    return _compare(point, a, b, 3 * DIGITS, complex_counts, 90)


def _compare(
    point: Mapping[str, Fraction], a: Node, b: Node, digits: int, complex_counts: bool, wanted: int
) -> bool | None:
    try:
        at = Evaluator(point, digits)
        left, right = at.value(a), at.value(b)
        if _tiny(left, digits) or _tiny(right, digits):  # zero, or only small? ask again with more digits
            finer = Evaluator(point, 4 * digits)
            left, right = (0 * v if _tiny(v, 4 * digits) else v for v in (finer.value(a), finer.value(b)))
    except (Undefined, NotNumeric):
        return None
    real = all(
        _tiny(v.imag, digits - wanted // 4 + 4) or abs(v.imag) < abs(v) * v.context.mpf(10) ** (-wanted)
        for v in (left, right)
    )
    if not real and not complex_counts:
        return None
    if left.imag or right.imag:
        return _close(left, right, wanted)
    return _close(left.real, right.real, wanted)


def approximate(node: Node) -> float | None:
    """The real value of a constant as a float (for sorting endpoints), or None."""
    try:
        value = rational(node)
        if value is not None:
            return float(value)
        result = Evaluator({}).value(node)
    except (Undefined, NotNumeric, TooLarge, OverflowError):
        return None
    return None if abs(result.imag) > 1e-20 else float(result.real)


def real_value(node: Node, digits: int = DIGITS) -> Any:
    """The value of a constant to `digits` digits, or None."""
    try:
        return Evaluator({}, digits).value(node)
    except (Undefined, NotNumeric, TooLarge):
        return None


__all__ = ["TRIGONOMETRIC", "Evaluator", "NotNumeric", "agree", "approximate", "math", "real_value"]
