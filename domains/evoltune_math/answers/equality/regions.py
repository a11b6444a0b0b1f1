"""Rules for sets of reals."""

from evoltune_math.answers.algebra.intervals import infinite, merged, region_of
from evoltune_math.answers.equality.comparison import Comparison, Rules
from evoltune_math.answers.equality.words import means_empty_set
from evoltune_math.answers.kinds import Answer, Group, Region, Span, Text, Value
from evoltune_math.answers.nodes import Node, seq


def _region_region(comparison: Comparison, a: Region, b: Region) -> bool:
    policy = comparison.policy
    if a.variable and b.variable and a.variable != b.variable and policy.variables == "strict":
        return False
    if policy.intervals == "strict" and bool(a.variable) != bool(b.variable):
        return False
    return len(a.spans) == len(b.spans) and all(
        _same_span(comparison, s, t) for s, t in zip(a.spans, b.spans, strict=True)
    )


def _same_span(comparison: Comparison, s: Span, t: Span) -> bool:
    return _same_end(comparison, s.low, t.low, s.low_closed == t.low_closed) and _same_end(
        comparison, s.high, t.high, s.high_closed == t.high_closed
    )


def _same_end(comparison: Comparison, a: Node, b: Node, same_closure: bool) -> bool:
    if infinite(a) or infinite(b):
        return infinite(a) == infinite(b)
    return same_closure and comparison.expressions.equal(a, b)


def _group_region(comparison: Comparison, a: Group, b: Region) -> bool:
    region = _as_region(a)
    if region is not None and _region_region(comparison, b, region):
        return True
    if len(a.items) == 1:
        return comparison.same(a.items[0], b)
    regions = [r for r in map(_as_region, a.items) if r is not None]
    if a.brackets != "" or not regions or len(regions) < len(a.items):
        return False
    return _region_region(comparison, b, Region(merged([s for r in regions for s in r.spans])))


def _as_region(answer: Answer) -> Region | None:
    """A tuple or set of values as an interval or points."""
    if isinstance(answer, Region):
        return answer
    if not isinstance(answer, Group) or not answer.brackets:
        return None
    nodes = tuple(i.node for i in answer.items if isinstance(i, Value))
    return region_of(seq(answer.brackets, nodes)) if len(nodes) == len(answer.items) else None


def _value_region(comparison: Comparison, a: Value, b: Region) -> bool:
    """`{5}` is 5."""
    if len(b.spans) != 1:
        return False
    (span,) = b.spans
    is_point = span.low_closed and span.high_closed and span.low == span.high
    return is_point and comparison.expressions.equal(span.low, a.node)


def _text_region(comparison: Comparison, a: Text, b: Region) -> bool:
    return not b.spans and means_empty_set(a.words)


RULES: Rules = {
    (Value, Region): _value_region,
    (Text, Region): _text_region,
    (Group, Region): _group_region,
    (Region, Region): _region_region,
}
