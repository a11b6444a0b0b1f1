"""Node -> Answer: the kind of answer that a tree states.

classify(parse("x=-2,6"))       -> Named(x, Group((Value(-2), Value(6)), ""))
classify(parse("-1<x\\\\le 2")) -> Region(x, (-1, 2])
"""

from collections.abc import Iterable
from itertools import chain

from evoltune_math.answers import units
from evoltune_math.answers.algebra.ellipsis import is_dots, written_out
from evoltune_math.answers.algebra.evaluation import approximate
from evoltune_math.answers.algebra.intervals import alternatives, integers_of, joined, region_of, set_difference
from evoltune_math.answers.algebra.matrices import basis_vector, matrix_of, tuple_of
from evoltune_math.answers.algebra.rational import known_rational
from evoltune_math.answers.kinds import Answer, Either, Family, Group, Matrix, Named, Ratio, Relation, Text, Value
from evoltune_math.answers.nodes import Node, add, bare_items, difference, has, mul, neg, num, rel, symbols, walk
from evoltune_math.answers.reading.agreement import contradicts
from evoltune_math.answers.reading.names import is_index_bound, is_name, is_qualifier
from evoltune_math.answers.reading.systems import in_order, spread, system
from evoltune_math.answers.syntax.grammar import Unreadable
from evoltune_math.answers.vocabulary import TRIGONOMETRIC

MAX_ROUNDING_ERROR = 0.01  # relative error up to which `2/3 = 0.67` is an exact value and its rounding
MAX_INDEPENDENT = 3
"""More signs than this are taken together, all plus or all minus: the number of variants doubles with each."""


def classify(node: Node) -> Answer:
    """The answer that a tree states."""
    op = node.op
    if op == "seq":
        has_gap = any(map(is_dots, node.args)) and node.value in ("", "{}")
        return _group((written_out(node, {}) if has_gap else None) or node)
    if op == "rel":
        return _relation(tuple(str(node.value).split()), node.args)
    if op == "builder":
        whole = integers_of(node)
        return Group(tuple(map(Value, whole)), "{}") if whole else region_of(node) or _builder(node)
    is_reals = op == "const" and str(node.value).startswith("R")
    if op == "add" and (left_out := set_difference(node)) is not None:
        return classify(left_out)
    if op in ("union", "inter", "minus") or is_reals:
        return region_of(node) or Value(node)
    if op == "matrix" and node.note != "det":
        return Matrix(tuple(r.args for r in node.args))
    if op == "text":
        return Text(str(node.value))
    if op == "ratio":
        return Ratio(tuple(_without_units(a) for a in node.args))
    if op == "pmod" or (op == "mod" and node.note == "residue"):
        return _congruence(*node.args)
    rows = matrix_of(node) if op in ("add", "mul", "neg", "div", "pow") and has(node, "matrix") else None
    if rows is not None:
        return Matrix(rows)
    if op == "compound":
        return _compound(node)
    if has(node, "pm"):
        return Group(tuple(classify(v) for v in variants(node)), "")
    return basis_vector(node) or tuple_of(node) or _value(node)


# ---- values ----------------------------------------------------------------------------------------------------------


def _value(node: Node) -> Answer:
    unit = ""
    if node.op == "unit":
        node, unit = node.args[0], node.note
        if node.op in ("seq", "rel", "pm"):
            return classify(node)
    return Value(_without_units(node), unit or _unit_at_end(node), _is_in_degrees(node))


def _unit_at_end(node: Node) -> str:
    """The unit of a formula, which the parser binds to its last number: `2 \\times 10^3 kg`; "" where another part has one too."""
    last = node
    while last.op in ("neg", "mul", "add", "div", "pow"):
        last = last.args[-1]
    return last.note if last.op == "unit" and sum(n.op == "unit" for n in walk(node)) == 1 else ""


def _is_in_degrees(node: Node) -> bool:
    if node.op == "deg":
        return True
    return not _takes_degrees(node) and any(map(_is_in_degrees, node.args))


def _takes_degrees(node: Node) -> bool:
    return node.op == "fn" and node.value in TRIGONOMETRIC


def _without_units(node: Node) -> Node:
    """Units and degree signs taken off; the degrees inside of sin, cos ... stay."""
    if node.op in ("unit", "deg"):
        return _without_units(node.args[0])
    if not node.args or _takes_degrees(node) or node.op == "cases":  # there words are conditions: `n is even`
        return node
    args = tuple(_without_units(a) for a in node.args)
    return node if args == node.args else node._replace(args=args)


