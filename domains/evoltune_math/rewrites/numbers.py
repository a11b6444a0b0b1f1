"""Other numbers for a problem, within sense: wholes stay whole, nothing becomes negative, order and sizes stay alike.

given = other_numbers(problem, rng)           # the quantities anew, or None where no others fit
with_numbers(problem, given)                  # (text, solution) with them
"""

import random
import re
from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations

from evoltune_math.rewrites.problem import Problem, Quantity, shown

TRIES = 400
PERCENTS = (5, 10, 15, 20, 25, 30, 40, 50, 60, 70, 75, 80, 90)
_NUMERAL = re.compile(r"\d[\d,]*(?:\.\d+)?|\.\d+")


def other_numbers(problem: Problem, rng: random.Random) -> tuple[Fraction, ...] | None:
    """Quantities of which all that may change do; the steps give whole results where they did."""
    free = movable(problem)
    if not free:
        return None
    for _ in range(TRIES):
        given = list(problem.given)
        for i in free:
            given[i] = _drawn(problem.quantities[i], rng)
        if fits(problem, given) and any(given[i] != problem.given[i] for i in free):
            return tuple(given)
    return None


def movable(problem: Problem) -> list[int]:
    """Which quantities may be another number: not those that are fixed, nor percentages that may belong together."""
    quantities = problem.quantities
    percents = [i for i, q in enumerate(quantities) if q.kind == "percent"]
    fixed = set(percents) if len(percents) > 1 or any(quantities[i].value > 100 for i in percents) else set()
    # A number that is the sum of two others may state a relation, which other numbers would break.
    for i, j in combinations(range(len(quantities)), 2):
        sums = [
            k
            for k, q in enumerate(quantities)
            if k not in (i, j) and q.value == quantities[i].value + quantities[j].value
        ]
        fixed |= {i, j, *sums} if sums else set()
    return [i for i, q in enumerate(quantities) if q.kind != "fixed" and i not in fixed]


def _drawn(quantity: Quantity, rng: random.Random) -> Fraction:
    value = int(quantity.value)
    if quantity.kind == "percent":
        return Fraction(rng.choice(PERCENTS))
    if quantity.kind == "time":  # days in a week and hours in a day have an upper end
        return Fraction(rng.randint(2, value)) if value > 2 else quantity.value
    return Fraction(rng.randint(max(2, value // 2), 2 * value + 3))


def fits(problem: Problem, given: Sequence[Fraction]) -> bool:
    """Whether the problem makes sense with these quantities."""
    if len(set(given)) < len(given) and len(set(problem.given)) == len(problem.given):
        return False
    results = problem.results(given)
    if results is None or any(result <= 0 for result in results):
        return False
    for new, old in zip(results, problem.values, strict=True):
        places = 1 if old.denominator == 1 else 100
        if (new * places).denominator != 1 or new > 10 * max(old, Fraction(10)):
            return False
        if old <= 100 < new and re.search(r"%|\bper ?cent", problem.text, re.I):
            return False
    if not keeps_order(problem, given):
        return False
    # Every number keeps one source: none is a constant of the solution, a result, or another quantity.
    constants = {Fraction(s) for step in problem.steps for s in step.sources if s[0] not in "qpr"}
    changed = {new for new, old in zip(given, problem.given, strict=True) if new != old}
    return not changed & (constants | set(results)) and len(set(results)) == len(set(problem.values))


def keeps_order(problem: Problem, given: Sequence[Fraction]) -> bool:
    """Whether of two quantities of one kind the larger one stays so."""
    kinds = [q.kind for q in problem.quantities]
    return all(
        kinds[i] != kinds[j] or (given[i] < given[j]) == (problem.given[i] < problem.given[j])
        for i, j in combinations(range(len(given)), 2)
    )


def with_numbers(problem: Problem, given: Sequence[Fraction]) -> tuple[str, str]:
    """(text, solution) with other quantities."""
    return replaced(problem, {i: shown(value) for i, value in enumerate(given)}), solution_with(problem, given)


def replaced(problem: Problem, new: dict[int, str]) -> str:
    """The text with other numerals for some quantities; the `$` and `%` beside them stay."""
    text = problem.text
    for i, quantity in reversed(list(enumerate(problem.quantities))):
        if i in new and new[i] != shown(quantity.value):
            old = text[quantity.start : quantity.end]
            numeral = _grouped(new[i]) if "," in old else new[i]
            text = text[: quantity.start] + _NUMERAL.sub(numeral, old, count=1) + text[quantity.end :]
    return text


def _grouped(numeral: str) -> str:
    return f"{int(numeral):,}" if numeral.isdecimal() else numeral


def solution_with(problem: Problem, given: Sequence[Fraction]) -> str:
    """The worked solution with other quantities: its own words where each number in them has one meaning, else its equations."""
    results = problem.results(given)
    assert results is not None
    answer = f"#### {shown(results[-1])}"
    bare = "\n".join([*problem.lines(given), answer])
    words = problem.solution.partition("####")[0]
    words = re.sub(r"<<[^<>]*>>", "", words).strip()
    if not re.search(r"[A-Za-z]{2}", words) or re.search(r"\d(?:st|nd|rd|th)\b|[¼½¾⅓⅔⅛]", words):
        return bare
    meanings: dict[Fraction, set[Fraction]] = {}
    for old, new in [*zip(problem.given, given, strict=True), *zip(problem.values, results, strict=True)]:
        meanings.setdefault(old, set()).add(new)
    for quantity, new in zip(problem.quantities, given, strict=True):
        if quantity.kind == "percent":
            meanings.setdefault(quantity.value / 100, set()).add(new / 100)
    for constant in {Fraction(s) for step in problem.steps for s in step.sources if s[0] not in "qpr"}:
        meanings.setdefault(constant, set()).add(constant)
    numerals = {m[0]: Fraction(m[0].replace(",", "").rstrip(".")) for m in _NUMERAL.finditer(words)}
    new_of = {text: meanings.get(value, set()) for text, value in numerals.items()}
    if any(len(found) != 1 for found in new_of.values()):
        return bare
    written = {text: shown(next(iter(found))) for text, found in new_of.items()}
    return _NUMERAL.sub(lambda m: written[m[0]], words) + f"\n{answer}"
