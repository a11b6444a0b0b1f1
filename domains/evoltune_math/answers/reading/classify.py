"""Node -> Answer: what kind of thing was said. The kinds decide how two answers are compared.

typed(parse("x=-2,6")) -> Named(x, Group((Value(-2), Value(6)), "")) ; typed(parse("-1 < x \\\\le 2")) -> Region(x, (-1, 2])
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from evoltune_math.answers import units
from evoltune_math.answers.algebra import intervals, matrices
from evoltune_math.answers.algebra.numeric import approximate
from evoltune_math.answers.kinds import (
    Answer,
    Either,
    Family,
    Group,
    Matrix,
    Named,
    Ratio,
    Region,
    Relation,
    Text,
    Value,
)
from evoltune_math.answers.nodes import Node, has, rel, symbols, walk
from evoltune_math.answers.vocabulary import TRIGONOMETRIC

_WHOLE_SETS = frozenset(["Z", "N", "Z+", "N+", "Z^+", "N0", "N_0", "Z*", "N*", "Zgeq0", "Q"])
_DIFFERENTIALS = (Node("sym", (), "d"), Node("sym", (), "partial"))
_PARAMETERS = frozenset(["k", "n", "m", "l", "p", "t", "s", "C", "c"])


def typed(node: Node) -> Answer:
    """The answer that a tree states."""
    op = node.op
    if op == "seq":
        return _group(node)
    if op == "rel":
        return _relation(node)
    if op == "builder":
        return _builder(node)
    if op in ("union", "inter", "minus") or (
        op == "add" and node.args[0].op == "const" and node.args[0].value == "R"
    ):
        region = region_of(node)
        return region if region is not None else Value(node)
    if op == "matrix" and node.note != "det":
        return Matrix(tuple(r.args for r in node.args))
    if op == "text":
        return Text(str(node.value))
    if op == "ratio":
        return Ratio(tuple(_bare(a) for a in node.args))
    if op == "pmod":
        return _congruence(node)
    if op == "const" and str(node.value).startswith("R"):
        return region_of(node) or Value(node)
    if op == "with":
        return typed(node.args[0])
    computed = (
        matrices.matrix_of(node)
        if op in ("add", "mul", "neg", "div", "pow") and has(node, "matrix")
        else None
    )
    if computed is not None:
        return Matrix(computed)
    if op == "compound":
        return _compound(node)
    if has(node, "pm"):
        return _plus_minus(node)
    return _value(node)


def _builder(node: Node) -> Answer:
    """A set by its condition: a region, or the family `{x | x = 2k\\pi, k \\in Z}` = `{2k\\pi : k \\in Z}`."""
    region = region_of(node)
    if region is not None:
        return region
    head, condition = node.args
    conditions = condition.args if condition.op == "seq" and condition.value == "" else (condition,)
    whole = [c for c in conditions if _qualifies(c)]
    if len(whole) == len(conditions) and head.op not in ("sym", "seq", "rel"):
        return Family(typed(head))
    rest = [c for c in conditions if c not in whole]
    if len(rest) == 1 and whole and rest[0].op == "rel" and rest[0].value == "=" and rest[0].args[0] == head:
        return Family(typed(rest[0].args[1]))
    return Value(node)


def _congruence(node: Node) -> Answer:
    if node.op == "pmod" and node.args[0].op == "rel":
        left = node.args[0]
        return _relation(left._replace(args=(*left.args[:-1], Node("pmod", (left.args[-1], node.args[1])))))
    if node.op in ("pmod", "mod"):
        return Relation(("mod",), (node.args[0], node.args[1]))
    return Value(node)


def _compound(node: Node) -> Answer:
    """`5 hours 30 minutes` in the first unit."""
    first, second = typed(node.args[0]), typed(node.args[1])
    if isinstance(first, Value) and isinstance(second, Value):
        factor = units.factor(second.unit, first.unit)
        if factor is not None:
            return Value(
                Node("add", (first.node, Node("mul", (Node("num", (), factor), second.node)))), first.unit
            )
    return Text("")


def _value(node: Node) -> Answer:
    basis = _basis_vector(node)
    if basis is not None:
        return basis
    unit = ""
    if node.op == "unit":
        node, unit = node.args[0], node.note
        if node.op in ("seq", "rel", "pm"):
            return typed(node)
    degrees = _has_outer_degrees(node)
    return Value(_bare(node), unit, degrees)


def _has_outer_degrees(node: Node) -> bool:
    if node.op == "deg":
        return True
    if node.op == "fn" and node.value in TRIGONOMETRIC:
        return False
    return any(map(_has_outer_degrees, node.args))


def _bare(node: Node) -> Node:
    """Units and outer degree signs taken off; degrees inside sin, cos ... stay."""
    if node.op in ("unit", "deg"):
        return _bare(node.args[0])
    if not node.args or (node.op == "fn" and node.value in TRIGONOMETRIC):
        return node
    args = tuple(_bare(a) for a in node.args)
    return node if args == node.args else node._replace(args=args)


def _basis_vector(node: Node) -> Answer | None:
    """`2\\mathbf{i} - \\mathbf{j}` as a tuple."""
    terms = node.args if node.op == "add" else (node,)
    if not any(
        n.op == "sym" and n.note == "v" and n.value in ("i", "j", "k", "x", "y", "z") for n in walk(node)
    ):
        return None
    slots: dict[str, Node] = {}
    for term in terms:
        split = _coefficient(term)
        if split is None or split[0] in slots:
            return None
        slots[split[0]] = split[1]
    axes = ["i", "j", "k"] if set(slots) <= set("ijk") else ["x", "y", "z"]
    if not set(slots) <= set(axes):
        return None
    if axes[2] not in slots:
        axes = axes[:2]
    zero = Node("num", (), Fraction(0))
    return Group(tuple(Value(slots.get(a, zero)) for a in axes), "<>")


def plain_basis(node: Node) -> Group | None:
    """`2i + 3j` as a vector, when the other answer is one."""
    if "j" not in symbols(node):
        return None

    def marked(n: Node) -> Node:
        if (n.op == "const" and n.value == "i") or (n.op == "sym" and n.value in ("j", "k")):
            return Node("sym", (), n.value, "v")
        return n._replace(args=tuple(marked(a) for a in n.args)) if n.args else n

    basis = _basis_vector(marked(node))
    return basis if isinstance(basis, Group) else None


def _coefficient(term: Node) -> tuple[str, Node] | None:
    one = Node("num", (), Fraction(1))
    if term.op == "neg":
        inner = _coefficient(term.args[0])
        return None if inner is None else (inner[0], Node("neg", (inner[1],)))
    if term.op == "sym" and term.note == "v":
        return str(term.value), one
    if term.op == "mul":
        vectors = [a for a in term.args if a.op == "sym" and a.note == "v"]
        others = tuple(a for a in term.args if not (a.op == "sym" and a.note == "v"))
        if len(vectors) == 1 and others:
            return str(vectors[0].value), others[0] if len(others) == 1 else Node("mul", others)
    return None


def _plus_minus(node: Node) -> Answer:
    """`a \\pm b` as the list of both; signs in one expression are independent unless one of them is \\mp."""
    together = sum(n.op == "pm" for n in walk(node)) > 3
    variants = [_signed(node, +1), _signed(node, -1)] if together else _all_signs(node)
    return Group(tuple(typed(v) for v in dict.fromkeys(variants)), "")


def _signed(node: Node, sign: int) -> Node:
    args = tuple(_signed(a, sign) for a in node.args)
    if node.op == "pm":
        return Node("add", (args[0], args[1] if sign > 0 else Node("neg", (args[1],))))
    return node._replace(args=args) if args else node


def _all_signs(node: Node) -> list[Node]:
    if not node.args:
        return [node]
    choices: list[tuple[Node, ...]] = [()]
    for arg in node.args:
        choices = [(*c, variant) for c in choices for variant in _all_signs(arg)]
    if node.op != "pm":
        return [node._replace(args=c) for c in choices]
    return [Node("add", (a, s)) for a, b in choices for s in (b, Node("neg", (b,)))]


# ---- groups ----------------------------------------------------------------------------------------------------------


def _group(node: Node) -> Answer:
    brackets, items = str(node.value), node.args
    if brackets in ("[)", "(]"):
        return region_of(node) or Value(node)
    if brackets == "[]" and len(items) == 1 and items[0].op not in ("num", "seq", "sym", "dec", "neg"):
        return typed(items[0])
    if (
        brackets in ("[]", "()")
        and items
        and all(i.op == "seq" and i.value == brackets and i.args for i in items)
        and brackets == "[]"
    ):
        rows = tuple(i.args for i in items)
        if len({len(r) for r in rows}) == 1:
            return Matrix(rows)
    if brackets == "":
        return _bare_list(node)
    if brackets in ("()", "<>", "[]") and any(i.op == "pm" for i in items):
        spread = _all_signs(node)
        return Group(tuple(typed(v) for v in spread), "")
    return Group(
        tuple(_flat(typed(i) for i in items) if brackets == "{}" else [typed(i) for i in items]), brackets
    )


def _flat(items: Iterable[Answer]) -> list[Answer]:
    """`{1 \\pm \\sqrt5, -2}` has three members."""
    found: list[Answer] = []
    for item in items:
        if isinstance(item, Group) and item.brackets == "":
            found.extend(item.items)
        else:
            found.append(item)
    return found


def _bare_list(node: Node) -> Answer:
    items = [i for i in node.args if not _qualifies(i)] or list(node.args)
    if items and items[0].op not in ("rel", "seq", "text"):  # `(x+3)/(x-3), x != -3`
        known = symbols(items[0])
        items = [
            items[0],
            *(
                i
                for i in items[1:]
                if not (i.op == "rel" and i.value == "!=" and symbols(i) <= known and symbols(i))
            ),
        ]
    if len(items) == 1:
        declared = any(_qualifies(i) and i.op == "rel" for i in node.args if i is not items[0])
        return Family(typed(items[0])) if declared else typed(items[0])
    if not items:
        return Text("")
    first = items[0]
    if all(i.op == "rel" and not set(str(i.value).split()) & {"=", "~"} for i in items):
        region = _joined(items, node.note)
        if region is not None:
            return region
    if (
        first.op == "rel"
        and str(first.value) in ("=", "in", "!=")
        and all(i.op != "rel" for i in items[1:])
        and named(first.args[0])
    ):
        if first.value == "!=":
            region = _joined([first, *(rel("!=", first.args[0], i) for i in items[1:])], "and")
            if region is not None:
                return region
        values = Node("seq", (first.args[-1], *items[1:]), "", node.note)
        return Named(first.args[0], typed(values))
    parts = [typed(i) for i in items]
    if all(isinstance(p, Named) for p in parts):
        names = {p.name for p in parts if isinstance(p, Named)}
        if len(names) == 1:
            return Named(
                next(iter(names)), Group(tuple(_flat(p.value for p in parts if isinstance(p, Named))), "")
            )
    spans = [region_of(i) for i in items]
    one_variable = len({s.variable for s in spans if s is not None and s.variable}) <= 1
    if (
        node.note == "or"
        and one_variable
        and all(s is not None for s in spans)
        and all(i.op != "seq" or i.value != "{}" for i in items)
        and not all(_pair(i) for i in items)
    ):
        return Region(tuple(s for r in spans if r for s in r.spans))
    spread = [
        p for i, part in zip(items, parts, strict=True) for p in (_flat([part]) if i.op != "seq" else [part])
    ]
    group = Group(tuple(spread), "", node.note)
    declared = len(items) < len(node.args) and any(_qualifies(i) and i.op == "rel" for i in node.args)
    return Family(group) if declared else group


def _pair(node: Node) -> bool:
    return node.op == "seq" and node.value in ("()", "[]")


def _qualifies(item: Node) -> bool:
    """`k \\in \\mathbb{Z}`, `where C is a constant`: says how to read the rest."""
    if item.op == "rel" and str(item.value) in ("in", "notin") and item.args[0].op in ("sym", "seq"):
        where = item.args[1]
        if where.op in ("const", "sym") and str(where.value) in ("R", "C", "Z", "N"):
            return str(where.value) in "RC" or str(item.args[0].value) in _PARAMETERS
        return (
            where.op == "const" and str(where.value) in _WHOLE_SETS and str(item.args[0].value) in _PARAMETERS
        )
    if item.op == "fn" and str(item.value) in ("?forall",):
        return True
    return item.op == "text" and str(item.value).lower().startswith(
        ("where", "with", "for", "when", "and c", "integer", "any ", "is an")
    )


# ---- relations -------------------------------------------------------------------------------------------------------


def named(node: Node) -> bool:
    """Whether the left side of an equation only names what the right side is."""
    if node.op in ("sym", "text"):
        return True
    if node.op == "fn" and (
        str(node.value).startswith("?") or str(node.value) in ("det", "Re", "Im", "arg", "max", "min")
    ):
        return str(node.value).startswith("?") or bool(symbols(node))
    if node.op == "bigop" and node.value == "lim":
        return True
    if node.op in ("union", "inter", "minus"):
        return all(a.op == "sym" and str(a.value).isupper() for a in node.args)
    if node.op == "mul" and node.args[0].op == "sym" and node.args[0].value in ("nabla", "Delta"):
        return True
    if node.op in ("abs", "norm", "deg", "unit"):
        inside = node.args[0]
        return named(inside) and (_capital(inside) or (inside.op == "sym" and str(inside.value).isupper()))
    if node.op == "seq" and node.value in ("()", "<>"):
        return all(a.op == "sym" for a in node.args)
    if node.op == "div" and all(a.op == "mul" and _differential(a.args[0]) for a in node.args):
        return True
    if node.op == "mul" and node.args[-1].op == "fn" and node.args[-1].value == "?angle":
        return True
    if (
        node.op == "mul"
        and len(node.args) > 1
        and all(a.op == "sym" and str(a.value).isupper() for a in node.args)
    ):
        return True
    if node.op in ("mul", "div", "ratio"):
        return all(map(_capital, node.args))
    return False


def _differential(node: Node) -> bool:
    return node in _DIFFERENTIALS or (node.op == "pow" and node.args[0] in _DIFFERENTIALS)


def _capital(node: Node) -> bool:
    """`AB`, `S_1`, `\\overline{AB}`: a name in capitals."""
    if node.op == "sym":
        name = str(node.value).rpartition(":")[2].partition("_")[0]
        return (name.isupper() and (len(name) > 1 or "_" in str(node.value) or name in "SV")) or ":" in str(
            node.value
        )
    return node.op == "mul" and all(a.op == "sym" and str(a.value).isupper() for a in node.args)


def _relation(node: Node) -> Answer:
    signs, members = tuple(str(node.value).split()), node.args
    if "implies" in signs or "iff" in signs:
        at = max(i for i, s in enumerate(signs) if s in ("implies", "iff"))
        return (
            _relation(rel(" ".join(signs[at + 1 :]), *members[at + 1 :]))
            if at + 2 < len(members)
            else typed(members[-1])
        )
    if "~" in signs:
        at = signs.index("~")
        exact = typed(rel(" ".join(signs[:at]), *members[: at + 1])) if at else typed(members[0])
        if named(members[0]) and at == 0:
            return Named(members[0], typed(members[-1]))
        rounded = typed(members[-1])
        if isinstance(exact, Named):
            return Named(exact.name, Either(exact.value, rounded))
        return Either(exact, rounded)
    if set(signs) == {"="} or (signs == ("mod",) and members[1].op not in ("pmod", "mod")):
        return _equation(members)
    if signs == ("mod",) and members[1].op in ("pmod", "mod"):
        residue, modulus = members[1].args
        if named(members[0]):
            return Named(members[0], Relation(signs, (residue, modulus)))
        return Relation(signs, (Node("add", (members[0], Node("neg", (residue,)))), modulus))
    if signs == ("!=",) and has(members[1], "pm"):
        return _joined([rel("!=", members[0], v) for v in _all_signs(members[1])], "and") or Relation(
            signs, members
        )
    if signs == ("in",):
        inside = typed(members[1])
        return Named(members[0], inside) if named(members[0]) else Relation(signs, members)
    if signs[-1] in ("in", "<", ">", "<=", ">=") and signs[0] == "=" and len(signs) > 1 and named(members[0]):
        return Relation(signs, members)
    region = region_of(node)
    return region if region is not None else Relation(signs, members)


def _equation(members: tuple[Node, ...]) -> Answer:
    """A name and its value, the value at the end of a computation, or a relation with all its members."""
    first, last = members[0], members[-1]
    if (
        first.op == "fn"
        and first.value in TRIGONOMETRIC
        and first.args[0].op in ("sym", "fn")
        and not symbols(last)
    ):
        return Named(first, typed(last))
    if named(first) and not (first.op == "sym" and symbols(last) & symbols(first)):
        return Named(first, _last(members))
    if first.op == "ratio" or (len(members) > 2 and not symbols(last)):
        return _last(members)
    if len(members) > 2 and not symbols(first) and symbols(last):
        return typed(last)
    if last.op == "sym" and not symbols(first) and len(members) == 2:
        return Named(last, typed(first))
    plain = not any(str(n.value).startswith("?") for n in walk(first) if n.op == "fn") and not has(
        first, "text"
    )
    if len(members) == 2 and not symbols(first) and not symbols(last) and plain:
        return _last(members)
    return Relation(("=",) * (len(members) - 1), members)


def _last(members: tuple[Node, ...]) -> Answer:
    """The last member; `1/3 = 0.333` is the fraction and its rounding."""
    if len(members) > 1 and members[-1].op == "dec" and members[-2].op != "dec" and not symbols(members[-2]):
        start, end = (approximate(m) for m in members[-2:])
        if start is not None and end is not None and start != end and abs(start - end) <= 0.01 * abs(start):
            return Either(typed(members[-2]), typed(members[-1]))
    return typed(members[-1])


# ---- regions ---------------------------------------------------------------------------------------------------------


def region_of(node: Node) -> Region | None:
    """The set of reals that a tree describes as an interval, an inequality in one variable, or a union; else None."""
    return intervals.region_of(node)


def _joined(items: list[Node], word: str) -> Region | None:
    return intervals.joined(items, word)
