"""Sums and products with dots: `1 + 2 + \\cdots + n`, `(v - a_1)(v - a_2) \\cdots (v - a_n)`.

The terms around the dots show what changes from one to the next: an index of a name, a number, an exponent. With the last index
set to a small number, the dots are written out; two expressions are equal if they are for several such numbers.

    written_out(parse("1+2+\\cdots+n"), {"n": 5})  ->  1+2+3+4+5
"""

from collections.abc import Callable
from fractions import Fraction

from evoltune_math.answers.algebra.rational import known_rational
from evoltune_math.answers.nodes import Node, mul, num, substitute, sym, symbols, walk

MAX_TERMS = 200
SIZES = (5, 7)
"""Values of the last index for which two expressions are compared."""


def is_dots(node: Node) -> bool:
    return node.op == "text" and node.value == "..."


def has_dots(node: Node) -> bool:
    return any(map(is_dots, walk(node)))


def last_indices(node: Node) -> set[str]:
    """The names in the terms after the dots that no term before them has: `n` in `1+2+\\\\cdots+n` and `a_1+\\\\cdots+a_n`."""
    found: set[str] = set()
    for parent in walk(node):
        at = next((k for k, a in enumerate(parent.args) if is_dots(a)), 0)
        if at:
            before = {n for a in parent.args[:at] for n in _letters(a)}
            behind = {n for a in parent.args[at + 1 :] for n in _letters(a)} - before
            found |= behind or {
                n for power in walk(parent.args[0]) if power.op == "pow" for n in symbols(power.args[1])
            }
    return found


def _letters(node: Node) -> set[str]:
    """The symbols, and the indices in their names: `a_n` has `n`."""
    return {part for name in symbols(node) for part in ([*name.split("_")[1:]] if "_" in name else [name])}


def written_out(node: Node, last: dict[str, int]) -> Node | None:
    """The tree with `last` for the last index and all terms in place of the dots; None if they follow no rule."""
    node = _with_index(node, last)
    if not has_dots(node):
        return node
    args: list[Node] = []
    for arg in node.args:
        written = arg if is_dots(arg) else written_out(arg, {})
        if written is None:
            return None
        args.append(written)
    at = next((k for k, a in enumerate(args) if is_dots(a)), -1)
    if at < 0:
        return node._replace(args=tuple(args))
    if node.op not in ("add", "mul", "seq") or at == 0 or at + 1 >= len(args) or any(map(is_dots, args[at + 1 :])):
        return None
    ends = [args[at + 1]]
    if node.op == "mul" and at + 2 < len(args):  # `2 \\cdot 4 \\cdots 2n`
        rest = mul(*args[at + 1 :])
        ends.append(rest if (value := _value(rest)) is None else num(value))
    between = _between(args[:at], ends)
    return None if between is None else node._replace(args=(*args[:at], *between, *args[at + 1 :]))


def _between(before: list[Node], ends: list[Node]) -> list[Node] | None:
    """The terms that the dots stand for, up to the first end that they reach. The last two before them show the step; a single one
    grows by one."""
    previous = before[-1]
    steps = [(_step(before[-2], previous), end) for end in ends] if len(before) > 1 else []
    for step, end in (*steps, (_step_to(previous, ends[0]), ends[0])):
        found: list[Node] = []
        term = previous
        while step is not None and len(found) < MAX_TERMS:
            term = step(term)
            if term == end or _value(term) == _value(end) is not None:
                return found
            found.append(term)
    return None


def _value(node: Node) -> Fraction | None:
    return None if symbols(node) else known_rational(node)


_Step = Callable[[Node], Node]


def _step(first: Node, second: Node) -> _Step | None:
    """What leads from the first term to the second: each number and index grows by a constant."""
    numbers_a, numbers_b = _numbers(first), _numbers(second)
    if _skeleton(first) != _skeleton(second):
        a, b = _value(first), _value(second)
        if a is None or b is None:
            return None
        return lambda term: num((_value(term) or Fraction(0)) + b - a)
    steps = [b - a for a, b in zip(numbers_a, numbers_b, strict=True)]
    return (lambda term: _moved(term, steps)) if any(steps) else None


def _step_to(first: Node, last: Node) -> _Step | None:
    """One step of one, where `first` and `last` differ."""
    numbers_a, numbers_b = _numbers(first), _numbers(last)
    if _skeleton(first) != _skeleton(last):
        return None
    steps = [Fraction((b > a) - (b < a)) for a, b in zip(numbers_a, numbers_b, strict=True)]
    return (lambda term: _moved(term, steps)) if any(steps) else None


def _numbers(node: Node) -> list[Fraction]:
    """The whole numbers of a term, the indices of names included, in the order of the tree."""
    if node.op == "num" and isinstance(node.value, Fraction):
        return [node.value]
    if node.op == "sym":
        index = str(node.value).rpartition("_")[2]
        return [Fraction(index)] if index.isdigit() and "_" in str(node.value) else []
    return [n for a in node.args for n in _numbers(a)]


def _skeleton(node: Node) -> Node:
    """The term with zeros for its numbers."""
    return _renumbered(node, iter([Fraction(0)] * len(_numbers(node))).__next__)


def _moved(node: Node, steps: list[Fraction]) -> Node:
    numbers = [n + step for n, step in zip(_numbers(node), steps, strict=True)]
    return _renumbered(node, iter(numbers).__next__)


def _renumbered(node: Node, following: Callable[[], Fraction]) -> Node:
    if node.op == "num":
        return num(following())
    if node.op == "sym":
        stem, mark, index = str(node.value).rpartition("_")
        return sym(f"{stem}_{following()}") if mark and index.isdigit() else node
    return node._replace(args=tuple(_renumbered(a, following) for a in node.args)) if node.args else node


def _with_index(node: Node, last: dict[str, int]) -> Node:
    """`last` for the symbols and for the indices of names: `a_n` becomes `a_5`, `2^{n-1}` becomes `2^4`."""
    if not last:
        return node
    names: dict[str, Node] = {}
    for name in symbols(node):
        stem, mark, index = name.rpartition("_")
        if name in last:
            names[name] = num(last[name])
        elif mark and index in last:
            names[name] = sym(f"{stem}_{last[index]}")
        elif mark and index[:1] in last and index[1:2] == "-" and index[2:].isdigit():
            names[name] = sym(f"{stem}_{last[index[0]] - int(index[2:])}")
    return _folded(substitute(node, names))


def _folded(node: Node) -> Node:
    """Sums and products of numbers as numbers, so that the terms of `2^{n-1} + 2^{n-2}` have one shape."""
    args = tuple(map(_folded, node.args))
    node = node._replace(args=args) if args != node.args else node
    is_number = node.op in ("add", "neg", "mul") and all((a.args[0] if a.op == "neg" else a).op == "num" for a in args)
    value = known_rational(node) if is_number else None
    return num(value) if value is not None and value.denominator == 1 and value >= 0 else node