def _compound(node: Node) -> Answer:
    """`5 hours 30 minutes` in the first unit."""
    first, second = map(classify, node.args)
    if isinstance(first, Value) and isinstance(second, Value):
        factor = units.part(second.unit, first.unit) or units.factor(second.unit, first.unit)
        if factor is not None:
            return Value(add(first.node, mul(num(factor), second.node)), first.unit)
    return Text("")


# ---- lists and sets --------------------------------------------------------------------------------------------------


def _group(node: Node) -> Answer:
    brackets, items = str(node.value), node.args
    if brackets == "":
        return _bare_list(node)
    if brackets in ("[)", "(]"):
        return region_of(node) or Value(node)
    if brackets == "[]":
        if len(items) == 1 and items[0].op not in ("num", "seq", "sym", "dec", "neg"):
            return classify(items[0])
        if items and all(i.op == "seq" and i.value == "[]" and i.args for i in items):
            rows = tuple(i.args for i in items)
            if len({len(r) for r in rows}) == 1:
                return Matrix(rows)
    if brackets != "{}":
        if any(i.op == "pm" for i in items):
            return Group(tuple(classify(v) for v in all_signs(node)), "")
        return Group(tuple(classify(i) for i in items), brackets)
    members = _flattened(map(classify, items))
    is_system = len({m.name for m in members if isinstance(m, Named)}) == len(members) > 1
    return (system(members, "") if is_system else None) or Group(tuple(members), brackets)


def _flattened(items: Iterable[Answer]) -> list[Answer]:
    """Bare lists inside of a list are part of it: `{1 \\pm \\sqrt5, -2}` has three members."""
    return list(chain(*(i.items if isinstance(i, Group) and i.brackets == "" else (i,) for i in items)))


def _bare_list(node: Node) -> Answer:
    if len(node.args) == 2 and all(a.op == "rel" for a in node.args):  # `2 \\le k \\le 5, k \\in Z`
        condition, member = node.args
        if (
            member.value == "in"
            and condition.value != "in"
            and (whole := integers_of(Node("builder", (member, condition))))
        ):
            return Group(tuple(map(Value, whole)), "{}")
    items = _with_one_modulus([i for i in node.args if not is_qualifier(i)] or list(node.args))
    if items and items[0].op not in ("rel", "seq", "text"):
        known = symbols(items[0])
        items = [items[0], *(i for i in items[1:] if not _is_exclusion(i, known))]
    items = [items[0], *(i for i in items[1:] if not is_index_bound(i, items[0]))] if items else items
    if not items:
        return Text("")
    if len(items) == 1:
        answer = classify(items[0])
    else:
        are_inequalities = all(i.op == "rel" and not set(str(i.value).split()) & {"=", "~"} for i in items)
        region = joined(items, node.note) if are_inequalities else None
        special = region or _values_of_one_name(items, node.note)
        if special is not None:
            return special
        answer = _list(items, node.note)
        if not isinstance(answer, Group):
            return answer
    declared = [i for i in node.args if i.op == "rel" and is_qualifier(i)] if len(items) < len(node.args) else []
    return Family(answer, frozenset(n for i in declared for n in symbols(i.args[0]))) if declared else answer


def _with_one_modulus(items: list[Node]) -> list[Node]:
    """`n \\equiv 1, 3 \\pmod 8` as two congruences."""
    first, last = items[0], items[-1]
    if len(items) < 2 or last.op != "pmod":
        return items
    is_named = first.op == "rel" and first.value in ("mod", "=")
    residues, modulus = [first.args[-1] if is_named else first, *items[1:-1], last.args[0]], last.args[1]
    if any(r.op in ("rel", "pmod") for r in residues):
        return items
    return [Node("pmod", (rel("mod", first.args[0], r) if is_named else r, modulus)) for r in residues]


def _is_exclusion(item: Node, known: set[str]) -> bool:
    """The second part of `(x+3)/(x-3), x != -3`."""
    names = symbols(item)
    return item.op == "rel" and item.value == "!=" and bool(names) and names <= known


def _values_of_one_name(items: list[Node], word: str) -> Answer | None:
    """`x = 1, 2`, `x != 1, 2`."""
    first = items[0]
    if first.op != "rel" or first.value not in ("=", "in", "!=") or any(i.op == "rel" for i in items[1:]):
        return None
    name = first.args[0]
    if not is_name(name):
        return None
    if first.value == "!=":
        region = joined([first, *(rel("!=", name, i) for i in items[1:])], "and")
        if region is not None:
            return region
    return _named(name, classify(Node("seq", (first.args[-1], *items[1:]), "", word)))


