"""Puts an answer back into the equations that a task states.

    solves("Solve $x^2 - 5x + 6 = 0$.", "x = 2 or x = 3") -> True;   (..., "2") -> False, a root is missing

None means that the method does not apply: no equation, further conditions, or an answer of another kind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from itertools import permutations
from typing import Any

from evoltune_math.answers.algebra.normal_form import normal_form
from evoltune_math.answers.algebra.rational import Undefined
from evoltune_math.answers.equality.expressions import Expressions
from evoltune_math.answers.kinds import Answer, Group, Named, Relation, Value
from evoltune_math.answers.limits import TooLarge
from evoltune_math.answers.nodes import Node, has, substitute, symbols
from evoltune_math.answers.policy import DEFAULT
from evoltune_math.answers.reading.reader import read

MAX_UNKNOWNS, MAX_EQUATIONS = 4, 6
_FORMULA = re.compile(r"\$\$?([^$]{1,400})\$\$?|\\\(([^$]{1,400}?)\\\)|\\\[([^$]{1,400}?)\\\]")
_ASKS = re.compile(
    r"\b(?:solve|solutions?|roots?|find (?:all )?(?:the )?(?:real )?(?:value|values|x\b|y\b|\$)|what (?:is|are) (?:the value of )?\$?\w\$?)",
    re.I,
)
_CONDITIONED = re.compile(
    r"\b(?:positive|negative|integers?|natural|prime|smallest|largest|greatest|least|sum of|product of|how many|number of|minimum|maximum|between|rational|interval)\b|\\(?:le|ge|in|lt|gt|pmod|bmod)|[<>]",
    re.I,
)


def solves(instruction: str, answer: str) -> bool | None:
    """Whether the answer solves all equations of the task and, for one polynomial equation, is complete."""
    if len(instruction) > 4000 or not _ASKS.search(instruction) or _CONDITIONED.search(instruction):
        return None
    equations = stated(instruction)
    unknowns = sorted(set().union(*(symbols(e) for e in equations))) if equations else []
    if not equations or not 1 <= len(unknowns) <= MAX_UNKNOWNS or len(equations) < len(unknowns):
        return None
    points = _points(read(answer), unknowns)
    if not points:
        return None
    try:
        if not all(any(_holds(equations, p) for p in ways) for ways in points):
            return False
        if len(unknowns) == 1 and len(equations) == 1:
            return _complete(equations[0], len(points))
    except (TooLarge, Undefined):
        return None
    return True


def stated(instruction: str) -> list[Node]:
    """left - right of each equation between formula signs; [] when one of them is no plain equation."""
    found: list[Node] = []
    for groups in _FORMULA.findall(instruction):
        text = next(g for g in groups if g)
        if "=" not in text:
            continue
        for answer in _each(read(text)):
            sides = _sides(answer)
            if sides is None or has(Node("add", sides), "seq", "text", "matrix", "bigop", "pm", "rel"):
                return []
            found.append(Node("add", (sides[0], Node("neg", (sides[1],)))))
    return found if len(found) <= MAX_EQUATIONS else []


def _each(answer: Answer) -> tuple[Answer, ...]:
    return answer.items if isinstance(answer, Group) and answer.brackets == "" else (answer,)


def _sides(answer: Answer) -> tuple[Node, Node] | None:
    if isinstance(answer, Relation) and answer.signs == ("=",):
        return answer.members[0], answer.members[1]
    if isinstance(answer, Named) and isinstance(answer.value, Value) and answer.name.op == "sym":
        return answer.name, answer.value.node
    return None


def _points(answer: Answer, unknowns: list[str]) -> list[list[Mapping[str, Node]]]:
    """For each stated solution the assignments that it may mean (an unnamed tuple: every order)."""
    if len(unknowns) == 1:
        if isinstance(answer, Named):
            answer = answer.value if str(answer.name.value) == unknowns[0] else Group((), "")
        items = [
            i.value if isinstance(i, Named) else i
            for i in (answer.items if isinstance(answer, Group) and answer.brackets != "()" else (answer,))
        ]
        values = [i.node for i in items if isinstance(i, Value) and not symbols(i.node)]
        return [[{unknowns[0]: v}] for v in values] if len(values) == len(items) else []
    if isinstance(answer, Named) and answer.name.op == "seq":
        names = [str(n.value) for n in answer.name.args]
        return [
            [dict(zip(names, nodes, strict=True))]
            for nodes in _tuples(answer.value, len(names))
            if set(names) == set(unknowns)
        ]
    if isinstance(answer, Group) and answer.items and all(isinstance(i, Named) for i in answer.items):
        named = {
            str(i.name.value): i.value.node
            for i in answer.items
            if isinstance(i, Named) and isinstance(i.value, Value)
        }
        return [[named]] if set(named) == set(unknowns) and len(named) == len(answer.items) else []
    return [
        [dict(zip(order, nodes, strict=True)) for order in permutations(unknowns)]
        for nodes in _tuples(answer, len(unknowns))
    ]


def _tuples(answer: Answer, size: int) -> list[tuple[Node, ...]]:
    if not isinstance(answer, Group):
        return []
    nodes = tuple(i.node for i in answer.items if isinstance(i, Value))
    if len(nodes) == len(answer.items) == size:
        return [nodes]
    inner = [_tuples(i, size) for i in answer.items]
    return [t for ts in inner for t in ts] if all(inner) else []


def _holds(equations: list[Node], point: Mapping[str, Node]) -> bool:
    values = Expressions(DEFAULT)
    zero = Node("num", (), Fraction(0))
    for equation in equations:
        at = equation
        for name, value in point.items():
            at = substitute(at, name, value)
        if not values.equal(at, zero):
            return False
    return True


def _complete(equation: Node, given: int) -> bool | None:
    """Whether a polynomial has exactly so many distinct real roots; None for another equation."""
    form = normal_form(equation)
    if not form.is_free or any(len(m) > 1 for m in form.top) or list(form.bottom) != [()]:
        return None
    degrees = {(m[0][1] if m else 0): c for m, c in form.top.items()}
    degree = max(degrees, default=0)
    if not 1 <= degree <= 12:
        return None
    import mpmath

    mp = mpmath.mp.clone()
    mp.dps = 30
    coefficients = [
        mp.mpf(degrees.get(k, Fraction(0)).numerator) / degrees.get(k, Fraction(0)).denominator
        for k in range(degree, -1, -1)
    ]
    try:
        roots = mp.polyroots(coefficients, maxsteps=200, extraprec=200)
    except mpmath.libmp.NoConvergence:
        return None
    distinct: list[Any] = []
    for root in roots:
        if not any(abs(root - other) < 1e-6 * (1 + abs(root)) for other in distinct):
            distinct.append(root)
    real = [r for r in distinct if abs(r.imag) < 1e-8 * (1 + abs(r))]
    return given in (len(real), len(distinct))
