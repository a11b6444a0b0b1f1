"""Sets of reals: intervals, inequalities in one variable, unions, complements; all become sorted, merged spans.

of(parse("x<-1 \\\\text{ or } x>8"))  and  of(parse("(-\\\\infty,-1)\\\\cup(8,\\\\infty)"))  are the same spans
"""

from __future__ import annotations

import math
from fractions import Fraction

from evoltune_math.answers.algebra.exact import Undefined, normal, rational
from evoltune_math.answers.algebra.numeric import approximate
from evoltune_math.answers.kinds import Region, Span
from evoltune_math.answers.limits import TooLarge
from evoltune_math.answers.nodes import INF, NEG_INF, Node, num, rel, symbols

_HALVES = frozenset(["R+", "R>0", "R≥0", "R>=0", "Rge0", "Rgeq0"])
_FLIP = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}
_EVERYTHING = (Span(NEG_INF, INF, False, False),)


def of(node: Node) -> Region | None:
    """The region that the tree describes, or None."""
    op = node.op
    if op == "seq":
        return _interval(node)
    if op == "const" and node.value == "R":
        return Region(_EVERYTHING)
    if op == "const" and str(node.value) in _HALVES:
        low, closed = num(0), str(node.value) in ("R≥0", "R>=0", "Rge0", "Rgeq0")
        return Region((Span(low, INF, closed, False),))
    if op == "const" and str(node.value) in ("R-", "R<0"):
        return Region((Span(NEG_INF, num(0), False, False),))
    if op == "rel":
        return _inequality(node)
    if op == "builder":
        return _builder(node)
    if (
        op == "add"
        and len(node.args) == 2
        and node.args[0].op in ("const", "seq")
        and node.args[1].op == "neg"
    ):
        return of(Node("minus", (node.args[0], node.args[1].args[0])))
    if op in ("union", "inter", "minus"):
        parts = [of(_as_set(a)) for a in node.args]
        if any(p is None for p in parts):
            return None
        regions = [p for p in parts if p is not None]
        if op == "union":
            return Region(merged([s for r in regions for s in r.spans]), regions[0].variable)
        result = regions[0].spans
        for other in regions[1:]:
            result = intersect(result, other.spans if op == "inter" else complement(other.spans))
        return Region(result, regions[0].variable)
    return None


def _as_set(node: Node) -> Node:
    """`R \\setminus {0}` with plain braces, which the parser has taken off."""
    if node.op in ("num", "dec", "neg", "div", "fn", "pow", "mul") or (
        node.op == "const" and node.value in ("pi", "e")
    ):
        return Node("seq", (node,), "{}")
    return node._replace(value="{}") if node.op == "seq" and node.value == "" else node


def joined(items: list[Node], word: str) -> Region | None:
    """Several inequalities in one variable: `or` unites; `and` or a comma intersects, unless nothing would be left."""
    regions = [of(i) for i in items]
    if any(r is None for r in regions):
        return None
    known = [r for r in regions if r is not None]
    if len({r.variable for r in known}) != 1:
        return None
    union = merged([s for r in known for s in r.spans])
    if word == "or":
        return Region(union, known[0].variable)
    result = known[0].spans
    for region in known[1:]:
        result = intersect(result, region.spans)
    return Region(result or union, known[0].variable)


def _interval(node: Node) -> Region | None:
    brackets, items = str(node.value), node.args
    if brackets == "{}":
        if any(i.op in ("seq", "rel", "text", "pm") for i in items):
            return None
        return Region(merged([Span(i, i, True, True) for i in items]))
    if (
        len(items) != 2
        or brackets not in ("()", "[]", "[)", "(]")
        or any(i.op in ("seq", "rel", "text", "pm") for i in items)
    ):
        return None
    low, high = (approximate(i) if not infinite(i) else infinite(i) for i in items)
    if low is not None and high is not None and low > high:
        return None
    return Region((Span(items[0], items[1], brackets[0] == "[", brackets[1] == "]"),))


def infinite(node: Node) -> float:
    """inf, -inf, or 0.0 for an end that is neither."""
    if node == INF:
        return math.inf
    return -math.inf if node.op == "neg" and node.args[0] == INF else 0.0


def _builder(node: Node) -> Region | None:
    head, condition = node.args
    if condition.op == "seq" and condition.value == "":
        kept = [c for c in condition.args if not (c.op == "rel" and c.value == "in")]
        return joined(kept, condition.note or "and") if kept else None
    if head.op == "rel" and head.value == "in" and head.args[1].op == "const" and head.args[1].value != "R":
        return None
    return of(condition)


def _inequality(node: Node) -> Region | None:
    signs, members = str(node.value).split(), node.args
    if signs == ["in"]:
        region = of(members[1])
        return (
            None if region is None or members[0].op != "sym" else Region(region.spans, str(members[0].value))
        )
    if signs == ["notin"] and members[0].op == "sym":
        region = of(members[1])
        return None if region is None else Region(complement(region.spans), str(members[0].value))
    if not set(signs) <= {"<", ">", "<=", ">=", "!="}:
        return None
    if (
        len(members) == 3
        and members[1].op == "sym"
        and members[1].value not in symbols(members[0]) | symbols(members[2])
    ):
        variable = str(members[1].value)
    else:
        names = set().union(*map(symbols, members))
        if len(names) != 1:
            return None
        variable = names.pop()
    result: tuple[Span, ...] = _EVERYTHING
    for sign, left, right in zip(signs, members, members[1:], strict=False):
        spans = _half_line(variable, sign, left, right)
        if spans is None:
            return None
        result = intersect(result, spans)
    return Region(result, variable) if result else None


