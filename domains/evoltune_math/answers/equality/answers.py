"""Equality of typed answers under a policy. Symmetric: kinds are put in one order before they meet.

same(read("(1,2)"), read("1 < x < 2")) -> (True, "structure")
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from evoltune_math.answers import units
from evoltune_math.answers.algebra import intervals
from evoltune_math.answers.algebra.rational import rational
from evoltune_math.answers.equality import arbitrary_constants, expressions, families, words
from evoltune_math.answers.equality.expressions import Values
from evoltune_math.answers.equality.relations import same_relation
from evoltune_math.answers.kinds import (
    Answer,
    Choice,
    Either,
    Family,
    Group,
    Matrix,
    Named,
    Ratio,
    Region,
    Relation,
    Span,
    Text,
    Value,
)
from evoltune_math.answers.nodes import Node, has, substitute, sym, symbols
from evoltune_math.answers.policy import DEFAULT, Policy
from evoltune_math.answers.reading.classify import classify
from evoltune_math.answers.reading.vectors import unmarked_basis_vector

MAX_ITEMS = 200


class Comparison:
    """One comparison of two answers: the policy, and the stage that decided last."""

    def __init__(self, policy: Policy = DEFAULT) -> None:
        self.policy = policy
        self.values = Values(policy)

    def same(self, a: Answer, b: Answer) -> bool:
        if _RANK[type(a)] > _RANK[type(b)]:
            a, b = b, a
        rule = _RULES.get((type(a), type(b)))
        if rule is not None and rule(self, a, b):
            return True
        return not isinstance(b, Family | Either) and families.same(
            a, b, declared=_in_degrees(a) and _in_degrees(b)
        )

    # ---- values ------------------------------------------------------------------------------------------------------

    def value_value(self, a: Value, b: Value) -> bool:
        a, b = _lettered(a, b), _lettered(b, a)
        if not units.agree(a.unit, b.unit, self.policy.units):
            return self.converted(a, b)
        if self.policy.degrees == "required" and a.degrees != b.degrees:
            return self.radians(a, b)
        x, y = self.unit_letters(a.node, b.node)
        if self.values.equal(x, y):
            return True
        if a.degrees != b.degrees and self.radians(a, b):
            return True
        if self.policy.percent == "either" and has(x, "pct") != has(y, "pct"):
            return self.values.equal(_without_percent(x), _without_percent(y))
        return _same_letter(x, y) or self.constants_renamed(x, y)

    def radians(self, a: Value, b: Value) -> bool:
        x, y = (Node("deg", (v.node,)) if v.degrees else v.node for v in (a, b))
        other = b.node if a.degrees else a.node
        return not symbols(other) and other.op not in ("num", "dec") and self.values.equal(x, y)

    def converted(self, a: Value, b: Value) -> bool:
        """`1 km` = `1000 m`: two units of one dimension."""
        factor = units.factor(a.unit, b.unit)
        return factor is not None and self.values.equal(
            Node("mul", (a.node, Node("num", (), factor))), b.node
        )

    def unit_letters(self, x: Node, y: Node) -> tuple[Node, Node]:
        """`438 m` against `438`: the letter is a unit when the other side has no letter."""
        if self.policy.units != "required":
            if x.note == "unit?" and not symbols(y):
                x = x.args[0]
            elif y.note == "unit?" and not symbols(x):
                y = y.args[0]
        return x, y

    def constants_renamed(self, x: Node, y: Node) -> bool:
        """`x^2 + C` = `x^2 + K` and `C_1 e^x` = `Ae^x`; `policy.constant` says whether an added one may be missing."""
        pairs = arbitrary_constants.renamings(x, y)
        if any(self.values.equal(x, renamed) for renamed in pairs):
            return True
        cx, cy = arbitrary_constants.additive(x), arbitrary_constants.additive(y)
        if (cx is None and cy is None) or ((cx is None or cy is None) and self.policy.constant == "required"):
            return False
        rest_x, rest_y = arbitrary_constants.without(x, cx), arbitrary_constants.without(y, cy)
        if not symbols(rest_x) or not symbols(rest_y):
            return False
        apart = Node("add", (rest_x, Node("neg", (rest_y,))))
        return self.values.equal(rest_x, rest_y) or self.is_constant(apart)

    def is_constant(self, node: Node) -> bool:
        names = sorted(symbols(node))
        if not names or len(names) > 4:
            return False
        at: list[Node] = []
        for shift in (Fraction(3, 7), Fraction(17, 11), Fraction(29, 9)):
            point = node
            for k, name in enumerate(names):
                point = _substituted(point, name, shift + Fraction(k, 5))
            at.append(point)
        return self.values.equal(at[0], at[1]) and self.values.equal(at[1], at[2])

    def value_text(self, a: Value, b: Text) -> bool:
        return words.value_is(a, b.words)

    def text_text(self, a: Text, b: Text) -> bool:
        if a.words == b.words == "...":
            return True
        return words.same(a.words, b.words, self.policy.text)

    # ---- choices -----------------------------------------------------------------------------------------------------

    def choice_choice(self, a: Choice, b: Choice) -> bool:
        return a.letter == b.letter and (
            a.body is None
            or b.body is None
            or self.same(a.body, b.body)
            or isinstance(a.body, Text)
            or isinstance(b.body, Text)
        )

    def choice_any(self, a: Choice, b: Answer) -> bool:
        if isinstance(b, Value) and b.node.op in ("sym", "const") and len(str(b.node.value)) == 1:
            return str(b.node.value).upper() == a.letter
        if isinstance(b, Text) and len(b.words) == 1:
            return b.words.upper() == a.letter
        return self.policy.choices == "either" and a.body is not None and self.same(a.body, b)

    # ---- groups ------------------------------------------------------------------------------------------------------

    def group_group(self, a: Group, b: Group) -> bool:
        a, b = _parted(a), _parted(b)
        kinds = {a.brackets, b.brackets}
        if "{}" in kinds and kinds & {"()", "<>"}:
            return False
        if self.brackets_differ(a, b):
            return False
        if len(a.items) > MAX_ITEMS or len(b.items) > MAX_ITEMS:
            return False
        if "{}" in kinds or kinds == {""} or kinds == {"", "{}"}:
            if self.policy.lists == "ordered" and "{}" not in kinds:
                return self.ordered(a.items, b.items)
            return self.unordered(
                self.distinct(a) if "{}" in kinds else a.items, self.distinct(b) if "{}" in kinds else b.items
            )
        if self.ordered(a.items, b.items):
            return True
        names = self.by_name(a), self.by_name(b)
        if (names[0] is None) != (names[1] is None):
            named, plain = (names[0], b) if names[0] is not None else (names[1], a)
            return self.ordered(named or (), plain.items)
        return False

    def brackets_differ(self, a: Group, b: Group) -> bool:
        """`(1,2)` against `[1,2]`: an open and a closed interval when neither is bare."""
        return len(a.items) == 2 and {a.brackets, b.brackets} == {"()", "[]"}

    def by_name(self, group: Group) -> tuple[Answer, ...] | None:
        """The values of `y=2, x=1` in the order of the names."""
        if not all(isinstance(i, Named) for i in group.items):
            return None
        pairs = sorted(
            ((str(i.name.value), i.value) for i in group.items if isinstance(i, Named)), key=lambda p: p[0]
        )
        return tuple(value for _, value in pairs)

    def ordered(self, a: Sequence[Answer], b: Sequence[Answer]) -> bool:
        return len(a) == len(b) and all(self.same(x, y) for x, y in zip(a, b, strict=True))

    def unordered(self, a: Sequence[Answer], b: Sequence[Answer]) -> bool:
        if len(a) != len(b):
            return False
        left = list(b)
        for item in a:
            at = next((i for i, other in enumerate(left) if self.same(item, other)), None)
            if at is None:
                return False
            left.pop(at)
        return True

    def distinct(self, group: Group) -> list[Answer]:
        found: list[Answer] = []
        for item in group.items:
            if not any(self.same(item, other) for other in found):
                found.append(item)
        return found

    def group_any(self, b: Answer, a: Group) -> bool:
        """A group of one is its member, except a tuple's brackets round a list; letters side by side are a list."""
        if (
            isinstance(b, Value)
            and b.node.op == "sym"
            and a.items
            and all(isinstance(i, (Value, Choice)) for i in a.items)
        ):
            letters = str(b.node.value)
            if len(letters) == len(a.items) > 1 and letters.isupper():
                return self.unordered(a.items, [Value(sym(c)) for c in letters])
        if (
            a.word == "or"
            and a.items
            and isinstance(b, Value)
            and all(self.same(a.items[0], i) for i in a.items[1:])
        ):
            return self.same(a.items[0], b)
        if isinstance(b, Value) and a.brackets in ("<>", "()"):
            basis = unmarked_basis_vector(b.node)
            if basis is not None and self.group_group(basis, a):
                return True
        return len(a.items) == 1 and self.same(a.items[0], b)

    def value_group(self, a: Value, b: Group) -> bool:
        return self.group_any(a, b)

    def text_group(self, a: Text, b: Group) -> bool:
        if not b.items:
            return words.canonical(a.words) in words.EMPTY
        return self.group_any(a, b)

    # ---- regions -----------------------------------------------------------------------------------------------------

    def region_region(self, a: Region, b: Region) -> bool:
        if a.variable and b.variable and a.variable != b.variable and self.policy.variables == "strict":
            return False
        if self.policy.intervals == "strict" and bool(a.variable) != bool(b.variable):
            return False
        if len(a.spans) != len(b.spans):
            return False
        return all(self.same_span(s, t) for s, t in zip(a.spans, b.spans, strict=True))

    def same_span(self, s: Span, t: Span) -> bool:
        return self.same_end(s.low, t.low, s.low_closed == t.low_closed) and self.same_end(
            s.high, t.high, s.high_closed == t.high_closed
        )

    def same_end(self, a: Node, b: Node, closed_alike: bool) -> bool:
        if intervals.infinite(a) or intervals.infinite(b):
            return intervals.infinite(a) == intervals.infinite(b)
        return closed_alike and self.values.equal(a, b)

    def region_group(self, b: Group, a: Region) -> bool:
        as_region = _as_region(b)
        if as_region is not None and self.region_region(a, as_region):
            return True
        if len(b.items) == 1:
            return self.same(b.items[0], a)
        parts = [
            i if isinstance(i, Region) else _as_region(i) if isinstance(i, Group) else None for i in b.items
        ]
        if b.brackets == "" and parts and all(p is not None for p in parts):
            spans = intervals.merged([s for p in parts if p is not None for s in p.spans])
            return self.region_region(a, Region(spans))
        return False

    def region_value(self, b: Value, a: Region) -> bool:
        point = a.spans[0] if len(a.spans) == 1 else None
        return (
            point is not None
            and point.low_closed
            and point.high_closed
            and point.low == point.high
            and self.values.equal(point.low, b.node)
        )

    def region_text(self, b: Text, a: Region) -> bool:
        return not a.spans and words.canonical(b.words) in words.EMPTY

    # ---- the rest ----------------------------------------------------------------------------------------------------

    def matrix_matrix(self, a: Matrix, b: Matrix) -> bool:
        return [len(r) for r in a.rows] == [len(r) for r in b.rows] and all(
            self.values.equal(x, y)
            for r, s in zip(a.rows, b.rows, strict=True)
            for x, y in zip(r, s, strict=True)
        )

    def matrix_group(self, b: Group, a: Matrix) -> bool:
        if self.policy.vectors == "strict" or b.brackets == "{}":
            return False
        cells = (
            a.rows[0]
            if len(a.rows) == 1
            else tuple(r[0] for r in a.rows)
            if all(len(r) == 1 for r in a.rows)
            else None
        )
        if cells is not None and self.ordered([_typed(c) for c in cells], b.items):
            return True
        nested = [i.items for i in b.items if isinstance(i, Group)]
        return len(nested) == len(a.rows) == len(b.items) and all(
            self.ordered([_typed(c) for c in r], items) for r, items in zip(a.rows, nested, strict=True)
        )

    def ratio_ratio(self, a: Ratio, b: Ratio) -> bool:
        if len(a.parts) != len(b.parts):
            return False
        if a.parts == b.parts:
            return True
        if any(rational(p) == 0 for p in (*a.parts, *b.parts)):
            return all(self.values.equal(x, y) for x, y in zip(a.parts, b.parts, strict=True))
        first = a.parts[0], b.parts[0]
        return all(
            self.values.equal(Node("mul", (x, first[1])), Node("mul", (y, first[0])))
            for x, y in zip(a.parts[1:], b.parts[1:], strict=True)
        )

    def ratio_value(self, b: Value, a: Ratio) -> bool:
        return (
            len(a.parts) == 2
            and rational(a.parts[1]) != 0
            and self.values.equal(Node("div", a.parts), b.node)
        )

    def named_named(self, a: Named, b: Named) -> bool:
        x, y = _renamed(a, b)
        if x.name == y.name or self.values.equal(x.name, y.name):
            return self.same(x.value, y.value)
        if (
            x.name.op == y.name.op == "seq"
            and len(x.name.args) == len(y.name.args)
            and set(x.name.args) == set(y.name.args)
        ):
            order = [y.name.args.index(n) for n in x.name.args]
            if isinstance(y.value, Group) and len(y.value.items) == len(order):
                return self.same(x.value, replace(y.value, items=tuple(y.value.items[i] for i in order)))
        if self.policy.variables == "ignore" and x.name.op == y.name.op == "sym":
            return self.same(x.value, y.value)
        functional = {n.op for n in (x.name, y.name)} == {"sym", "fn"} and "y" in (x.name.value, y.name.value)
        if functional and self.same(x.value, y.value):
            return True
        left, right = _equation(x), _equation(y)
        return left is not None and right is not None and same_relation(self.values, left, right)

    def named_any(self, b: Answer, a: Named) -> bool:
        if isinstance(b, Relation) and isinstance(a.value, Relation):
            return self.same(a.value, b)
        if isinstance(b, Relation):
            as_equation = _equation(a)
            return as_equation is not None and same_relation(self.values, as_equation, b)
        if self.policy.assignment == "required" and not (
            isinstance(b, Region) and b.variable == str(a.name.value)
        ):
            return False
        value = a.value
        if (
            isinstance(b, Region)
            and b.variable
            and a.name.op == "sym"
            and not str(a.name.value)[:1].isupper()
            and b.variable != a.name.value
            and self.policy.variables == "strict"
        ):
            return False
        return self.same(
            value, replace(b, variable="") if isinstance(b, Region) and isinstance(value, Region) else b
        )

    def relation_relation(self, a: Relation, b: Relation) -> bool:
        return same_relation(self.values, a, b)

    def family_any(self, b: Answer, a: Family) -> bool:
        other = b.answer if isinstance(b, Family) else b
        return self.same(a.answer, other) or families.same(a.answer, other, declared=True)

    def compatible(self, a: Answer, b: Answer) -> bool:
        """Two roundings of one value: equal, or apart by no more than the last digit of the coarser one."""
        if isinstance(a, Value) and isinstance(b, Value):
            apart = expressions.apart(a.node, b.node)
            if apart is not None:
                return apart
        return self.same(a, b)

    def either_any(self, b: Answer, a: Either) -> bool:
        if not isinstance(b, Either) and self.same(a.exact, b):
            return True
        if isinstance(b, Either):
            return self.same(a.exact, b.exact) and self.compatible(a.rounded, b.rounded)
        return self.policy.approximation == "either" and self.same(a.rounded, b)


