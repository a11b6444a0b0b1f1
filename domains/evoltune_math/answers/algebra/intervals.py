"""Sets of reals: intervals, inequalities in one variable, unions and complements become sorted, merged spans.

region_of(parse("x<-1 \\\\text{ or } x>8")) and region_of(parse("(-\\\\infty,-1)\\\\cup(8,\\\\infty)")) have equal spans
"""

import math
from fractions import Fraction
from functools import partial, reduce

from evoltune_math.answers.algebra.evaluation import approximate
from evoltune_math.answers.algebra.normal_form import normal_difference
from evoltune_math.answers.kinds import Region, Span
from evoltune_math.answers.nodes import INF, NEG_INF, ZERO, Node, add, complete, fn, neg, num, symbols
from evoltune_math.answers.vocabulary import FLIPPED, NUMBER_SETS

Spans = tuple[Span, ...]
EVERYTHING: Spans = (Span(NEG_INF, INF, False, False),)
_NAMED_SETS: dict[str, Spans] = {
    "R": EVERYTHING,
    **dict.fromkeys(["R+", "R>0"], (Span(ZERO, INF, False, False),)),
    **dict.fromkeys(["R≥0", "R>=0", "Rge0", "Rgeq0"], (Span(ZERO, INF, True, False),)),
    **dict.fromkeys(["R-", "R<0"], (Span(NEG_INF, ZERO, False, False),)),
}
_SET_OPS = ("union", "inter", "minus", "builder")
MAX_INTEGERS = 200
_equal = partial(math.isclose, rel_tol=1e-12)  # whether two ends are the same


def region_of(node: Node) -> Region | None:
    """The set of reals that the tree describes as an interval, an inequality or a union; else None."""
    op, args = node.op, node.args
    if op == "seq":
        return _interval(str(node.value), args)
    if op == "const":
        spans = _NAMED_SETS.get(str(node.value))
        return None if spans is None else Region(spans)
    if op == "rel":
        return _inequality(str(node.value).split(), args)
    if op == "builder":
        return _builder(*args)
    if op == "add" and (left_out := set_difference(node)) is not None:
        return region_of(left_out)
    if op not in ("union", "inter", "minus"):
        return None
    regions = complete(region_of(_as_set(a)) for a in args)
    if regions is None:
        return None
    first, *others = [r.spans for r in regions]
    if op == "union":
        spans = united(regions)
    else:
        spans = reduce(_intersection, others if op == "inter" else map(_complement, others), first)
    return Region(spans, regions[0].variable)


def set_difference(node: Node) -> Node | None:
    """`[0,5] - \\{2\\}` as the difference of two sets, if one of them can be nothing else; tuples are subtracted as vectors."""
    if len(node.args) != 2 or node.args[1].op != "neg":
        return None
    left, right = node.args[0], node.args[1].args[0]
    sets = [n for n in (left, right) if _is_set(n) or (n.op == "seq" and n.value in ("()", "[]"))]
    return Node("minus", (left, right)) if len(sets) == 2 and any(map(_is_set, sets)) else None


def _is_set(node: Node) -> bool:
    is_named = node.op == "const" and str(node.value)[:1] in NUMBER_SETS
    return is_named or node.op in _SET_OPS or (node.op == "seq" and node.value in ("{}", "[)", "(]"))


def joined(items: list[Node], word: str) -> Region | None:
    """Several inequalities in one variable: `or` unites, `and` intersects, and so does a comma unless nothing would be left."""
    regions = complete(map(region_of, items))
    if regions is None or len({r.variable for r in regions}) != 1:
        return None
    common = () if word == "or" else reduce(_intersection, (r.spans for r in regions))
    spans = common if word == "and" else common or united(regions)
    return Region(spans, regions[0].variable)


def alternatives(items: list[Node]) -> Region | None:
    """`(1, 2) or x > 5`; points, pairs and sets joined by `or` stay a list."""
    brackets = [i.value if i.op == "seq" else "" for i in items]
    are_equations = all(i.op == "rel" and i.value == "=" for i in items)
    if are_equations or "{}" in brackets or set(brackets) <= {"()", "[]"}:
        return None
    regions = complete(map(_region_or_point, items))
    if regions is None or len({r.variable for r in regions if r.variable}) > 1:
        return None
    return Region(united(regions), next((r.variable for r in regions if r.variable), ""))


def _region_or_point(item: Node) -> Region | None:
    """Also `x = 1`, where other alternatives are inequalities."""
    if item.op == "rel" and item.value == "=" and item.args[0].op == "sym" and not symbols(item.args[1]):
        return Region((Span(item.args[1], item.args[1], True, True),), str(item.args[0].value))
    return region_of(item)


