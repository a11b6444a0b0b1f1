"""Rules for named values, relations, families and approximations.

Equations are equal up to a factor, inequalities up to a positive one, chains member by member.
"""

from dataclasses import replace
from fractions import Fraction

from evoltune_math.answers.algebra.evaluation import real_value
from evoltune_math.answers.algebra.normal_form import normal_form
from evoltune_math.answers.algebra.rational import TooLarge, Undefined, known_rational
from evoltune_math.answers.equality.comparison import Comparison, Rules, before
from evoltune_math.answers.equality.expressions import Expressions, both_round_one_value
from evoltune_math.answers.equality.parameters import same_family
from evoltune_math.answers.equality.values import same_words
from evoltune_math.answers.kinds import KINDS, Answer, Either, Family, Named, Region, Relation, Value, letters, renamed
from evoltune_math.answers.nodes import Node, add, difference, div, mul, num, substitute, sym, symbols
from evoltune_math.answers.vocabulary import FLIPPED

_FLIPPED = FLIPPED | {sign: sign for sign in ("sim", "cong", "parallel", "perp")}
MAX_SYMBOLS = 8
_WHOLE = frozenset({"k", "m", "n", "t", "j", "q"})
"""Letters that a family of whole numbers has as its parameter."""
_INDICES = frozenset("kmnij")
"""Letters of the index of a sequence; which one is written does not matter."""
_CONSTANTS = "abcdpq"
"""Letters of arguments that name one point where the value does not have them."""


def _named_named(comparison: Comparison, a: Named, b: Named) -> bool:
    b = _with_arguments_of(a, b)
    is_one_label = a.name.op == b.name.op == "text" and same_words(str(a.name.value), str(b.name.value), "loose")
    if (
        a.name == b.name
        or is_one_label
        or _is_read_backwards(a.name, b.name)
        or comparison.expressions.equal(a.name, b.name)
    ):
        return comparison.same(a.value, b.value)
    ops = {a.name.op, b.name.op}
    if comparison.policy.variables == "ignore" and ops == {"sym"}:
        return comparison.same(a.value, b.value)
    names = {str(a.name.value), str(b.name.value)}
    is_one_letter = len({name.removeprefix("?") for name in names}) == 1
    is_function = ops == {"sym", "fn"} and ("y" in names or is_one_letter)  # `y = 2x` and `f = 2x` are `f(x) = 2x`
    if is_function and comparison.same(a.value, b.value):
        return True
    left, right = _equation(a), _equation(b)
    return left is not None and right is not None and same_relation(comparison.expressions, left, right)


def _is_read_backwards(x: Node, y: Node) -> bool:
    """`AB` is the segment `BA`, and `\\angle ABC` the angle `CBA`."""
    if x.op == y.op == "fn" and x.value == y.value and len(x.args) == len(y.args) == 1:
        return _is_read_backwards(x.args[0], y.args[0])
    points = str(x.value)
    are_points = x.op == y.op == "sym" and len(points) > 1 and points.isalpha() and points.isupper()
    return are_points and points == str(y.value)[::-1]


def _with_arguments_of(a: Named, b: Named) -> Named:
    """`f(y) = y` beside `f(x) = x`: the arguments' names do not matter; that of an event, a point or a random variable does."""
    x, y = a.name, b.name
    if x.op == y.op == "sym" and isinstance(b.value, Value):
        (stem, _, new), (own, _, old) = str(x.value).rpartition("_"), str(y.value).rpartition("_")
        is_index = {old, new} <= _INDICES and old in symbols(b.value.node)
        if stem == own != "" and is_index:  # `a_k = 3^k` beside `a_n = 3^n`
            return Named(x, replace(b.value, node=substitute(b.value.node, {old: sym(new)})))
    are_calls = x.op == y.op == "fn" and x.value == y.value and len(x.args) == len(y.args) and x.args != y.args
    if not are_calls or any(n.op != "sym" for n in (*x.args, *y.args)):
        return b
    if not all(_is_variable(n, call.value) for call in (a, b) for n in call.name.args):
        return b
    if not isinstance(b.value, Value):
        return Named(x, b.value)
    renamed = {str(old.value): new for old, new in zip(y.args, x.args, strict=True)}
    return Named(x, replace(b.value, node=substitute(b.value.node, renamed)))


def _is_variable(argument: Node, value: Answer) -> bool:
    """Whether an argument stands for any value: `x`, and any letter that the value has too (`f(a) = a^2`, never `f(a) = 3`)."""
    name = str(argument.value)
    return name in letters(value) or not (name[:1].isupper() or name[:1] in _CONSTANTS)


def _equation(named: Named) -> Relation | None:
    return Relation(("=",), (named.name, named.value.node)) if isinstance(named.value, Value) else None


def _any_named(comparison: Comparison, a: Answer, b: Named) -> bool:
    policy, name = comparison.policy, str(b.name.value)
    if isinstance(a, Relation):
        if isinstance(b.value, Relation):
            return comparison.same(b.value, a)
        equation = _equation(b)
        return equation is not None and same_relation(comparison.expressions, equation, a)
    if policy.assignment == "required" and not (isinstance(a, Region) and a.variable == name):
        return False
    if isinstance(a, Region):
        is_variable = b.name.op == "sym" and not name[:1].isupper()
        if a.variable and is_variable and a.variable != name and policy.variables == "strict":
            return False
        if isinstance(b.value, Region):
            a = replace(a, variable="")
    return comparison.same(b.value, a)


