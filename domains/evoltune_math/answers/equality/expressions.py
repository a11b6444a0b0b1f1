"""Equality of two expressions by stages, the cheapest first: structure, exact value, normal form, numeric values, SymPy.

    expressions = Expressions(Policy()); expressions.equal(parse("x(x+1)"), parse("x^2+x")), expressions.method
    # True, "normal form"

Nothing over a size limit is computed.
"""

from evoltune_math.answers.algebra import numeric, symbolic
from evoltune_math.answers.algebra.normal_form import equal_forms, normal_form
from evoltune_math.answers.algebra.rational import Undefined, rational
from evoltune_math.answers.equality.decimals import rounds, rounds_irrational
from evoltune_math.answers.limits import TooLarge
from evoltune_math.answers.nodes import Node, walk
from evoltune_math.answers.policy import Policy

_WITHOUT_VALUE = frozenset(
    ["text", "seq", "rel", "union", "inter", "minus", "builder", "cases", "ratio", "pmod", "row"]
)


class Expressions:
    """Compares expressions under one policy. `method`: the stage that decided last."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.method = "text"

    def equal(self, a: Node, b: Node) -> bool:
        if a == b:
            self.method = "structure"
            return _is_defined(a)
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
        if _is_symbolic(a) or _is_symbolic(b):
            self.method = "structure"
            return _same_shape(a, b)
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


def _is_defined(node: Node) -> bool:
    """`0/0` and `1/0` equal nothing, not even themselves."""
    return not any(n.op == "div" and n.args[1].op == "num" and n.args[1].value == 0 for n in walk(node))


def _is_symbolic(node: Node) -> bool:
    """Whether a part has no value (text, infinity, sets, tuples) and no operator around it could give it one."""
    nodes = list(walk(node))
    if any(n.op in ("bigop", "norm") or (n.op == "matrix" and n.note == "det") for n in nodes):
        return False
    return any(n.op in _WITHOUT_VALUE or (n.op == "const" and n.value not in ("pi", "e", "i")) for n in nodes)


def _same_shape(a: Node, b: Node) -> bool:
    """Equality of structure that ignores notes and the order of sums and products."""
    if a.op != b.op or len(a.args) != len(b.args):
        return False
    if a.op in ("add", "mul"):
        left = list(b.args)
        for item in a.args:
            at = next((i for i, other in enumerate(left) if _same_shape(item, other)), None)
            if at is None:
                return False
            left.pop(at)
        return True
    if a.value != b.value:
        return False
    return all(_same_shape(x, y) for x, y in zip(a.args, b.args, strict=True))
