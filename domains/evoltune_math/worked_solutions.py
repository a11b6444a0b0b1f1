"""The numbers of a word problem as slots, and its worked solution as a program over these slots.

    slots = number_slots("Tom has 8 bags of six pens.")              # (8, 6)
    program = program_of("8 * 6 = <<8*6=48>>48\\n#### 48", slots)
    evaluate(program, (Fraction(5), Fraction(4)))                    # 20

A program is the list of the solution's equations; each number in them is a slot, the result of an earlier equation or a
constant. All values are exact, and nothing of the text is executed.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from evoltune_math.answers.algebra.rational import known_rational
from evoltune_math.answers.nodes import Node, num, substitute, sym, walk
from evoltune_math.answers.syntax.grammar import Unreadable
from evoltune_math.answers.syntax.parser import parse
from evoltune_math.answers.vocabulary import TENS, UNDER_100

NUMBER_WORDS = {
    **{word: Fraction(n) for word, n in UNDER_100.items()},
    "hundred": Fraction(100), "dozen": Fraction(12), "half": Fraction(1, 2), "twice": Fraction(2), "double": Fraction(2),
    "thrice": Fraction(3), "triple": Fraction(3), "quarter": Fraction(1, 4), "couple": Fraction(2),
}  # fmt: skip
"""Single words; unlike in `number_in_words`, whole phrases are not needed and `twice` is a number."""
_TOKEN = re.compile(r"\d[\d,]*(?:\.\d+)?(?:/\d+)?|[a-z]+")
_ANNOTATED = re.compile(r"<<([^=<>]{1,200})=([^<>]{1,60})>>")
_EQUATION_LINE = re.compile(r"(?m)^([-\d.,+*/() ]{3,200})=[ \t]*(-?[\d.,]+)[ \t]*$")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d)")
MARKED_ANSWER = re.compile(r"####\s*\$?(-?[\d,]*\.?\d+)")
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
MAX_DIGITS = 30
MAX_UNMARKED = 4_000  # longer texts without `####` have no answer: their last number may be anything
_ARITHMETIC = frozenset(["num", "dec", "add", "neg", "mul", "div", "pct"])


@dataclass(frozen=True, kw_only=True)
class Program:
    equations: tuple[Node, ...]  # right sides over the symbols slot0, slot1 ... and result0, result1 ..
    slots: int  # how many slots the program was made for


def number_value(text: str) -> Fraction | None:
    text = text.replace(",", "").rstrip(".")
    try:
        return Fraction(text) if 0 < len(text) <= MAX_DIGITS else None
    except (ValueError, ZeroDivisionError):
        return None


def number_slots(text: str) -> tuple[Fraction, ...]:
    """The numbers of a text in order; `1/2` is one number. Without 1, as rewriting turns `one` into `a` and back."""
    found: list[Fraction] = []
    after_tens = False
    for token in _TOKEN.findall(text.lower()):
        value = number_value(token) if token[0].isdigit() else NUMBER_WORDS.get(token)
        if value is not None and after_tens and token.isalpha() and 0 < value < 10:
            found[-1] += value
        elif value is not None:
            found.append(value)
        after_tens = token in TENS
    return tuple(n for n in found if n != 1)


def worked_answer(texts: Iterable[str | None]) -> Fraction | None:
    """The number of the first text that has one: after `####`, or the whole text, or its last number."""
    for text in filter(None, texts):
        marked = MARKED_ANSWER.findall(text)
        if marked:
            return number_value(marked[-1])
        numbers = _NUMBER.findall(text) if len(text) < MAX_UNMARKED else []
        if numbers:
            return number_value(numbers[-1])
    return None


def program_of(solution: str, slots: Sequence[Fraction]) -> Program | None:
    """The solution's equations over the slots; None if there are none, if they use no slot or do not compute."""
    results: list[Fraction] = []
    equations: list[Node] = []
    for left, right in _ANNOTATED.findall(solution) or _EQUATION_LINE.findall(solution):
        tree, result = arithmetic(left), number_value(right)
        if tree is None or result is None:
            return None
        equations.append(_abstracted(tree, slots, results))
        results.append(result)
    if not any(str(n.value).startswith("slot") for tree in equations for n in walk(tree)):
        return None
    program = Program(equations=tuple(equations), slots=len(slots))
    return program if evaluate(program, slots) == results[-1] else None


def arithmetic(text: str) -> Node | None:
    """The tree of the four operations and percent over numbers, else None."""
    try:
        tree = parse(_THOUSANDS.sub("", text))
    except Unreadable:
        return None
    return tree if all(n.op in _ARITHMETIC for n in walk(tree)) else None


def _abstracted(node: Node, slots: Sequence[Fraction], results: Sequence[Fraction]) -> Node:
    """The tree with the first slot or the last result of the same value in place of each number."""
    if node.args:
        return node._replace(args=tuple(_abstracted(a, slots, results) for a in node.args))
    if node.value in slots:
        return sym(f"slot{slots.index(node.value)}")
    if node.value in results:
        return sym(f"result{len(results) - 1 - results[::-1].index(node.value)}")
    return node


def evaluate(program: Program, slots: Sequence[Fraction]) -> Fraction | None:
    """The value of the last equation with other numbers in the slots; None for another number of slots, or no value."""
    if len(slots) != program.slots:
        return None
    known = {f"slot{i}": num(value) for i, value in enumerate(slots)}
    value = None
    for i, equation in enumerate(program.equations):
        value = known_rational(substitute(equation, known))
        if value is None or max(abs(value.numerator), value.denominator) > 10**MAX_DIGITS:
            return None
        known[f"result{i}"] = num(value)
    return value