def _substituted(node: Node, name: str, value: Fraction) -> Node:
    return substitute(node, name, Node("num", (), value))


def _in_degrees(answer: Answer) -> bool:
    answer = answer.value if isinstance(answer, Named) else answer
    if isinstance(answer, Group):
        return bool(answer.items) and all(map(_in_degrees, answer.items))
    return isinstance(answer, Value) and answer.degrees


def _lettered(a: Value, b: Value) -> Value:
    """`5000 m` beside `5 km`: the letter is a unit."""
    if a.node.note == "unit?" and (b.unit or b.node.note == "unit?") and a.node.args[1].op == "sym":
        return Value(a.node.args[0], str(a.node.args[1].value))
    return a


def _without_percent(node: Node) -> Node:
    if node.op == "pct":
        return node.args[0]
    return node._replace(args=tuple(map(_without_percent, node.args))) if node.args else node


def _same_letter(x: Node, y: Node) -> bool:
    """`b` and `B` as options of a multiple choice."""
    names = [str(n.value) for n in (x, y) if n.op in ("sym", "const") and n.value is not None]
    return (
        len(names) == 2
        and all(len(n) == 1 and n.upper() in "ABCDEFGHIJ" for n in names)
        and names[0].upper() == names[1].upper()
    )


def _typed(node: Node) -> Answer:
    return classify(node)