def _list(items: list[Node], word: str) -> Answer:
    parts = [classify(i) for i in items]
    named = [p for p in parts if isinstance(p, Named)]
    if len(named) == len(parts) and len({p.name for p in named}) == 1:  # `x = 1, x = 2`
        return Named(named[0].name, Group(tuple(_flattened(p.value for p in named)), ""))
    arranged = system(parts, word)
    if arranged is not None:
        return arranged
    if word == "or":
        region = alternatives(items)
        if region is not None:
            return region
    members = [[part] if i.op == "seq" else _flattened([part]) for i, part in zip(items, parts, strict=True)]
    return Group(tuple(chain(*members)), "", word)


def _builder(node: Node) -> Answer:
    """The family `{x | x = 2k\\pi, k \\in Z}` = `{2k\\pi : k \\in Z}`; other conditions stay an expression."""
    head, condition = node.args
    conditions = bare_items(condition)
    rest = [c for c in conditions if not is_qualifier(c)]
    if not rest and head.op not in ("sym", "seq", "rel"):
        return Family(classify(head))
    if len(rest) == 1 < len(conditions) and rest[0].op == "rel" and rest[0].value == "=":
        name, value = rest[0].args[:2]
        if name == head:
            return Family(classify(value))
    return Value(node)


# ---- relations -------------------------------------------------------------------------------------------------------


def _congruence(left: Node, modulus: Node) -> Answer:
    if left.op == "rel":
        *members, last = left.args
        return _relation(tuple(str(left.value).split()), (*members, Node("pmod", (last, modulus))))
    return _residues(left, modulus)


def _residues(residue: Node, modulus: Node) -> Answer:
    """One class, or those of `\\pm 1`."""
    classes = tuple(Relation(("mod",), (r, modulus)) for r in variants(residue))
    return classes[0] if len(classes) == 1 else Group(classes, "")


def _relation(signs: tuple[str, ...], members: tuple[Node, ...]) -> Answer:
    first, second, last = members[0], members[1], members[-1]
    implied = [at for at, sign in enumerate(signs) if sign in ("implies", "iff")]
    if implied:  # only what follows counts
        at = implied[-1] + 1
        return _relation(signs[at:], members[at:]) if at + 1 < len(members) else classify(last)
    if signs == ("maps",) and first.op == "sym":  # `x \\mapsto x^2`
        return Named(Node("fn", (first,), "?f"), classify(last))
    if "~" in signs:
        return _approximation(signs, members)
    is_congruence = signs == ("mod",) and second.op in ("pmod", "mod")
    if set(signs) == {"="} or (signs == ("mod",) and not is_congruence):
        return _equation(members)
    if is_congruence:
        residue, modulus = second.args
        if is_name(first):
            return Named(first, _residues(residue, modulus))
        return Relation(signs, (difference(first, residue), modulus))
    if signs == ("!=",) and has(second, "pm"):
        return joined([rel("!=", first, v) for v in all_signs(second)], "and") or Relation(signs, members)
    if signs == ("in",):
        return _named(first, classify(second)) if is_name(first) else Relation(signs, members)
    if signs[0] == "=" and signs[-1] in ("in", "<", ">", "<=", ">=") and is_name(first):
        return Relation(signs, members)
    return region_of(rel(" ".join(signs), *members)) or Relation(signs, members)


def _named(name: Node, value: Answer) -> Answer:
    """A name and its value; a tuple of names has a value each."""
    return (spread(name.args, value) if name.op == "seq" else None) or Named(name, value)


def _approximation(signs: tuple[str, ...], members: tuple[Node, ...]) -> Answer:
    at = signs.index("~")
    is_misread = any(map(contradicts, members[at:], members[at + 1 :]))
    if is_misread and not (at and is_name(members[0])):
        raise Unreadable("a value and its approximation differ")
    rounded = classify(members[-1])
    if at == 0 and is_name(members[0]):
        return Named(members[0], rounded)
    exact = _relation(signs[:at], members[: at + 1]) if at else classify(members[0])
    if is_misread:
        return exact
    if isinstance(exact, Named):
        return Named(exact.name, Either(exact.value, rounded))
    return Either(exact, rounded)


