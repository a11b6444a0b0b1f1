"""SymPy, as the last stage, for what has no value at a point: limits, antiderivatives, infinite sums.

The tree is translated node by node, unevaluated where evaluation could be large. Text of a model never reaches `sympify`
or `parse_expr`. SymPy is imported on first use.
"""

from fractions import Fraction
from functools import partial
from typing import Any

from evoltune_math.answers.nodes import Node, has, size, walk

MAX_NODES = 120  # larger trees are not given to SymPy: `simplify` has no bound of its own
MAX_SUMMAND_NODES = 12
"""SymPy searches without a bound for closed forms of sums, so only those of small terms are given to it."""
_CONSTANTS = {"pi": "pi", "e": "E", "i": "I", "inf": "oo"}
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
_FUNCTIONS = {name: name for name in "sin cos tan cot sec csc sinh cosh tanh log exp sqrt floor erf gamma".split()} | {
    "ln": "log", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "ceil": "ceiling", "arsinh": "asinh", "arcosh": "acosh",
    "artanh": "atanh", "sgn": "sign",
}  # fmt: skip
"""Function -> its name in SymPy."""


class NoTranslation(Exception):
    """SymPy has no counterpart for this node."""


def equal(a: Node, b: Node) -> bool:
    """Whether SymPy shows that a - b is zero; False if it cannot decide."""
    if not any(n.op == "bigop" for tree in (a, b) for n in walk(tree)):
        return False
    if size(a) + size(b) > MAX_NODES or not (_has_small_sums(a) and _has_small_sums(b)):
        return False
    import sympy

    try:
        difference = _translated(sympy, a).doit() - _translated(sympy, b).doit()
        return bool(difference == 0 or sympy.simplify(difference) == 0)
    except (NoTranslation, ArithmeticError, ValueError, TypeError, AttributeError, NotImplementedError, RecursionError):
        return False


def _has_small_sums(node: Node) -> bool:
    return all(
        size(n.args[0]) <= MAX_SUMMAND_NODES and not has(n.args[0], "fn")
        for n in walk(node)
        if n.op == "bigop" and n.value in ("sum", "prod")
    )


def _translated(sympy: Any, node: Node) -> Any:
    """The SymPy expression of a tree; powers and factorials stay unevaluated. Raises `NoTranslation`."""
    op = node.op
    if op in ("num", "dec"):
        assert isinstance(node.value, Fraction)
        return sympy.Rational(node.value.numerator, node.value.denominator)
    if op == "sym":
        return sympy.Symbol(str(node.value), real=True)
    if op == "const":
        if node.value not in _CONSTANTS:
            raise NoTranslation(str(node.value))
        return getattr(sympy, _CONSTANTS[str(node.value)])
    if op == "bigop":
        return _bigop(sympy, node)
    if op == "fn":
        return _function(sympy, str(node.value), [_translated(sympy, a) for a in node.args])
    if op not in _OPERATIONS or not node.args or node.value == "!!":
        raise NoTranslation(op)
    return _OPERATIONS[op](sympy, [_translated(sympy, a) for a in node.args])


def _function(sympy: Any, name: str, args: list[Any]) -> Any:
    if name == "binom" and len(args) == 2:
        return sympy.binomial(*args, evaluate=False)
    if name.startswith("?"):
        return sympy.Function(name[1:])(*args)
    if name not in _FUNCTIONS or not (len(args) == 1 or (name == "log" and len(args) == 2)):
        raise NoTranslation(name)
    return getattr(sympy, _FUNCTIONS[name])(*args)


def _bigop(sympy: Any, node: Node) -> Any:
    body, below, above = node.args
    translated = partial(_translated, sympy)
    if node.value == "lim" and below.op == "rel" and below.value == "to":
        return sympy.Limit(translated(body), *map(translated, below.args), dir="+-")  # alone it is that from the right
    if node.value == "int":
        x = sympy.Symbol(node.note, real=True)
        bounds = (x,) if below.op == "seq" else (x, translated(below), translated(above))
        return sympy.Integral(translated(body), bounds)
    if node.value in ("sum", "prod") and below.op == "rel" and below.value == "=":
        kind = sympy.Sum if node.value == "sum" else sympy.Product
        return kind(translated(body), (translated(below.args[0]), translated(below.args[1]), translated(above)))
    raise NoTranslation(str(node.value))