def _as_set(node: Node) -> Node:
    """`R \\setminus {0}` with plain braces, which the parser has taken off."""
    is_number = node.op in ("num", "dec", "neg", "div", "fn", "pow", "mul")
    if is_number or (node.op == "const" and node.value in ("pi", "e")):
        return Node("seq", (node,), "{}")
    return node._replace(value="{}") if node.op == "seq" and node.value == "" else node


def _interval(brackets: str, items: tuple[Node, ...]) -> Region | None:
    if any(i.op in ("seq", "rel", "text", "pm") for i in items):
        return None
    if brackets == "{}":
        return Region(merged([Span(i, i, True, True) for i in items]))
    if len(items) != 2 or brackets not in ("()", "[]", "[)", "(]"):
        return None
    low, high = map(_position, items)
    is_empty = low is not None and high is not None and low > high
    return None if is_empty else Region((Span(*items, brackets[0] == "[", brackets[1] == "]"),))


def _builder(head: Node, condition: Node) -> Region | None:
    """`{x \\in R | x > 3}`."""
    if condition.op == "seq" and condition.value == "":
        conditions = [c for c in condition.args if not (c.op == "rel" and c.value == "in")]
        return joined(conditions, condition.note or "and") if conditions else None
    if head.op == "rel" and head.value == "in" and head.args[1].op == "const" and head.args[1].value != "R":
        return None
    return region_of(condition)


def integers_of(node: Node) -> tuple[Node, ...] | None:
    """The members of `{x \\in Z : 1 \\le x \\le 3}`; None for another set, and for one without end or with too many."""
    head, condition = node.args
    if head.op != "rel" or head.value != "in" or head.args[0].op != "sym":
        return None
    region = region_of(condition)
    least = {"Z": None, "N": 1, "Z+": 1, "Z^+": 1, "N+": 1}.get(str(head.args[1].value), 0)
    if least == 0 or region is None or region.variable != head.args[0].value:
        return None
    members: list[Node] = []
    for span in region.spans:
        low, high = _position(span.low), _position(span.high)
        low = least if low is not None and least is not None and low < least else low
        if low is None or high is None or not high - low < MAX_INTEGERS:
            return None
        whole = range(math.ceil(low), math.floor(high) + 1)
        members += [
            num(n) for n in whole if (n > low or span.low_closed or n == least) and (n < high or span.high_closed)
        ]
    return tuple(members)


def _inequality(signs: list[str], members: tuple[Node, ...]) -> Region | None:
    if signs in (["in"], ["notin"]):
        region = region_of(members[1])
        if region is None or members[0].op != "sym":
            return None
        spans = region.spans if signs == ["in"] else _complement(region.spans)
        return Region(spans, str(members[0].value))
    variable = _variable(members) if set(signs) <= {"<", ">", "<=", ">=", "!="} else None
    if variable is None:
        return None
    solutions = complete(_solve(variable, *side) for side in zip(signs, members, members[1:], strict=False))
    common = () if solutions is None else reduce(_intersection, solutions, EVERYTHING)
    return Region(common, variable) if common else None


def _variable(members: tuple[Node, ...]) -> str | None:
    """The symbol in the middle of `a < x < b`, else the only one."""
    if len(members) == 3 and members[1].op == "sym":
        middle = str(members[1].value)
        if middle not in symbols(members[0]) | symbols(members[2]):
            return middle
    names = set().union(*map(symbols, members))
    return names.pop() if len(names) == 1 else None


def _solve(variable: str, sign: str, left: Node, right: Node) -> Spans | None:
    """The solutions of one inequality that is linear in its variable, or of `|x| < a`; else None."""
    if right.op == "sym" and right.value == variable and variable not in symbols(left):
        left, right, sign = right, left, FLIPPED[sign]
    if left.op == "sym" and left.value == variable and variable not in symbols(right):
        return _half_line(sign, right)
    if right.op == "abs" and not symbols(left):
        left, right, sign = right, left, FLIPPED[sign]
    if left.op == "abs" and not symbols(right):
        return _absolute(variable, sign, left.args[0], right)
    form = normal_difference(left, right)
    if form is None or not form.is_free or form.denominator is None:
        return None
    by_degree = {sum(k for _, k in m): c / form.denominator for m, c in form.top.items()}
    degree = max(by_degree, default=0)
    if degree not in (1, 2):
        return None
    lead, slope, offset = (by_degree.get(k, Fraction(0)) for k in (2, 1, 0))
    sign = sign if by_degree[degree] > 0 else FLIPPED[sign]
    return _half_line(sign, num(-offset / slope)) if degree == 1 else _quadratic(sign, slope / lead, offset / lead)


