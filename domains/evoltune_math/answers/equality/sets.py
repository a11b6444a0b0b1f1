"""Rules for lists, sets, matrices and ratios, and for sets of reals."""

from collections.abc import Callable
from dataclasses import replace
from itertools import chain

from evoltune_math.answers.algebra.intervals import infinite, region_of, united
from evoltune_math.answers.algebra.matrices import unmarked_basis_vector
from evoltune_math.answers.algebra.rational import known_rational, rational
from evoltune_math.answers.equality.comparison import Comparison, Rules
from evoltune_math.answers.equality.expressions import same_in_any_order
from evoltune_math.answers.equality.values import means_empty_set
from evoltune_math.answers.kinds import Answer, Choice, Group, Matrix, Named, Ratio, Region, Text, Value
from evoltune_math.answers.nodes import Node, add, complete, div, has, mul, seq, sym
from evoltune_math.answers.reading.classify import classify
from evoltune_math.answers.reading.systems import without_labels

MAX_ITEMS = 200


def _group_group(comparison: Comparison, a: Group, b: Group) -> bool:
    a, b = _without_outer_list(a), _without_outer_list(b)
    if len(a.items) != len(b.items):
        a, b = without_labels(a), without_labels(b)
    if _says_otherwise(a, b):
        return False
    kinds = {a.brackets, b.brackets}
    is_set = "{}" in kinds
    if is_set and kinds & {"()", "<>"}:
        return False
    if len(a.items) == 2 and kinds in ({"()", "[]"}, {"{}", "[]"}):  # `[1,2]` is a closed interval, not two numbers
        return False
    if max(len(a.items), len(b.items)) > MAX_ITEMS:
        return False
    if is_set:

        def same_member(x: Answer, y: Answer) -> bool:
            return _is_set(x) == _is_set(y) and comparison.same(x, y)  # `{2}` is no member of `{2}`

        a, b = _distinct(same_member, a), _distinct(same_member, b)
        return len(a.items) == len(b.items) and same_in_any_order(a.items, b.items, same_member)
    if kinds == {""}:
        if comparison.policy.lists == "ordered":
            return comparison.same_in_order(a.items, b.items)
        return len(a.items) == len(b.items) and same_in_any_order(a.items, b.items, comparison.same)
    return comparison.same_in_order(a.items, b.items)


def _says_otherwise(a: Group, b: Group) -> bool:
    """`x < 3 or y > 5` beside `x < 3, y > 5`: conditions on several names hold together, or one of them does.
    So do options and letters of statements: `A or C` is not `A, C`, `p or q` not `p and q`."""
    if (a.word == "or") == (b.word == "or"):
        return False
    if all(_is_option(i) for i in (*a.items, *b.items)) or (
        {a.word, b.word} == {"and", "or"} and all(_is_statement(i) for i in (*a.items, *b.items))
    ):
        return True
    names = {i.variable if isinstance(i, Region) else i.name for i in a.items if isinstance(i, Region | Named)}
    return len(names) > 1


def _is_option(answer: Answer) -> bool:
    is_letter = isinstance(answer, Value) and answer.node.op == "sym" and str(answer.node.value) in "ABCDEFGHIJ"
    return is_letter or (isinstance(answer, Choice) and answer.body is None)


def _is_statement(answer: Answer) -> bool:
    """A letter, also denied: `\\neg p`."""
    node = answer.node if isinstance(answer, Value) else None
    return node is not None and (node.op == "sym" or (node.op == "fn" and node.value == "?neg"))


def _without_outer_list(group: Group) -> Group:
    """A bare list of one set is that set."""
    if group.brackets == "" and len(group.items) == 1 and isinstance(group.items[0], Group):
        return group.items[0]
    return group


def _is_set(answer: Answer) -> bool:
    return isinstance(answer, Group) and answer.brackets == "{}"


def _distinct(same: Callable[[Answer, Answer], bool], group: Group) -> Group:
    found: list[Answer] = []
    for item in group.items:
        if not any(same(item, other) for other in found):
            found.append(item)
    return replace(group, items=tuple(found))


def _any_group(comparison: Comparison, a: Answer, b: Group) -> bool:
    """A group of one is its member; letters side by side are a list; `2i + 3j` is a vector."""
    items = b.items
    if isinstance(a, Value):
        letters = str(a.node.value) if a.node.op == "sym" else ""
        are_names = all(isinstance(i, (Value, Choice)) for i in items)
        if are_names and b.word != "or" and len(letters) == len(items) > 1 and letters.isupper():
            return same_in_any_order(items, [Value(sym(c)) for c in letters], comparison.same)
        if b.word == "or" and items and all(comparison.same(items[0], i) for i in items[1:]):
            return any(comparison.same(i, a) for i in items)
        if b.word == "and" and (mixed := _mixed_number(items)) is not None:
            return comparison.same(mixed, a)
        vector = unmarked_basis_vector(a.node) if b.brackets in ("<>", "()") else None
        if vector is not None and _group_group(comparison, vector, b):
            return True
    return len(items) == 1 and comparison.same(items[0], a)


def _mixed_number(items: tuple[Answer, ...]) -> Value | None:
    """`3 and 1/4`, which are two values beside a list, as one beside a number."""
    if len(items) != 2 or not all(isinstance(i, Value) for i in items):
        return None
    whole, part = items
    assert isinstance(whole, Value) and isinstance(part, Value)
    top = known_rational(part.node) if part.node.op == "div" else None
    is_mixed = whole.node.op == "num" and not whole.unit and top is not None and 0 < top < 1
    return Value(add(whole.node, part.node), part.unit) if is_mixed else None


