"""The last stage: SymPy, for what has no value at a point (limits, antiderivatives, sums without end).

The tree is translated node by node into SymPy objects, unevaluated where evaluation could be large; no text of a model is
ever given to `sympify` or `parse_expr`. SymPy is imported on first use. `equal` returns False when it cannot decide.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from evoltune_math.answers.nodes import Node, walk
from evoltune_math.answers.vocabulary import word_set

MAX_NODES = 120
"""Trees over this size are not handed to SymPy: `simplify` has no bound of its own."""


class NoTranslation(Exception):
    """A node that SymPy gets no counterpart for."""


def _tame(node: Node) -> bool:
    """Sums without end only of small bodies: their closed forms are searched for without a bound."""
    return all(
        n.value not in ("sum", "prod")
        or (sum(1 for _ in walk(n.args[0])) <= 12 and not any(m.op == "fn" for m in walk(n.args[0])))
        for n in walk(node)
        if n.op == "bigop"
    )


def equal(a: Node, b: Node) -> bool:
    """Whether SymPy shows that a - b is zero."""
    if not (_tame(a) and _tame(b)):
        return False
    if sum(1 for tree in (a, b) for _ in walk(tree)) > MAX_NODES or not any(
        n.op == "bigop" for tree in (a, b) for n in walk(tree)
    ):
        return False
    import sympy

    try:
        difference = to_sympy(a).doit() - to_sympy(b).doit()
        return bool(difference == 0 or sympy.simplify(difference) == 0)
    except (
        NoTranslation,
        ArithmeticError,
        ValueError,
        TypeError,
        AttributeError,
        NotImplementedError,
        RecursionError,
    ):
        return False


def to_sympy(node: Node) -> Any:
    """The SymPy expression of a tree; powers and factorials stay unevaluated. Raises `NoTranslation`."""
    import sympy

    op, args = node.op, node.args
    if op in ("num", "dec"):
        assert isinstance(node.value, Fraction)
        return sympy.Rational(node.value.numerator, node.value.denominator)
    if op == "sym":
        return sympy.Symbol(str(node.value), real=True)
    if op == "const":
        return _constant(str(node.value))
    if op == "bigop":
        return _bigop(node)
    if op == "fn":
        return _function(str(node.value), [to_sympy(a) for a in args])
    parts = [to_sympy(a) for a in args] if op in _OPERATIONS else []
    if not parts:
        raise NoTranslation(op)
    return _OPERATIONS[op](sympy, parts)


_OPERATIONS: dict[str, Any] = {
    "add": lambda s, v: s.Add(*v),
    "mul": lambda s, v: s.Mul(*v),
    "neg": lambda s, v: -v[0],
    "div": lambda s, v: v[0] / v[1],
    "pow": lambda s, v: s.Pow(v[0], v[1], evaluate=False),
    "root": lambda s, v: s.real_root(v[0], v[1]),
    "abs": lambda s, v: s.Abs(v[0]),
    "fact": lambda s, v: s.factorial(v[0], evaluate=False),
    "pct": lambda s, v: v[0] / 100,
    "deg": lambda s, v: v[0] * s.pi / 180,
    "unit": lambda s, v: v[0],
}
_NAMES = {"ln": "log", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "ceil": "ceiling", "arsinh": "asinh", "arcosh": "acosh",
          "artanh": "atanh", "sgn": "sign"}  # fmt: skip
_KNOWN = word_set(
    "sin cos tan cot sec csc sinh cosh tanh log exp sqrt floor ceiling asin acos atan asinh acosh "
    "atanh erf gamma sign"
)


def _constant(name: str) -> Any:
    import sympy

    known = {"pi": sympy.pi, "e": sympy.E, "i": sympy.I, "inf": sympy.oo}
    if name not in known:
        raise NoTranslation(name)
    return known[name]


def _function(name: str, args: list[Any]) -> Any:
    import sympy

    if name == "binom" and len(args) == 2:
        return sympy.binomial(*args, evaluate=False)
    target = _NAMES.get(name, name)
    if name.startswith("?"):
        return sympy.Function(name[1:])(*args)
    if target not in _KNOWN or len(args) not in (1, 2) or (len(args) == 2 and target != "log"):
        raise NoTranslation(name)
    return getattr(sympy, target)(*args)


def _bigop(node: Node) -> Any:
    import sympy

    body, below, above = node.args
    if node.value == "lim" and below.op == "rel" and below.value == "to":
        return sympy.Limit(to_sympy(body), to_sympy(below.args[0]), to_sympy(below.args[1]))
    if node.value == "int":
        x = sympy.Symbol(node.note, real=True)
        bounds = (x,) if below.op == "seq" else (x, to_sympy(below), to_sympy(above))
        return sympy.Integral(to_sympy(body), bounds)
    if node.value in ("sum", "prod") and below.op == "rel" and below.value == "=":
        kind = sympy.Sum if node.value == "sum" else sympy.Product
        return kind(to_sympy(body), (to_sympy(below.args[0]), to_sympy(below.args[1]), to_sympy(above)))
    raise NoTranslation(str(node.value))
