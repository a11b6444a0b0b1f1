"""Rules for values, words and options of a multiple choice."""

from evoltune_math.answers import units
from evoltune_math.answers.equality.comparison import Comparison, Rules, before
from evoltune_math.answers.equality.parameters import equal_up_to_constants
from evoltune_math.answers.equality.words import names_value, same_words
from evoltune_math.answers.kinds import Answer, Choice, Text, Value
from evoltune_math.answers.nodes import Node, has, mul, num, symbols


def _value_value(comparison: Comparison, a: Value, b: Value) -> bool:
    policy, equal = comparison.policy, comparison.expressions.equal
    a, b = _with_letter_unit(a, b), _with_letter_unit(b, a)
    if not units.agree(a.unit, b.unit, policy.units):
        factor = units.factor(a.unit, b.unit)  # `1 km` = `1000 m`
        return factor is not None and equal(mul(a.node, num(factor)), b.node)
    if policy.degrees == "required" and a.degrees != b.degrees:
        return _same_in_radians(comparison, a, b)
    x, y = a.node, b.node
    if policy.units != "required":
        x, y = _without_letter_unit(x, y), _without_letter_unit(y, x)
    if equal(x, y):
        return True
    if a.degrees != b.degrees and _same_in_radians(comparison, a, b):
        return True
    if policy.percent == "either" and has(x, "pct") != has(y, "pct"):
        return equal(_without_percent(x), _without_percent(y))
    may_be_missing = policy.constant == "optional"
    return _same_option(x, y) or equal_up_to_constants(comparison.expressions, x, y, may_be_missing=may_be_missing)


def _same_in_radians(comparison: Comparison, a: Value, b: Value) -> bool:
    """`90^\\circ` = `\\pi/2`; a plain number is never taken for radians."""
    x, y = (Node("deg", (v.node,)) if v.degrees else v.node for v in (a, b))
    other = b.node if a.degrees else a.node
    return not symbols(other) and other.op not in ("num", "dec") and comparison.expressions.equal(x, y)


def _with_letter_unit(a: Value, b: Value) -> Value:
    """`5000 m` beside `5 km`: the letter is a unit."""
    if a.node.note == "unit?" and (b.unit or b.node.note == "unit?") and a.node.args[1].op == "sym":
        return Value(a.node.args[0], str(a.node.args[1].value))
    return a


def _without_letter_unit(x: Node, y: Node) -> Node:
    """`438 m` beside `438`: the letter is a unit if the other side has no letter."""
    return x.args[0] if x.note == "unit?" and not symbols(y) else x


def _without_percent(node: Node) -> Node:
    if node.op == "pct":
        return node.args[0]
    return node._replace(args=tuple(map(_without_percent, node.args))) if node.args else node


def _same_option(x: Node, y: Node) -> bool:
    """`b` and `B` as options of a multiple choice."""
    names = [str(n.value).upper() for n in (x, y) if n.op in ("sym", "const")]
    return len(names) == 2 and names[0] == names[1] and len(names[0]) == 1 and names[0] in "ABCDEFGHIJ"


def _text_text(comparison: Comparison, a: Text, b: Text) -> bool:
    return a.words == b.words == "..." or same_words(a.words, b.words, comparison.policy.text)


def _choice_choice(comparison: Comparison, a: Choice, b: Choice) -> bool:
    if a.letter != b.letter:
        return False
    if a.body is None or b.body is None or isinstance(a.body, Text) or isinstance(b.body, Text):
        return True
    return comparison.same(a.body, b.body)


def _any_choice(comparison: Comparison, a: Answer, b: Choice) -> bool:
    name = a.words if isinstance(a, Text) else ""
    if isinstance(a, Value) and a.node.op in ("sym", "const"):
        name = str(a.node.value)
    if len(name) == 1:
        return name.upper() == b.letter
    return comparison.policy.choices == "either" and b.body is not None and comparison.same(b.body, a)


RULES: Rules = {
    (Value, Value): _value_value,
    (Value, Text): lambda comparison, a, b: names_value(b.words, a),
    (Text, Text): _text_text,
    **{(kind, Choice): _any_choice for kind in before(Choice)},
    (Choice, Choice): _choice_choice,
}