def _equation(members: tuple[Node, ...]) -> Answer:
    """A name and its value, the value at the end of a computation, or a relation with all its members.

    What a name equals is the end of a computation, whatever stands before it. Values that differ are no answer: `4 = 5`, `x = 4 = 5`.
    """
    if any(m.op == "unit" for m in members):
        members = tuple(map(_with_letter_as_unit, members))
    first, second, last = members[0], members[1], members[-1]
    known = symbols(first)
    lists_numbers = (
        known and len(members) > 2 and all(known_rational(m) is not None and not m.args for m in members[1:])
    )
    if (not known or lists_numbers) and any(map(contradicts, members, members[1:])):
        raise Unreadable("the sides of an equation differ")
    if _takes_degrees(first) and first.args[0].op in ("sym", "fn") and not symbols(last):
        return Named(first, classify(last))
    if len(members) > 2 and not symbols(last) and all(m.op == "sym" and str(m.value).islower() for m in members[:-1]):
        each = tuple(Named(members[at], classify(last)) for at in in_order(members[:-1]))
        return Either(Group(each, ""), Named(first, classify(last)))  # `x = y = 0`
    is_integral = first.op == "bigop" and first.value not in ("sum", "prod") and not symbols(last)
    if first.op == "mul" and all(n.op == "text" for n in first.args):  # `first term = 5`
        return Named(Node("text", (), " ".join(str(n.value) for n in first.args)), _result(members))
    if is_integral or (is_name(first) and not (first.op == "sym" and symbols(last) & known)):
        return _named(first, _result(members))
    if first.op == "div" and all(n.op == "sym" for n in first.args) and not symbols(last):
        return Named(first, _result(members))
    if has(last, "matrix") and _is_matrix_name(first):
        return _named(first, classify(last))
    if first.op == "ratio" or (len(members) > 2 and not symbols(last)):
        is_solved = len(known) == 1 and _is_multiple(first) and not _is_inserted(first, second)
        return Relation(("=",), (first, last)) if is_solved else _result(members)
    if len(members) > 2 and not known:
        return classify(last)
    if len(members) == 2 and not known:
        if last.op == "sym":
            return Named(last, classify(first))
        is_unknown = any(n.op == "fn" and str(n.value).startswith("?") for n in walk(first))
        if not symbols(last) and not is_unknown and not has(first, "text"):
            return _result(members)
    return Relation(("=",) * (len(members) - 1), members)


def _is_multiple(node: Node) -> bool:
    """`2x`, `x/2`, `x + 3`: of what they equal, the letter's value is still to be found."""
    rest = [a for a in node.args if a.op != "sym"]
    return (
        node.op in ("mul", "div", "add")
        and len(rest) < len(node.args)
        and all(a.op in ("num", "dec", "neg") for a in rest)
    )


def _is_inserted(formula: Node, computed: Node) -> bool:
    """Whether the second is the first with a number for its letter: `4s = 4 \\cdot 5`."""
    if formula.op == "sym":
        return not symbols(computed)
    is_alike = formula.op == computed.op and formula.value == computed.value and len(formula.args) == len(computed.args)
    return is_alike and all(map(_is_inserted, formula.args, computed.args))


def _with_letter_as_unit(node: Node) -> Node:
    """The `0.5 L` of `500 mL = 0.5 L`, whose letter is a unit as the others are."""
    return Node("unit", (node.args[0],), None, str(node.args[1].value)) if node.note == "unit?" else node


def _is_matrix_name(node: Node) -> bool:
    """`A^{-1}`, `AB^T`: letters of matrices, with powers."""
    if node.op == "mul":
        return all(map(_is_matrix_name, node.args))
    base = node.args[0] if node.op == "pow" else node
    return base.op == "sym" and str(base.value)[:1].isupper()


def _result(members: tuple[Node, ...]) -> Answer:
    """The last member; of `1/3 = 0.333` the fraction and its rounding."""
    before, last = members[-2:]
    if last.op == "dec" and before.op != "dec" and not symbols(before):
        exact, rounded = approximate(before), approximate(last)
        if exact is not None and rounded is not None and 0 < abs(exact - rounded) <= MAX_ROUNDING_ERROR * abs(exact):
            return Either(classify(before), classify(last))
    return classify(last)


def variants(node: Node) -> list[Node]:
    """The distinct expressions that the tree stands for."""
    if sum(n.op == "pm" for n in walk(node)) > MAX_INDEPENDENT:
        found = [_with_sign(node, positive=True), _with_sign(node, positive=False)]
    else:
        found = all_signs(node)
    return list(dict.fromkeys(found))


def _with_sign(node: Node, *, positive: bool) -> Node:
    args = tuple(_with_sign(a, positive=positive) for a in node.args)
    if node.op == "pm":
        return add(*args) if positive else difference(*args)
    return node._replace(args=args) if args else node


def all_signs(node: Node) -> list[Node]:
    """Each combination of signs, the plus signs first."""
    if not node.args:
        return [node]
    combinations: list[tuple[Node, ...]] = [()]
    for arg in node.args:
        combinations = [(*c, variant) for c in combinations for variant in all_signs(arg)]
    if node.op != "pm":
        return [node._replace(args=c) for c in combinations]
    return [add(a, signed) for a, b in combinations for signed in (b, neg(b))]
