"""The value of a tree at one point, by mpmath, which is imported on first use.

    Evaluator({"x": Fraction(1, 2)}).value(parse("x^2"))  ->  mpf(0.25)

An unknown function has the value of a hash of its arguments. The evaluator counts what its precision hides: a term far below
its neighbours, and a sum that is zero except for rounding errors.
"""

import hashlib
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

from evoltune_math.answers.algebra.rational import MAX_BITS, TooLarge, Undefined, rational
from evoltune_math.answers.nodes import IMAGINARY, Node, symbols
from evoltune_math.answers.vocabulary import CIRCULAR, HYPERBOLIC

DIGITS = 40
MAX_ARGUMENT = 20_000  # of functions that grow like e^x or faster
MAX_SUMMANDS = 10_000
MAX_DETERMINANT = 8
SEEN_BITS = 33  # a term so many bits below its neighbours is still seen with 25 digits in 40
_SATURATING = {"tanh": 3, "coth": 3, "erf": 2}
"""Function -> bits of its distance from 1 for each unit of its argument (for `erf`, of the square)."""


class NotNumeric(Exception):
    """A part of the tree has no numeric value: text, a set, an integral without bounds."""


@lru_cache(maxsize=16)
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
        self.lost = 0
        """The most bits by which a term lies below a neighbour: with less precision than that it does not count."""
        self.cancelled = False
        """Whether a sum or a function was zero except for rounding errors; more digits tell whether it is zero."""
        self.integrating = False
        self.symbolic = bool(values)

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
            if part and part._mpf_[1] and abs(size := part._mpf_[2] + part._mpf_[3]) > MAX_BITS:
                if self.integrating and size < 0:
                    return self.mp.zero
                raise TooLarge(f"a value of more than {MAX_BITS} bits")
            if not self.mp.isfinite(part):
                raise Undefined("not finite")
        return result

    def _operation(self, node: Node) -> Any:
        if node.op not in _OPERATIONS:
            raise NotNumeric(node.op)
        return _OPERATIONS[node.op](self.mp, [self.value(a) for a in node.args])

    def _bits(self, value: Any) -> int:
        """The binary exponent of a value that is not zero."""
        return int(self.mp.mag(value))

    def _without_noise(self, result: Any, size: int) -> Any:
        """`result`, or zero if it is only the rounding error of numbers of `size` bits."""
        if result and self._bits(result) < size - self.mp.prec + _NOISE_BITS:
            self.cancelled = True
            return self.mp.zero
        self.cancelled |= not result
        return result

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

    def _add(self, node: Node) -> Any:
        values = [v for v in map(self.value, node.args) if v]
        if len(values) < 2:
            return values[0] if values else self.mp.zero
        sizes = list(map(self._bits, values))
        self.lost = max(self.lost, max(sizes) - min(sizes))
        return self._without_noise(self.mp.fsum(values), max(sizes))

    def _div(self, node: Node) -> Any:
        bottom = self.value(node.args[1])
        if not bottom:
            raise Undefined("division by zero")
        return self.value(node.args[0]) / bottom

    def _pow(self, node: Node) -> Any:
        base, exponent = self.value(node.args[0]), self.value(node.args[1])
        exact = rational(node.args[1])
        if base == 0:
            if exponent.real > 0 and (exact is not None or not symbols(node.args[1])):
                return self.mp.mpf(0)
            raise Undefined("zero to a power that is not known to be positive")
        if abs(exponent) * (abs(self.mp.log(abs(base))) + 4) > MAX_BITS:
            if self.integrating and exponent.real * self.mp.log(abs(base)) < 0:
                return self.mp.zero
            raise TooLarge(f"a power of more than {MAX_BITS} bits")
        if exponent:
            self.lost = max(self.lost, -self._bits(exponent))
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
            if self.integrating:  # as many points for each of many points: left to SymPy
                raise NotNumeric("an integral in an integral")
            bounds, outside = [self._bound(below), self._bound(above)], (self.lost, self.integrating)
            self.integrating = True
            area = self.mp.quad(lambda x: self._value_where(node.note, x, body), bounds, maxdegree=7)
            self.lost, self.integrating = outside
            return area
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
        if name in ("floor", "ceil") and len(args) == 1:
            return self._floor(args[0]) if name == "floor" else -self._floor(-args[0])
        if name in ("gcd", "lcm"):  # of symbols: the value is unknown, the order does not matter
            return self._unknown(name, sorted(args, key=str))
        if name == "perm" and len(args) == 2:
            return mp.ff(*args)
        method = _METHODS.get(name)
        if method is None or len(args) != (2 if name == "binom" else 1):
            raise NotNumeric(name)
        if name in ("exp", "sinh", "cosh", "gamma") and abs(args[0]) > MAX_ARGUMENT:
            raise TooLarge(f"{name} of more than {MAX_ARGUMENT}")
        result = getattr(mp, method)(*args)
        return self._checked(name, args[0], result) if len(args) == 1 else result

    def _checked(self, name: str, arg: Any, result: Any) -> Any:
        """The value of a function, and the precision that its argument needs to count."""
        size = self._bits(arg) if arg else 0
        if size < -SEEN_BITS:  # cos(10^{-30}) is not one
            self.lost = max(self.lost, -2 * size)
        elif name in _SATURATING:
            far = abs(arg) if name != "erf" else abs(arg) ** 2
            self.lost = max(self.lost, int(far) * _SATURATING[name])
        elif name == "arctan" and size > SEEN_BITS:
            self.lost = max(self.lost, size)
        if name in _WITH_ZEROS and size > -SEEN_BITS:
            return self._without_noise(result, max(size, 0))
        return result

    def _floor(self, value: Any) -> Any:
        """The floor, in which the noise of an integer does not count. Of symbols, u - floor(u) is an unknown function of
        period one: the points would hardly ever meet the steps of `\\lfloor 1/(1+x^2) \\rfloor`."""
        near = self.mp.nint(value.real)
        if abs(value - near) < self.mp.mpf(10) ** (8 - self.digits):
            value = near
        whole = self.mp.floor(value.real)
        if not self.symbolic or self.integrating:
            return whole
        return value - self._unknown("frac", [value - whole]) if value != whole else whole + self._unknown("frac", [0])

    def _mod(self, node: Node) -> Any:
        value, modulus = map(self.value, node.args)
        if not modulus:
            raise Undefined("a remainder of division by zero")
        return value - modulus * self._floor(value / modulus)

    def _unknown(self, name: str, args: list[Any]) -> Any:
        """A function without a definition: equal arguments give equal values, however they are written."""
        shown = ",".join(self.mp.nstr(a, 15) for a in args)
        sha = hashlib.sha256(f"{name}({shown})".encode()).digest()
        return self.mp.mpf(int.from_bytes(sha[:6], "big") + 1) / 2**47


