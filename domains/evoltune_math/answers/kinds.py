"""The kinds of answers. The kinds decide how two answers are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from evoltune_math.answers.nodes import Node


@dataclass(frozen=True)
class Value:
    """A number or an expression, with its unit taken off."""

    node: Node
    unit: str = ""
    degrees: bool = False


@dataclass(frozen=True)
class Text:
    words: str


@dataclass(frozen=True)
class Choice:
    """An option of a multiple choice, with the value that stood behind it."""

    letter: str
    body: Answer | None = None


@dataclass(frozen=True)
class Group:
    """Several answers. `brackets`: "" a bare list, "{}" a set, "()" "[]" "<>" ordered."""

    items: tuple[Answer, ...]
    brackets: str
    word: str = ""
    """`or` when the list was joined by it: alternatives, perhaps of one value."""


@dataclass(frozen=True)
class Span:
    """An interval of reals; a point has equal, closed ends."""

    low: Node
    high: Node
    low_closed: bool
    high_closed: bool


@dataclass(frozen=True)
class Region:
    """A union of intervals; `variable` when it was written as an inequality."""

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


@dataclass(frozen=True)
class Family:
    """Values with a parameter that was declared to be whole: `k\\pi, k \\in Z`."""

    answer: Answer


@dataclass(frozen=True)
class Either:
    """`exact \\approx rounded`."""

    exact: Answer
    rounded: Answer


Answer: TypeAlias = (
    Value | Text | Choice | Group | Region | Matrix | Relation | Named | Ratio | Family | Either
)