def _half_line(variable: str, sign: str, left: Node, right: Node) -> tuple[Span, ...] | None:
    """The solutions of one inequality that is linear in its variable, or `|x| < a`."""
    if right.op == "sym" and right.value == variable and variable not in symbols(left):
        left, right, sign = right, left, _FLIP[sign]
    if left.op == "sym" and left.value == variable and variable not in symbols(right):
        return _side(sign, right)
    if left.op == "abs" and not symbols(right):
        return _absolute(variable, sign, left.args[0], right)
    try:
        form = normal(Node("add", (left, Node("neg", (right,)))))
    except (TooLarge, Undefined):
        return None
    if not form.free or list(form.bottom) != [()]:
        return None
    by_degree = {sum(k for _, k in m): c / form.bottom[()] for m, c in form.top.items()}
    if not set(by_degree) <= {0, 1} or 1 not in by_degree:
        return None
    return _side(
        sign if by_degree[1] > 0 else _FLIP[sign], num(-by_degree.get(0, Fraction(0)) / by_degree[1])
    )


def _side(sign: str, bound: Node) -> tuple[Span, ...]:
    if sign == "!=":
        return (Span(NEG_INF, bound, False, False), Span(bound, INF, False, False))
    if sign in ("<", "<="):
        return (Span(NEG_INF, bound, False, sign == "<="),)
    return (Span(bound, INF, sign == ">=", False),)


def _absolute(variable: str, sign: str, inside: Node, bound: Node) -> tuple[Span, ...] | None:
    """|inside| < bound is -bound < inside < bound; with > one of the two sides."""
    if sign not in ("<", "<=", ">", ">="):
        return None
    above = _half_line(variable, sign, inside, bound)
    below = _half_line(variable, _FLIP[sign], inside, Node("neg", (bound,)))
    if above is None or below is None:
        return None
    return intersect(above, below) if sign in ("<", "<=") else merged([*above, *below])


# ---- algebra of spans ------------------------------------------------------------------------------------------------


def key(node: Node) -> float | None:
    """Where an end lies on the line; None for a symbolic one."""
    return infinite(node) or approximate(node)


def _keys(spans: list[Span]) -> list[tuple[float, float]] | None:
    found = [(key(s.low), key(s.high)) for s in spans]
    return None if any(a is None or b is None for a, b in found) else found  # type: ignore[return-value]


def merged(spans: list[Span]) -> tuple[Span, ...]:
    """Sorted, with spans that touch or overlap made one. Symbolic ends leave the order as written."""
    keys = _keys(spans)
    if keys is None:
        return tuple(spans)
    order = sorted(range(len(spans)), key=lambda i: (keys[i][0], not spans[i].low_closed, keys[i][1]))
    result: list[Span] = []
    reach = -math.inf
    for i in order:
        span, (low, high) = spans[i], keys[i]
        last = result[-1] if result else None
        near = last is not None and (
            low < reach or (_near(low, reach) and (span.low_closed or last.high_closed))
        )
        if last is None or not near:
            result.append(span)
            reach = high
        elif high > reach and not _near(high, reach):
            result[-1] = Span(last.low, span.high, last.low_closed, span.high_closed)
            reach = high
        elif _near(high, reach):
            result[-1] = Span(last.low, last.high, last.low_closed, last.high_closed or span.high_closed)
    return tuple(result)


def _near(a: float, b: float) -> bool:
    return a == b or (math.isfinite(a) and math.isfinite(b) and abs(a - b) <= 1e-12 * max(abs(a), abs(b)))


def intersect(a: tuple[Span, ...], b: tuple[Span, ...]) -> tuple[Span, ...]:
    found = []
    for s in a:
        for t in b:
            span = _overlap(s, t)
            if span is not None:
                found.append(span)
    return merged(found)


def _overlap(s: Span, t: Span) -> Span | None:
    low, low_closed = _tighter(s.low, s.low_closed, t.low, t.low_closed, +1)
    high, high_closed = _tighter(s.high, s.high_closed, t.high, t.high_closed, -1)
    a, b = key(low), key(high)
    if (
        a is not None
        and b is not None
        and ((a > b and not _near(a, b)) or (_near(a, b) and not (low_closed and high_closed)))
    ):
        return None
    return Span(low, high, low_closed, high_closed)


def _tighter(x: Node, x_closed: bool, y: Node, y_closed: bool, side: int) -> tuple[Node, bool]:
    a, b = key(x), key(y)
    if a is None or b is None:  # a symbolic end beats an infinite one
        return (x, x_closed) if y in (INF, NEG_INF) else (y, y_closed)
    if _near(a, b):
        return x, x_closed and y_closed
    return (x, x_closed) if (a - b) * side > 0 else (y, y_closed)


def complement(spans: tuple[Span, ...]) -> tuple[Span, ...]:
    result: tuple[Span, ...] = _EVERYTHING
    for s in spans:
        outside = []
        if s.low != NEG_INF:
            outside.append(Span(NEG_INF, s.low, False, not s.low_closed))
        if s.high != INF:
            outside.append(Span(s.high, INF, not s.high_closed, False))
        result = intersect(result, tuple(outside))
    return result


__all__ = ["complement", "intersect", "joined", "merged", "of", "rational", "rel"]
