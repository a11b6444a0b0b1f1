"""From the answer of a problem back to one of its numbers, one step at a time.

undone(problem, 0)       # for 17 + 7 = 24, where 17 is asked for: ["24 - 7 = 17"]
"""

import re
from collections.abc import Sequence
from fractions import Fraction

from evoltune_math.rewrites.problem import Problem, Step, shown

_WHOLE = re.compile(
    r"\b(?:can|could|needs?|needed|enough|fills?|filled|fits?|must|should|will|have to|has to|requires?d?|packs?|makes?)\b",
    re.I,
)


def undone(problem: Problem, unknown: int) -> list[str] | None:
    """The equations that give a quantity from the answer: what does not depend on it first, then each step that does, undone.

    None where the quantity is used more than once, or where a step is no plain `a + b`: then it takes more than undoing. Also
    None for a division that the text may mean without its remainder (how many bags are needed): then several numbers fit.
    """
    path = _path(problem, f"q{unknown}")
    if path is None or (_WHOLE.search(problem.text) and any("/" in "".join(problem.steps[n].pieces) for n, _ in path)):
        return None
    forward = problem.lines(problem.given)
    lines = [forward[i] for i in range(len(problem.steps)) if i not in dict(path)]
    known = problem.answer
    for number, place in reversed(path):
        step = problem.steps[number]
        other = _other(problem, step, place)
        sign = "".join(step.pieces).strip()
        if other is None or sign not in ("+", "-", "*", "/") or not shown(other):
            return None
        if (sign == "*" and not other) or (sign == "/" and place == 1 and not known):
            return None  # times nothing: every number fits
        left, value = _undo(sign, place, known, other)
        if not shown(value):
            return None
        lines.append(f"{left} = {shown(value)}")
        known = value
    return lines if known == problem.quantities[unknown].value else None


def _path(problem: Problem, source: str) -> list[tuple[int, int]] | None:
    """(step, place of the unknown in it) from the quantity to the answer; None where it forks."""
    path: list[tuple[int, int]] = []
    while source != f"r{len(problem.steps) - 1}":
        uses = [(n, k) for n, step in enumerate(problem.steps) for k, s in enumerate(step.sources) if s == source]
        if len(uses) != 1 or problem.uses(source) != 1:
            return None
        path += uses
        source = f"r{uses[0][0]}"
    return path


def _other(problem: Problem, step: Step, place: int) -> Fraction | None:
    """The other operand of a step with two."""
    if len(step.sources) != 2 or any(piece.strip() for piece in (step.pieces[0], step.pieces[2])):
        return None
    source = step.sources[1 - place]
    known: dict[str, Sequence[Fraction]] = {"q": problem.given, "r": problem.values}
    return known[source[0]][int(source[1:])] if source[0] in known else None if source[0] == "p" else Fraction(source)


def _undo(sign: str, place: int, known: Fraction, other: Fraction) -> tuple[str, Fraction]:
    """(left side, value) of the equation that undoes `x sign other` (place 0) or `other sign x` (place 1)."""
    r, o = shown(known), shown(other)
    if sign in "+*":
        return (f"{r} - {o}", known - other) if sign == "+" else (f"{r} / {o}", known / other)
    if place == 0:
        return (f"{r} + {o}", known + other) if sign == "-" else (f"{r} * {o}", known * other)
    return (f"{o} - {r}", other - known) if sign == "-" else (f"{o} / {r}", other / known)
