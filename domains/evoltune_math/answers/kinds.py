"""The kinds of answers that are told apart, because each kind has its own rule of equality.

Value("7", unit="cm"), Group((1, 2), "()"), Region of x > 3, Named x = 5, ...; `reading.reader.read` builds them
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from evoltune_math.answers.nodes import Node, substitute, symbols

SEVERAL_VALUES = "several values: "
"""The beginning of the answer of a text that states several: its whole sentence, which only the same sentence equals."""
NO_VALUE = "no value: "
"""The same for a sentence whose numbers name things (`by Theorem 5`), or wait for an operation."""


@dataclass(frozen=True)
class Value:
    """A number or an expression. Its unit stands apart from the expression."""

    node: Node
    unit: str = ""
    degrees: bool = False


@dataclass(frozen=True)
class Text:
    words: str
    subject: str = ""  # of the sentence that says it: `area` of `The area is doubled`


@dataclass(frozen=True)
class Choice:
    """An option of a multiple choice, and the option's text if it was given."""

    letter: str
    body: Answer | None = None


@dataclass(frozen=True)
class Group:
    """Several answers. `brackets`: "" a bare list, "{}" a set; "()", "[]" and "<>" are ordered."""

    items: tuple[Answer, ...]
    brackets: str
    word: str = ""  # `or` if the list was joined by it: the items are alternatives, perhaps all of one value


@dataclass(frozen=True)
class Span:
    """An interval of reals; a point has equal, closed ends."""

    low: Node
    high: Node
    low_closed: bool
    high_closed: bool


@dataclass(frozen=True)
class Region:
    """A union of intervals; `variable` is set if it was written as an inequality."""

    spans: tuple[Span, ...]
    variable: str = ""


@dataclass(frozen=True)
class Matrix:
    rows: tuple[tuple[Node, ...], ...]


@dataclass(frozen=True)
class Relation:
    """An equation or inequality that is more than a name and its value."""

    signs: tuple[str, ...]
    members: tuple[Node, ...]


@dataclass(frozen=True)
class Named:
    """`x = 5`, `f(x) = x^2`, `AB = 4`."""

    name: Node
    value: Answer


@dataclass(frozen=True)
class Ratio:
    parts: tuple[Node, ...]
    odds: str = ""  # `in favor`, `against`, or `odds` where neither is said: 5 to 16 is no 5/16


@dataclass(frozen=True)
class Family:
    """Values with a parameter that is declared: `k\\pi, k \\in Z`."""

    answer: Answer
    parameters: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Either:
    """`exact \\approx rounded`, or two writings of one answer: roots with and without their multiplicities."""

    exact: Answer
    rounded: Answer


Answer: TypeAlias = Value | Text | Choice | Group | Region | Matrix | Relation | Named | Ratio | Family | Either

KINDS: tuple[type, ...] = (Value, Text, Group, Region, Matrix, Ratio, Relation, Choice, Named, Family, Either)
"""Two answers are compared in this order, so that a rule for (A, B) serves for (B, A) too."""


def letters(answer: Answer) -> set[str]:
    """The free symbols of an answer's values; the names of `x = 5` are none of them."""
    if isinstance(answer, Value):
        return symbols(answer.node)
    if isinstance(answer, Group):
        return set().union(*map(letters, answer.items))
    return letters(answer.value) if isinstance(answer, Named) else set()


def renamed(answer: Answer, names: Mapping[str, Node]) -> Answer:
    """The answer with the symbols of its values replaced."""
    if isinstance(answer, Value):
        return replace(answer, node=substitute(answer.node, names))
    if isinstance(answer, Group):
        return replace(answer, items=tuple(renamed(i, names) for i in answer.items))
    return replace(answer, value=renamed(answer.value, names)) if isinstance(answer, Named) else answer


def unnamed(answer: Answer) -> Answer:
    """The value of `x = 5`; any other answer is returned as it is."""
    return answer.value if isinstance(answer, Named) else answer