def _any_family(comparison: Comparison, a: Answer, b: Family) -> bool:
    other = a.answer if isinstance(a, Family) else a
    if comparison.same(b.answer, other) or same_family(b.answer, other, declared=True):
        return True
    own, others = letters(b.answer), letters(other)
    new, old = sorted(own - others), sorted(others - own)
    known = b.parameters | (a.parameters if isinstance(a, Family) else frozenset())
    if len(new) != 1 or len(old) != 1 or not known & {*new, *old}:
        return False
    return comparison.same(b.answer, renamed(other, {old[0]: sym(new[0])}))


def _any_either(comparison: Comparison, a: Answer, b: Either) -> bool:
    if isinstance(a, Either):
        x, y = a.rounded, b.rounded
        both = both_round_one_value(x.node, y.node) if isinstance(x, Value) and isinstance(y, Value) else None
        return comparison.same(a.exact, b.exact) and (comparison.same(x, y) if both is None else both)
    if comparison.same(b.exact, a):
        return True
    return comparison.policy.approximation == "either" and comparison.same(b.rounded, a)


def _value_relation(comparison: Comparison, a: Value, b: Relation) -> bool:
    """`3k + 1` as the class `1 \\pmod 3`: the numbers that a whole k gives."""
    names = symbols(a.node)
    if b.signs == ("=",):  # `4(9 - x^2) = 4(3 - x)(3 + x)`
        first, last = b.members
        equal = comparison.expressions.equal
        return bool(names) and names == symbols(first) == symbols(last) and equal(a.node, last) and equal(first, last)
    if b.signs != ("mod",) or len(names) != 1 or not names <= _WHOLE:
        return False
    residue, modulus = map(known_rational, b.members)
    (name,) = names
    start = known_rational(substitute(a.node, {name: num(0)}))
    if residue is None or start is None or not modulus or (start - residue) % modulus:
        return False
    if start.denominator != 1 or modulus.denominator != 1:
        return False
    lines = (add(num(start), mul(num(step), sym(name))) for step in (modulus, -modulus))
    return any(comparison.expressions.equal(a.node, line) for line in lines)


RULES: Rules = {
    (Value, Relation): _value_relation,
    (Relation, Relation): lambda comparison, a, b: same_relation(comparison.expressions, a, b),
    **{(kind, Named): _any_named for kind in before(Named)},
    (Named, Named): _named_named,
    **{(kind, Family): _any_family for kind in (*before(Family), Family)},
    **{(kind, Either): _any_either for kind in KINDS},
}


def same_relation(expressions: Expressions, a: Relation, b: Relation) -> bool:
    """Whether two relations say the same."""
    if _same_members(expressions, a, b):
        return True
    if a.signs == b.signs == ("mod",):
        return _same_residue(a, b)
    if all(s in _FLIPPED for s in b.signs):
        flipped = Relation(tuple(_FLIPPED[s] for s in reversed(b.signs)), tuple(reversed(b.members)))
        if _same_members(expressions, a, flipped):
            return True
    is_single = len(a.signs) == len(b.signs) == 1 and {*a.signs, *b.signs} <= set(FLIPPED)
    return is_single and _same_up_to_factor(expressions, a, b)


def _same_residue(a: Relation, b: Relation) -> bool:
    r, m, s, n = map(known_rational, (*a.members, *b.members))
    return r is not None and s is not None and m is not None and m == n != 0 and (r - s) % m == 0


def _same_members(expressions: Expressions, a: Relation, b: Relation) -> bool:
    is_alike = a.signs == b.signs and len(a.members) == len(b.members)
    return is_alike and all(map(expressions.equal, a.members, b.members))


def _same_up_to_factor(expressions: Expressions, a: Relation, b: Relation) -> bool:
    """`x + y = 1` is `2x = 2 - 2y`, and `x < 1` is `-x > -1`."""
    x, y = difference(*a.members), difference(*b.members)
    if symbols(x) != symbols(y):
        return False
    factor, sign = _factor_sign(expressions, x, y), a.signs[0]
    return factor is not None and (sign if factor > 0 else FLIPPED[sign]) == b.signs[0]


def _factor_sign(expressions: Expressions, x: Node, y: Node) -> int | None:
    """The sign of the constant c != 0 with x = c y, or None if there is none. Denominators of equations are cleared."""
    try:
        p, q = normal_form(x), normal_form(y)
    except (TooLarge, Undefined):
        return None
    if not p.top or not q.top:
        return None
    both_free = p.is_free and q.is_free
    both_polynomials = both_free and p.denominator is not None and q.denominator is not None
    if p.bottom == q.bottom or both_polynomials:
        if set(p.top) == set(q.top):
            lead = max(p.top, key=repr)
            ratio = p.top[lead] / q.top[lead]
            if all(p.top[m] == ratio * q.top[m] for m in p.top):
                scale = (q.denominator or Fraction(1)) / (p.denominator or Fraction(1))
                return 1 if ratio * scale > 0 else -1
        if both_free:
            return None
    return _numeric_factor_sign(expressions, x, y)


def _numeric_factor_sign(expressions: Expressions, x: Node, y: Node) -> int | None:
    """The sign of x / y, if that is the same at all points: x y(p) = y x(p) for one point p."""
    names = sorted(symbols(x) | symbols(y))
    if not names or len(names) > MAX_SYMBOLS:
        return None
    point = {name: num(Fraction(7 + 3 * k, 5 + k)) for k, name in enumerate(names)}
    x_there, y_there = substitute(x, point), substitute(y, point)
    ratio = real_value(div(x_there, y_there))
    if not ratio or not expressions.equal(mul(x, y_there), mul(y, x_there)):
        return None
    return 1 if ratio > 0 else -1