def _parted(group: Group) -> Group:
    """A bare list of one set is that set."""
    if group.brackets == "" and len(group.items) == 1 and isinstance(group.items[0], Group):
        return group.items[0]
    return group


def _as_region(group: Group) -> Region | None:
    nodes = [i.node for i in group.items if isinstance(i, Value)]
    if len(nodes) != len(group.items):
        return None
    return intervals.region_of(Node("seq", tuple(nodes), group.brackets)) if group.brackets else None


def _renamed(a: Named, b: Named) -> tuple[Named, Named]:
    """`f(y) = y` against `f(x) = x`: the argument's name does not matter."""
    x, y = a.name, b.name
    if x.op == y.op == "fn" and x.value == y.value and len(x.args) == len(y.args) and x.args != y.args:
        if all(n.op == "sym" for n in (*x.args, *y.args)) and isinstance(b.value, Value):
            value = b.value.node
            for k, arg in enumerate(y.args):
                value = substitute(value, str(arg.value), sym(f"?{k}"))
            for k, arg in enumerate(x.args):
                value = substitute(value, f"?{k}", arg)
            return a, Named(x, replace(b.value, node=value))
        if all(n.op == "sym" for n in (*x.args, *y.args)):
            return a, Named(x, b.value)
    return a, b


def _equation(named: Named) -> Relation | None:
    return Relation(("=",), (named.name, named.value.node)) if isinstance(named.value, Value) else None