def _group_matrix(comparison: Comparison, a: Group, b: Matrix) -> bool:
    """A tuple is a row or a column; a tuple of tuples is a matrix."""
    if comparison.policy.vectors == "strict" or a.brackets == "{}":
        return False
    rows = [tuple(map(classify, row)) for row in b.rows]
    is_vector = len(rows) == 1 or all(len(r) == 1 for r in rows)
    if is_vector and comparison.same_in_order(list(chain(*rows)), a.items):
        return True
    nested = [i.items for i in a.items if isinstance(i, Group)]
    return len(nested) == len(rows) == len(a.items) and all(map(comparison.same_in_order, rows, nested))


def _matrix_matrix(comparison: Comparison, a: Matrix, b: Matrix) -> bool:
    has_same_shape = [len(r) for r in a.rows] == [len(r) for r in b.rows]
    return has_same_shape and all(map(comparison.expressions.equal, chain(*a.rows), chain(*b.rows)))


def _ratio_ratio(comparison: Comparison, a: Ratio, b: Ratio) -> bool:
    if len(a.parts) != len(b.parts) or {a.odds, b.odds} == {"in favor", "against"}:
        return False
    if a.parts == b.parts:
        return True
    equal = comparison.expressions.equal
    if any(rational(p) == 0 for p in (*a.parts, *b.parts)):
        return all(map(equal, a.parts, b.parts))
    (first_a, *rest_a), (first_b, *rest_b) = a.parts, b.parts
    return all(equal(mul(x, first_b), mul(y, first_a)) for x, y in zip(rest_a, rest_b, strict=True))


def _value_ratio(comparison: Comparison, a: Value, b: Ratio) -> bool:
    if b.odds:
        favorable = {"in favor": b.parts[:1], "against": b.parts[1:]}.get(b.odds)
        return favorable is not None and comparison.expressions.equal(div(favorable[0], add(*b.parts)), a.node)
    is_fraction = len(b.parts) == 2 and rational(b.parts[1]) != 0
    return is_fraction and comparison.expressions.equal(div(*b.parts), a.node)


def _region_region(comparison: Comparison, a: Region, b: Region) -> bool:
    policy = comparison.policy
    if a.variable and b.variable and a.variable != b.variable and policy.variables == "strict":
        return False
    if policy.intervals == "strict" and bool(a.variable) != bool(b.variable):
        return False

    def same_end(x: Node, y: Node, same_closure: bool) -> bool:
        if infinite(x) or infinite(y):
            return infinite(x) == infinite(y)
        if has(x, "deg") != has(y, "deg"):  # `x > 30^\\circ` is `x > 30`
            return same_closure and comparison.same(classify(x), classify(y))
        return same_closure and comparison.expressions.equal(x, y)

    return len(a.spans) == len(b.spans) and all(
        same_end(s.low, t.low, s.low_closed == t.low_closed)
        and same_end(s.high, t.high, s.high_closed == t.high_closed)
        for s, t in zip(a.spans, b.spans, strict=True)
    )


def _group_region(comparison: Comparison, a: Group, b: Region) -> bool:
    region = _as_region(a)
    if region is not None and _region_region(comparison, b, region):
        return True
    if len(a.items) == 1:
        return comparison.same(a.items[0], b)
    regions = complete(map(_as_region, a.items))
    if a.brackets != "" or not regions or len({r.variable for r in regions if r.variable}) > 1:
        return False
    return _region_region(comparison, b, Region(united(regions)))


def _as_region(answer: Answer) -> Region | None:
    """A tuple or set of values as an interval or points."""
    if isinstance(answer, Region):
        return answer
    if not isinstance(answer, Group) or not answer.brackets:
        return None
    nodes = tuple(Node("deg", (i.node,)) if i.degrees else i.node for i in answer.items if isinstance(i, Value))
    return region_of(seq(answer.brackets, nodes)) if len(nodes) == len(answer.items) else None


def _value_region(comparison: Comparison, a: Value, b: Region) -> bool:
    """`{5}` is 5."""
    if len(b.spans) != 1:
        return False
    (span,) = b.spans
    is_point = span.low_closed and span.high_closed and span.low == span.high
    return is_point and comparison.expressions.equal(span.low, a.node)


def _time_of(ratio: Ratio) -> str:
    """`22:30` on a clock of 24 hours, as `special_forms` writes a time. Minutes below 10 look like a ratio, `3:4`."""
    hour, minutes, *more = (*map(known_rational, ratio.parts), None)
    return (
        f"time {hour}:{int(minutes):02d}"
        if minutes is not None and (10 <= minutes < 60 or minutes == 0) and more == [None]
        else ""
    )


RULES: Rules = {
    (Value, Group): _any_group,
    (Text, Group): lambda comparison, a, b: _any_group(comparison, a, b) if b.items else means_empty_set(a.words),
    (Group, Group): _group_group,
    (Group, Matrix): _group_matrix,
    (Matrix, Matrix): _matrix_matrix,
    (Value, Ratio): _value_ratio,
    (Text, Ratio): lambda comparison, a, b: a.words == _time_of(b),
    (Ratio, Ratio): _ratio_ratio,
    (Value, Region): _value_region,
    (Text, Region): lambda comparison, a, b: not b.spans and means_empty_set(a.words),
    (Group, Region): _group_region,
    (Region, Region): _region_region,
}
