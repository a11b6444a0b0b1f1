"""What kind of collection a list of named values is: the values of one name, a system, several solutions, labelled lists.

    x = 1, x = 2                     Named x of 1, 2              y = 2, x = 1     one solution, in the order x, y
    x = 1, y = 2, x = 3, y = 4       two solutions                Sequence 1: 1, 2 and Sequence 2: 3     two labelled lists
    (x, y) = (1, 2)                  the same as x = 1, y = 2

The order is that of the names if they are neighbours (x, y, z; a, b; x_1, x_2), else that in which they are written, so that a
solution equals one tuple and not several.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from evoltune_math.answers.kinds import Answer, Group, Named
from evoltune_math.answers.nodes import Node

_INDEXED = re.compile(r"(.*_)\{?(\d+)\}?")


def in_order(names: Sequence[Node]) -> list[int]:
    """The positions of the names in their conventional order, else as written."""
    written = list(range(len(names)))
    labels = [str(n.value).lstrip("?") for n in names]
    if any(n.op not in ("sym", "fn", "const") for n in names) or len(set(labels)) < len(labels):
        return written
    if all(len(label) == 1 for label in labels):
        keys = list(map(ord, labels))
        are_neighbours = max(keys) - min(keys) == len(keys) - 1
        return sorted(written, key=keys.__getitem__) if are_neighbours else written
    found = [m for m in map(_INDEXED.fullmatch, labels) if m is not None]
    if len(found) == len(labels) and len({m[1] for m in found}) == 1:
        return sorted(written, key=lambda at: int(found[at][2]))
    return written


def system(parts: list[Answer], word: str) -> Answer | None:
    """The collection that a bare list with named values is, or None if nothing is special about it."""
    named = [p for p in parts if isinstance(p, Named)]
    if len(named) < len(parts):
        return _labelled_lists(parts, word)
    names = [p.name for p in named]
    distinct = list(dict.fromkeys(names))
    if len(distinct) < 2:
        return None
    count = len(distinct)
    if len(names) == count:
        return Group(tuple(named[at] for at in in_order(names)), "", word)
    if len(names) % count == 0 and names == distinct * (len(names) // count):
        solutions = [named[at : at + count] for at in range(0, len(named), count)]
        order = in_order(distinct)
        return Group(tuple(Group(tuple(s[at] for at in order), "()") for s in solutions), "")
    return None


def _labelled_lists(parts: list[Answer], word: str) -> Group | None:
    """`Sequence 1 = -2, -1 and Sequence 2 = 10, 11`: what follows a label belongs to it, up to the next label."""
    if not (parts and isinstance(parts[0], Named) and parts[0].name.op == "text"):
        return None
    lists: list[tuple[Node, list[Answer]]] = []
    for part in parts:
        if isinstance(part, Named):
            if part.name.op != "text":
                return None
            lists.append((part.name, [part.value]))
        else:
            lists[-1][1].append(part)
    if len(lists) < 2:
        return None
    return Group(tuple(Named(n, v[0] if len(v) == 1 else Group(tuple(v), "")) for n, v in lists), "", word)


def spread(names: tuple[Node, ...], value: Answer) -> Answer | None:
    """`(y, x) = (2, 1)` as x = 1, y = 2; of several tuples, each. None if the value is no tuple of that size."""
    if not isinstance(value, Group):
        return None
    if value.brackets in ("()", "<>") and len(value.items) == len(names):
        return Group(tuple(Named(names[at], value.items[at]) for at in in_order(names)), "()")
    if value.brackets not in ("", "{}") or not value.items:
        return None
    tuples = [spread(names, item) if isinstance(item, Group) and item.brackets else None for item in value.items]
    found = tuple(t for t in tuples if t is not None)
    return replace(value, items=found) if len(found) == len(tuples) else None


def without_labels(group: Group) -> Group:
    """The members of labelled lists, side by side."""
    if not any(isinstance(i, Named) and i.name.op == "text" and isinstance(i.value, Group) for i in group.items):
        return group
    values = [i.value if isinstance(i, Named) else i for i in group.items]
    return replace(group, items=tuple(v for i in values for v in (i.items if isinstance(i, Group) else (i,))))
