"""Puts an answer into the equations that a task states.

    solves("Solve $x^2 - 5x + 6 = 0$.", "x = 2 or x = 3")   # True
    solves("Solve $x^2 - 5x + 6 = 0$.", "2")                # False: a root is missing

None means that the method does not apply: no equation, further conditions, or an answer of another kind.
"""

import re
from collections.abc import Mapping
from fractions import Fraction
from itertools import permutations
from typing import Any

from evoltune_math.answers.algebra.normal_form import normal_form
from evoltune_math.answers.algebra.rational import TooLarge, Undefined
from evoltune_math.answers.equality.expressions import Expressions
from evoltune_math.answers.kinds import Answer, Group, Named, Relation, Value, unnamed
from evoltune_math.answers.nodes import ZERO, Node, add, difference, has, substitute, symbols
from evoltune_math.answers.policy import DEFAULT
from evoltune_math.answers.reading.reader import read

MAX_UNKNOWNS, MAX_EQUATIONS, MAX_DEGREE, MAX_INSTRUCTION = 4, 6, 12, 4_000
_FORMULA = re.compile(r"\$\$?([^$]{1,400})\$\$?|\\\(([^$]{1,400}?)\\\)|\\\[([^$]{1,400}?)\\\]")
_ASKS = re.compile(
    r"\b(?:solve|solutions?|roots?|find (?:all )?(?:the )?(?:real )?(?:value|values|x\b|y\b|\$)|what (?:is|are) (?:the value of )?\$?\w\$?)",
    re.I,
)
_CONDITIONED = re.compile(
    r"\b(?:positive|negative|integers?|natural|prime|smallest|largest|greatest|least|sum of|product of|how many|number of|minimum|maximum|between|rational|interval)\b|\\(?:le|ge|in|lt|gt|pmod|bmod)|[<>]",
    re.I,
)

Point = Mapping[str, Node]  # a value for each unknown


def solves(instruction: str, answer: str) -> bool | None:
    """Whether the answer solves all equations of the task and, for one polynomial equation, is complete."""
    if len(instruction) > MAX_INSTRUCTION or not _ASKS.search(instruction) or _CONDITIONED.search(instruction):
        return None
    equations = _stated_equations(instruction)
    unknowns = sorted(set().union(*map(symbols, equations)))
    if not 1 <= len(unknowns) <= MAX_UNKNOWNS or len(equations) < len(unknowns):
        return None
    solutions = _stated_solutions(read(answer), unknowns)
    if not solutions:
        return None
    try:
        if not all(any(_holds(equations, point) for point in readings) for readings in solutions):
            return False
        if len(unknowns) == len(equations) == 1:
            return _is_complete(equations[0], len(solutions))
    except (TooLarge, Undefined):
        return None
    return True


def _stated_equations(instruction: str) -> list[Node]:
    """left - right of each equation between formula signs; none if one of them is no plain equation."""
    found: list[Node] = []
    for groups in _FORMULA.findall(instruction):
        text = next(g for g in groups if g)
        if "=" not in text:
            continue
        answer = read(text)
        for part in answer.items if isinstance(answer, Group) and answer.brackets == "" else (answer,):
            sides = _sides(part)
            if sides is None or has(add(*sides), "seq", "text", "matrix", "bigop", "pm", "rel"):
                return []
            found.append(difference(*sides))
    return found if len(found) <= MAX_EQUATIONS else []


def _sides(answer: Answer) -> tuple[Node, Node] | None:
    if isinstance(answer, Relation) and answer.signs == ("=",):
        return answer.members[0], answer.members[1]
    if isinstance(answer, Named) and isinstance(answer.value, Value) and answer.name.op == "sym":
        return answer.name, answer.value.node
    return None


def _stated_solutions(answer: Answer, unknowns: list[str]) -> list[list[Point]]:
    """For each solution in the answer the points that it may mean: an unnamed tuple may be in any order."""
    if len(unknowns) == 1:
        return [[{unknowns[0]: value}] for value in _values_of(unknowns[0], answer)]
    if isinstance(answer, Named) and answer.name.op == "seq":  # `(x, y) = (1, 2)`
        names = [str(n.value) for n in answer.name.args]
        if set(names) != set(unknowns):
            return []
        return [[dict(zip(names, nodes, strict=True))] for nodes in _tuples(answer.value, len(names))]
    if isinstance(answer, Group) and answer.items and all(isinstance(i, Named) for i in answer.items):
        members = [i for i in answer.items if isinstance(i, Named)]
        named = {str(i.name.value): i.value.node for i in members if isinstance(i.value, Value)}
        return [[named]] if set(named) == set(unknowns) and len(named) == len(answer.items) else []
    orders = list(permutations(unknowns))
    return [[dict(zip(o, nodes, strict=True)) for o in orders] for nodes in _tuples(answer, len(unknowns))]


def _values_of(unknown: str, answer: Answer) -> list[Node]:
    """The values of `x = 2 or x = 3`; none if a member is no value."""
    if isinstance(answer, Named):
        if str(answer.name.value) != unknown:
            return []
        answer = answer.value
    items = answer.items if isinstance(answer, Group) and answer.brackets != "()" else (answer,)
    values = [i.node for i in map(unnamed, items) if isinstance(i, Value) and not symbols(i.node)]
    return values if len(values) == len(items) else []


def _tuples(answer: Answer, size: int) -> list[tuple[Node, ...]]:
    if not isinstance(answer, Group):
        return []
    nodes = tuple(i.node for i in answer.items if isinstance(i, Value))
    if len(nodes) == len(answer.items) == size:
        return [nodes]
    inner = [_tuples(i, size) for i in answer.items]
    return [t for ts in inner for t in ts] if all(inner) else []


def _holds(equations: list[Node], point: Point) -> bool:
    return all(Expressions(DEFAULT).equal(substitute(equation, point), ZERO) for equation in equations)


def _is_complete(equation: Node, given: int) -> bool | None:
    """Whether a polynomial has exactly so many distinct real or complex roots; None for another equation."""
    form = normal_form(equation)
    if not form.is_free or any(len(m) > 1 for m in form.top) or form.denominator is None:
        return None
    coefficients = {(m[0][1] if m else 0): c for m, c in form.top.items()}
    degree = max(coefficients, default=0)
    if not 1 <= degree <= MAX_DEGREE:
        return None
    distinct: list[Any] = []
    for root in _roots([coefficients.get(k, Fraction(0)) for k in range(degree, -1, -1)]):
        if not any(abs(root - other) < 1e-6 * (1 + abs(root)) for other in distinct):
            distinct.append(root)
    real = [r for r in distinct if abs(r.imag) < 1e-8 * (1 + abs(r))]
    return given in (len(real), len(distinct)) if distinct else None


def _roots(coefficients: list[Fraction]) -> list[Any]:
    """The complex roots of a polynomial, highest coefficient first; none if the iteration does not converge."""
    import mpmath

    mp = mpmath.mp.clone()
    mp.dps = 30
    try:
        return list(
            mp.polyroots([mp.mpf(c.numerator) / c.denominator for c in coefficients], maxsteps=200, extraprec=200)
        )
    except mpmath.libmp.NoConvergence:
        return []