_NOISE_BITS = 27
_WITH_ZEROS = frozenset(
    [*CIRCULAR, *(f"arc{name}" for name in CIRCULAR), "ln", "sinh", "tanh", "arsinh", "arcosh", "artanh"]
)
"""Functions that are zero at other points than zero, or only nearly zero because of rounding errors."""
_OPERATIONS: dict[str, Callable[[Any, list[Any]], Any]] = {
    "mul": lambda mp, values: mp.fprod(values),
    "neg": lambda mp, values: -values[0],
    "abs": lambda mp, values: abs(values[0]),
    "pct": lambda mp, values: values[0] / 100,
    "deg": lambda mp, values: values[0] * mp.pi / 180,
    "unit": lambda mp, values: values[0],
}
_METHODS = {
    **{name: name for name in (*CIRCULAR, *HYPERBOLIC)},
    **{f"arc{name}": f"a{name}" for name in CIRCULAR},
    **{f"ar{name}": f"a{name}" for name in HYPERBOLIC},
    "ln": "ln", "floor": "floor", "ceil": "ceil", "sgn": "sign", "Re": "re", "Im": "im", "arg": "arg", "gamma": "gamma", "erf": "erf",
    "conj": "conj", "sqrt": "sqrt", "binom": "binomial", "exp": "exp", "cis": "expj",
}  # fmt: skip
"""Function -> its name in mpmath."""


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
