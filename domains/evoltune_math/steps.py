"""Checks the arithmetic of a solution's steps exactly: `Domain.check_steps`.

    check_steps(task, ("8 * 6 = <<8*6=48>>48", "48 - 8 = 41"))      # (True, False)

True means that the step computes and every number that it uses is accounted for; it does not mean that the step answers the
question. None: nothing to compute, or nothing that can be read for sure. Only a wrong equation is False, so a reader may
trust that label alone.
"""

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction

from evoltune.record import Task
from evoltune_math.answers.algebra.rational import known_rational
from evoltune_math.answers.nodes import Node, walk
from evoltune_math.answers.syntax.grammar import Unreadable
from evoltune_math.answers.syntax.parser import parse
from evoltune_math.worked_solutions import NUMBER_WORDS, number_slots, number_value

MAX_STEP = 4_000
FLOAT_ERROR = Fraction(1, 10**9)
"""Calculators print 4.2 + 9.45 + 1.35 as 14.999999999999998."""
CONSTANTS = frozenset(
    map(Fraction, (*range(13), 24, 30, 31, 50, 52, 60, 90, 100, 180, 360, 365, 366, 1000, 3600))
) | {Fraction(1, n) for n in range(2, 13)}  # fmt: skip
"""Numbers that a step may bring along: hours of a day, cents of a dollar, halves and quarters."""
_OPERATIONS = frozenset(["num", "dec", "add", "neg", "mul", "div", "pct", "pow"])
_ANNOTATED = re.compile(r"<<([^=<>]{1,200})=([^<>]{1,60})>>[ \t]*(\$?-?[\d,]*\.?\d+(?! ?\d))?")
_ANSWER = re.compile(r"(?:####|^\s*A:|\banswer(?: is|:))\s*\$?(-?\d[\d,]*\.?\d*)", re.I)
_FRACTION = re.compile(r"\\[dt]?frac\{([-\d.,]+)\}\{([-\d.,]+)\}")
_SPELLINGS = (
    (re.compile(r"\\boxed\{([^{}]*)\}"), r"\1"),
    (re.compile(r"\\times|\\cdot|×|·|∗"), "*"),
    (re.compile(r"\\div|÷"), "/"),
    (re.compile(r"\\[()\[\],;! ]|\\?\$|\*\*(?!\s*[\d(])"), " "),
    (re.compile(r"\\%"), "%"),
    (re.compile(r"(?<=[\d)%])\s*[xX]\s*(?=[\d(.$])"), "*"),
    (re.compile(r"(?<=%)\s+of\s+(?=[\d(])"), "*"),
    (re.compile(r"(?<=\d/\d)\s+of\s+(?=[\d(])"), "*"),
    (re.compile(r"(?<=\d),(?=\d{3}(?!\d))"), ""),
    (re.compile(r"[−–]"), "-"),
)  # fmt: skip
_SIDE = r"[-+*/^().%\d \t]*[\d)%][ \t]*"
_CHAIN = re.compile(rf"{_SIDE}(?:=[ \t]*{_SIDE})+")
_WORD_BEFORE = re.compile(r"([a-z]+)[ \t]*$", re.I)
_OPERATING = frozenset(
    """of half twice double triple thrice times plus minus by sum and squared cubed root per to from less more than over into
    dozen hundred thousand million billion difference product quarter third average mean mod first last x""".split()
) | set(NUMBER_WORDS)  # fmt: skip
"""Words that make a number part of a larger expression, on either side of an equation."""
_CLAUSE = re.compile(r"[.,;:!?]\s|\n|\b(?:and|then|so|after|because|since|which)\b", re.I)
"""Between steps: a label must not join what a word stands between, but a route may."""
_WORDS_FIRST = re.compile(r"^[^\d<($\\-]+")
_AFTER = re.compile(r"[ \t]*(dozen|hundred|thousand|million|billion|times|and a|[a-z]\b(?!'))", re.I)


def check_steps(task: Task, steps: Sequence[str]) -> tuple[bool | None, ...]:
    """`Domain.check_steps`: for each step whether its equations hold; None where there is nothing to judge."""
    known = set(number_slots(task.instruction)) | CONSTANTS
    found: list[bool | None] = []
    last: Fraction | None = None
    for step in steps:
        verdicts: list[bool | None] = []
        results: list[Fraction] = []
        for left, right, used in _equations(step[:MAX_STEP]):
            verdicts.append(_holds(left, right))
            results.append(right)
            if not {abs(number) for number in used} <= known:
                verdicts.append(None)
            known |= {abs(right), *map(abs, used)}
        answer = _ANSWER.search(step)
        if answer and not verdicts and last is not None:
            verdicts.append(True if number_value(answer[1].rstrip(".")) == last else None)
        last = results[-1] if results else last
        known |= set(number_slots(step))
        found.append(False if False in verdicts else True if verdicts and None not in verdicts else None)
    return tuple(found)


def route(task: Task, response: str) -> str:
    """`Domain.route`: the results of the steps with the numbers that each uses, in any order; where no step can be read, the numbers
    of the text. Equal for `3 * 4 = 12` and `4 x 3 = 12`, different for `12 + 5 = 17` after it and `3 * 4 + 5 = 17` alone."""
    clauses = (_WORDS_FIRST.sub("", clause) for clause in _CLAUSE.split(response[:MAX_STEP]))
    found = [equation for clause in clauses for equation in _equations(clause)]
    steps = {(left, tuple(sorted(map(abs, used)))) for left, _, used in found if used}
    return repr(sorted(steps) or sorted(set(number_slots(response))))