def _quadratic(sign: str, p: Fraction, q: Fraction) -> Spans | None:
    """The solutions of x^2 + p x + q < 0 and the like, if there are two roots: these are the ends."""
    radicand = p * p / 4 - q
    if radicand <= 0 or sign == "!=":
        return None
    distance = fn("sqrt", num(radicand))
    low, high = add(num(-p / 2), neg(distance)), add(num(-p / 2), distance)
    closed = sign in ("<=", ">=")
    if sign[0] == "<":
        return (Span(low, high, closed, closed),)
    return (Span(NEG_INF, low, False, closed), Span(high, INF, closed, False))


def _half_line(sign: str, bound: Node) -> Spans:
    below = Span(NEG_INF, bound, False, sign == "<=")
    above = Span(bound, INF, sign == ">=", False)
    return {"!": (below, above), "<": (below,), ">": (above,)}[sign[0]]


def _absolute(variable: str, sign: str, inside: Node, bound: Node) -> Spans | None:
    """|inside| < bound is -bound < inside < bound; with > it is one of the two sides."""
    above = _solve(variable, sign, inside, bound)
    below = _solve(variable, FLIPPED[sign], inside, neg(bound))
    if sign == "!=" or above is None or below is None:
        return None
    return _intersection(above, below) if sign in ("<", "<=") else merged([*above, *below])


def infinite(node: Node) -> float:
    """inf, -inf, or 0.0 for an end that is finite or symbolic."""
    return math.inf if node == INF else -math.inf if node == NEG_INF else 0.0


def _position(node: Node) -> float | None:
    """Where an end lies on the line; None for a symbolic one."""
    return infinite(node) or approximate(node)


def united(regions: list[Region]) -> Spans:
    return merged([span for region in regions for span in region.spans])


def merged(spans: list[Span]) -> Spans:
    """Sorted, and joined where they touch or overlap. With symbolic ends the spans are returned as they are."""
    placed: list[tuple[float, float, Span]] = []
    for span in spans:
        low, high = _position(span.low), _position(span.high)
        if low is None or high is None:
            return tuple(spans)
        placed.append((low, high, span))
    placed.sort(key=lambda p: (p[0], not p[2].low_closed, p[1]))
    result: list[Span] = []
    reach = -math.inf
    for low, high, span in placed:
        last = result[-1] if result else None
        touches = last is not None and _equal(low, reach) and (span.low_closed or last.high_closed)
        if last is None or not (low < reach or touches):
            result.append(span)
            reach = high
        elif _equal(high, reach):
            result[-1] = Span(last.low, last.high, last.low_closed, last.high_closed or span.high_closed)
        elif high > reach:
            result[-1] = Span(last.low, span.high, last.low_closed, span.high_closed)
            reach = high
    return tuple(result)


def _intersection(a: Spans, b: Spans) -> Spans:
    overlaps = (_overlap(s, t) for s in a for t in b)
    return merged([span for span in overlaps if span is not None])


def _overlap(s: Span, t: Span) -> Span | None:
    low, low_closed = _tighter(s.low, s.low_closed, t.low, t.low_closed, +1)
    high, high_closed = _tighter(s.high, s.high_closed, t.high, t.high_closed, -1)
    a, b = _position(low), _position(high)
    if a is not None and b is not None:
        if _equal(a, b) and not (low_closed and high_closed):
            return None
        if a > b and not _equal(a, b):
            return None
    return Span(low, high, low_closed, high_closed)


def _tighter(x: Node, x_closed: bool, y: Node, y_closed: bool, side: int) -> tuple[Node, bool]:
    """The end that leaves less. `side`: +1 for lower ends, -1 for upper ones."""
    a, b = _position(x), _position(y)
    if a is None or b is None:  # a symbolic end is tighter than an infinite one
        return (x, x_closed) if y in (INF, NEG_INF) else (y, y_closed)
    if _equal(a, b):
        return x, x_closed and y_closed
    return (x, x_closed) if (a - b) * side > 0 else (y, y_closed)


def _complement(spans: Spans) -> Spans:
    result = EVERYTHING
    for s in spans:
        below, above = Span(NEG_INF, s.low, False, not s.low_closed), Span(s.high, INF, not s.high_closed, False)
        result = _intersection(result, (below,) * (s.low != NEG_INF) + (above,) * (s.high != INF))
    return result