_ORDER: tuple[type, ...] = (
    Value,
    Text,
    Group,
    Region,
    Matrix,
    Ratio,
    Relation,
    Choice,
    Named,
    Family,
    Either,
)
_RANK: dict[type, int] = {kind: k for k, kind in enumerate(_ORDER)}
_RULES: dict[tuple[type, type], Callable[[Comparison, Any, Any], bool]] = {
    (Value, Value): Comparison.value_value,
    (Value, Text): Comparison.value_text,
    (Text, Text): Comparison.text_text,
    (Value, Group): Comparison.value_group,
    (Text, Group): Comparison.text_group,
    (Group, Group): Comparison.group_group,
    (Value, Region): Comparison.region_value,
    (Text, Region): Comparison.region_text,
    (Group, Region): Comparison.region_group,
    (Region, Region): Comparison.region_region,
    (Matrix, Matrix): Comparison.matrix_matrix,
    (Group, Matrix): Comparison.matrix_group,
    (Value, Ratio): Comparison.ratio_value,
    (Ratio, Ratio): Comparison.ratio_ratio,
    (Relation, Relation): Comparison.relation_relation,
    (Choice, Choice): Comparison.choice_choice,
    **{
        (kind, Choice): lambda self, b, a: self.choice_any(a, b)
        for kind in _ORDER
        if _RANK[kind] < _RANK[Choice]
    },
    **{(kind, Named): Comparison.named_any for kind in _ORDER if _RANK[kind] < _RANK[Named]},
    (Named, Named): Comparison.named_named,
    **{(kind, Family): Comparison.family_any for kind in _ORDER if _RANK[kind] <= _RANK[Family]},
    **{(kind, Either): Comparison.either_any for kind in _ORDER},
}
