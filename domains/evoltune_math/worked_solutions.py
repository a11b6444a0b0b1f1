"""Numbers of a word problem as slots, and its worked solution as a program over these slots.

    slots = number_slots("Tom has 8 bags of six pens.")              # (8, 6)
    program = program_of("8 * 6 = <<8*6=48>>48\n#### 48", slots)
    evaluate(program, (Fraction(5), Fraction(4)))                    # 20

A program is the list of the solution's equations, with each number either a slot, an earlier result, or a constant.
Invariant: everything is exact (fractions); nothing of a text is executed; a text that does not parse gives None.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

NUMBER_WORDS = {
    **{word: Fraction(i) for i, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"])},
    **{word: Fraction(10 * i) for i, word in enumerate(["thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 3)},
    "hundred": Fraction(100), "dozen": Fraction(12), "half": Fraction(1, 2), "twice": Fraction(2), "double": Fraction(2),
    "thrice": Fraction(3), "triple": Fraction(3), "quarter": Fraction(1, 4), "couple": Fraction(2),
}  # fmt: skip
TENS = frozenset(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"])
TOKEN = re.compile(r"\d[\d,]*(?:\.\d+)?(?:/\d+)?|[a-z]+")
EQUATION = re.compile(r"<<([^=<>]{1,200})=([^<>]{1,60})>>")
PLAIN = re.compile(r"(?m)^([-\d.,+*/() ]{3,200})=[ \t]*(-?[\d.,]+)[ \t]*$")
PART = re.compile(r"\s*(\d[\d,]*\.?\d*|\.\d+|[-+*/()%])")
MARKED = re.compile(r"####\s*\$?(-?[\d,]*\.?\d+)")
LAST = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
MAX_DIGITS = 30

Operand = tuple[str, Fraction | int]
"""("slot", i), ("result", i), ("number", value) or ("sign", code of + - * / ( ) %)."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """Equations in order; `slots` says how many slots the program was made for."""

    lines: tuple[tuple[Operand, ...], ...]
    slots: int


def _value(text: str) -> Fraction | None:
    text = text.replace(",", "").rstrip(".")
    try:
        return Fraction(text) if 0 < len(text) <= MAX_DIGITS else None
    except (ValueError, ZeroDivisionError):
        return None


def number_slots(text: str) -> tuple[Fraction, ...]:
    """The numbers of a text in order of appearance; `twenty-nine` is one, `1/2` is one. The number 1 is left out:

    a rewriter turns `one` into `a` and back.
    """
    found: list[Fraction] = []
    tens = False
    for token in TOKEN.findall(text.lower()):
        value = _value(token) if token[0].isdigit() else NUMBER_WORDS.get(token)
        if value is not None and tens and token.isalpha() and 0 < value < 10:
            found[-1] += value
        elif value is not None:
            found.append(value)
        tens = token in TENS
    return tuple(n for n in found if n != 1)


def worked_answer(texts: Iterable[str | None]) -> Fraction | None:
    """The number of the first text that has one: after `####`, or the whole text, or its last number."""
    for text in filter(None, texts):
        marked = MARKED.findall(text)
        if marked:
            return _value(marked[-1])
        numbers = LAST.findall(text)
        if numbers and len(text) < 4_000:
            return _value(numbers[-1])
    return None


def program_of(solution: str, slots: Sequence[Fraction]) -> Program | None:
    """The solution's equations over the slots; None where there are none, or where no slot is used."""
    pairs = EQUATION.findall(solution) or PLAIN.findall(solution)
    results: list[Fraction] = []
    lines: list[tuple[Operand, ...]] = []
    for left, right in pairs:
        result, line = _value(right), _line(left, slots, results)
        if result is None or line is None:
            return None
        lines.append(line)
        results.append(result)
    if not any(kind == "slot" for line in lines for kind, _ in line):
        return None
    program = Program(lines=tuple(lines), slots=len(slots))
    return program if results and evaluate(program, slots) == results[-1] else None


def _line(text: str, slots: Sequence[Fraction], results: Sequence[Fraction]) -> tuple[Operand, ...] | None:
    found: list[Operand] = []
    end = 0
    for part in PART.finditer(text):
        if text[end : part.start()].strip():
            return None
        end = part.end()
        token = part[1]
        value = _value(token) if token[0] in ".0123456789" else None
        if value is None:
            found.append(("sign", ord(token[0])))
        elif value in slots:
            found.append(("slot", slots.index(value)))
        elif value in results:
            found.append(("result", len(results) - 1 - results[::-1].index(value)))
        else:
            found.append(("number", value))
    return tuple(found) if found and not text[end:].strip() else None


def evaluate(program: Program, slots: Sequence[Fraction]) -> Fraction | None:
    """The last equation's value with other numbers in the slots; None: another count of slots, or no value."""
    if len(slots) != program.slots:
        return None
    results: list[Fraction] = []
    for line in program.lines:
        value = _Reader(line, slots, results).whole()
        if value is None or abs(value.numerator) > 10**MAX_DIGITS or value.denominator > 10**MAX_DIGITS:
            return None
        results.append(value)
    return results[-1]


class _Reader:
    """Recursive descent over one equation: sums of products of signed, bracketed or percent values."""

    def __init__(
        self, line: Sequence[Operand], slots: Sequence[Fraction], results: Sequence[Fraction]
    ) -> None:
        self.line, self.slots, self.results, self.at = line, slots, results, 0

    def sign(self, *wanted: str) -> str:
        kind, value = self.line[self.at] if self.at < len(self.line) else ("end", 0)
        found = chr(int(value)) if kind == "sign" else ""
        if found and found in wanted:
            self.at += 1
            return found
        return ""

    def whole(self) -> Fraction | None:
        try:
            value = self.sum()
        except (ZeroDivisionError, IndexError, ValueError, RecursionError):
            return None
        return value if self.at == len(self.line) else None

    def sum(self) -> Fraction:
        value = self.product()
        while found := self.sign("+", "-"):
            value = value + self.product() if found == "+" else value - self.product()
        return value

    def product(self) -> Fraction:
        value = self.atom()
        while found := self.sign("*", "/"):
            value = value * self.atom() if found == "*" else value / self.atom()
        return value

    def atom(self) -> Fraction:
        if self.sign("-"):
            return -self.atom()
        if self.sign("("):
            value = self.sum()
            if not self.sign(")"):
                raise ValueError("open bracket")
        else:
            kind, found = self.line[self.at]
            if kind == "sign":
                raise ValueError("a sign where a number belongs")
            self.at += 1
            place = {"slot": self.slots, "result": self.results}.get(kind)
            value = place[int(found)] if place is not None else Fraction(found)
        return value / 100 if self.sign("%") else value