def _holds(left: Fraction, right: Fraction) -> bool | None:
    """Whether a computed value is the stated one, also rounded or cut to its decimals. None: it may be a rounded whole number."""
    if abs(left - right) < FLOAT_ERROR:
        return True
    if right in (100 * left, left / 100):  # `0.25 * 100 = 25%`: the sign is sometimes a word
        return None
    digits = _decimals(right)
    if digits and abs(left - right) < Fraction(1, 10**digits):
        return True
    if not digits and left.denominator != 1 and abs(left - right) < 1:
        return None
    return False


def _decimals(value: Fraction) -> int:
    """The decimals that a finite decimal fraction is written with; 0 for a whole number and for 1/3."""
    for digits in range(13):
        if (value * 10**digits).denominator == 1:
            return digits
    return 0


def _equations(step: str) -> Iterator[tuple[Fraction, Fraction, list[Fraction]]]:
    """(computed, stated, numbers used) of each equation of a step whose left side computes."""
    annotated = list(_ANNOTATED.finditer(step))
    for match in annotated:
        tree, stated = _arithmetic(match[1]), number_value(match[2].strip().lstrip("$"))
        value = None if tree is None else known_rational(tree)
        if tree is None or value is None or stated is None:
            continue
        yield value, stated, _numbers(tree)
        if match[3] and (written := number_value(match[3].lstrip("$"))) is not None:
            yield abs(stated), abs(written), []
    if not annotated:
        yield from _written(step)


def _written(step: str) -> Iterator[tuple[Fraction, Fraction, list[Fraction]]]:
    """The same of equations in running text: `she pays 3 * $4 = $12`."""
    text = re.sub(r"(?m)^\s*(?:step\s*)?\d+[.):]\s", " ", _FRACTION.sub(r"((\1)/(\2))", step), flags=re.I)
    for pattern, spelling in _SPELLINGS:
        text = pattern.sub(spelling, text)
    for match in _CHAIN.finditer(text):
        sides = _sides(text, match)
        trees = [_arithmetic(side) for side in sides]
        values = [None if tree is None else known_rational(tree) for tree in trees]
        for (side, tree, value), (other, stated) in zip(
            zip(sides, trees, values, strict=True), zip(sides[1:], values[1:], strict=True), strict=False
        ):
            if tree is None or value is None or stated is None or not _computes(tree):
                continue
            if _is_running(other, value):  # 3 * 4 = 12 + 5 = 17
                stated = value
            if "%" in side and any(node.op == "add" for node in walk(tree)):
                continue  # `20 - 50%` may mean half of 20
            yield value, stated, _numbers(tree)


def _sides(text: str, match: re.Match[str]) -> list[str]:
    """The sides of a chain, without what belongs to the words around it; fewer than two: not to be judged."""
    sides = [side.strip() for side in match[0].split("=")]
    if re.search(r"(?<!\d)\d{1,3} \d{3}(?!\d)", match[0]):  # 350 000
        return []
    before, after = text[: match.start()], text[match.end() :]
    # A sentence may end in a number before the equation: only what follows the last gap belongs to it.
    first = re.split(r"(?<=[\d)%])\s+(?=[\d(])|\.\s+", sides[0])
    lead = before if len(first) == 1 else ""
    sides[0] = first[-1]
    final = re.split(r"(?<=[\d)%])\s+(?=[\d(])|\.(?:\s|$)", sides[-1])
    sides[-1] = final[0]
    is_mixed = len(final) > 1 and re.match(r"\d+/\d", final[1])
    if is_mixed or not all(re.fullmatch(r"[\d.]*", piece) for piece in first[:-1]):  # 1 1/2, (1/2) 278
        return []
    if sides[0][:1] in "+*/^%)" or (sides[0][:1] == "-" and re.search(r"[\w)}]\s*$", lead)):
        return []
    is_glued = re.search(r"[\w}\\^_]$", lead) if match[0][:1].strip() else None  # `2x3 = 6`, `\\sin(3) = 0.14`
    word = None if re.search(r"=[ \t]*[-\d.%]+[ \t]+and[ \t]*$", lead) else _WORD_BEFORE.search(lead)
    if is_glued or re.search(r"[=<>≈]\s*$", lead) or (word and word[1].lower() in _OPERATING):
        return []
    is_glued = re.match(r"[\w^\\{!:]", after) if match[0][-1:].strip() else None
    if len(final) == 1 and (is_glued or _AFTER.match(after) or re.match(r"\s*[-+*/^]", after)):
        return sides[:-1]
    return sides


def _is_running(side: str, value: Fraction) -> bool:
    """Whether a side goes on from the value before it: `12 + 5` after 12."""
    first = re.match(r"(-?[\d.]+)\s*[-+*/]", side)
    return bool(first) and number_value(first[1] if first else "") == value


def _arithmetic(text: str) -> Node | None:
    """The tree of an expression over numbers, else None."""
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text.replace("$", "")).strip().rstrip(".")
    if not text or re.search(r"\d\s+[\d(]|\)\s*\d", text):
        return None
    try:
        tree = parse(text)
    except Unreadable:
        return None
    return tree if all(node.op in _OPERATIONS for node in walk(tree)) else None


def _computes(tree: Node) -> bool:
    return any(node.op in ("add", "mul", "div", "pct", "pow") for node in walk(tree))


def _numbers(tree: Node) -> list[Fraction]:
    return [node.value for node in walk(tree) if node.op in ("num", "dec") and isinstance(node.value, Fraction)]
