"""Answers in words: `no solution`, `Even`, `True`, `the point (1, 2)`; one canonical form, and what it may stand for."""

from __future__ import annotations

import re
from fractions import Fraction

from evoltune_math.answers.kinds import Value
from evoltune_math.answers.nodes import INF, NEG_INF, Node
from evoltune_math.answers.number_words import number_in_words

_MARKUP = re.compile(
    r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|textrm|mbox|emph|operatorname|rm|bf|left|right|displaystyle)\*?(?![A-Za-z])|[{}$*`\"]|\\[,;:! ]|~"
)
_SPACES = re.compile(r"(?<!\d)\s+|\s+(?!\d)")
_NOISE = re.compile(r"\b(?:the|a|an|is|are|it|its|there|answer|that|final)\b|[.,;:!?'()\[\]]|\s+-\s+")
_STATED = re.compile(r"\b(?:(does not exist|doesnt exist)|no (?:real |integer )?solutions?(?: exists?)?)$")
_SAME = {
    "yes": "true", "correct": "true", "no": "false", "incorrect": "false", "t": "true", "f": "false",
    "dne": "does not exist", "doesnt exist": "does not exist", "not exist": "does not exist", "none exist": "none", "null": "none",
    "no solutions": "no solution", "no real solution": "no solution", "no real solutions": "no solution", "has no solution": "no solution",
    "no solution exists": "no solution", "no solutions exist": "no solution", "not defined": "undefined", "undef": "undefined",
    "cannot be determined": "not determined", "can not be determined": "not determined", "infinite": "infinity",
    "infinitely many solutions": "infinitely many", "infinite solutions": "infinitely many", "infinite number": "infinitely many",
    "empty set": "no solution", "emptyset": "no solution", "impossible": "impossible", "convergent": "converges", "divergent": "diverges",
    "converge": "converges", "diverge": "diverges", "linear function": "linear", "tie": "tie",
}  # fmt: skip
EMPTY = frozenset(["no solution", "none"])
"""Words for the empty set."""


def canonical(text: str) -> str:
    """Lower case, without markup, articles and punctuation; synonyms folded."""
    if len(text) > 5_000:
        return text
    plain = _MARKUP.sub(" ", text)
    plain = _NOISE.sub(" ", plain.lower())
    plain = " ".join(plain.replace("-", " ").split())
    if len(plain) < 100 and (found := _STATED.search(plain)):
        return "does not exist" if found[1] else "no solution"
    return _SAME.get(plain, plain)


def same(a: str, b: str, policy: str) -> bool:
    if _SPACES.sub("", a) == _SPACES.sub("", b):
        return bool(a.strip()) and not _broken(a)
    if policy == "exact":
        return False
    x, y = canonical(a), canonical(b)
    parts = _parts(a), _parts(b)
    if len(parts[0]) == len(parts[1]) > 1 and parts[0] == parts[1] and all(parts[0]):
        return True
    return bool(x) and any(c.isalnum() for c in x) and (x == y or (x.replace(" ", "") == y.replace(" ", "")))


def _parts(text: str) -> list[str]:
    """The members of a list of words, in one order: `Alice and Bob` is `Bob, Alice`."""
    if len(text) > 500:
        return []
    return sorted(canonical(part) for part in re.split(r",|;|\band\b|\bor\b|\\text", text) if canonical(part))


def conventional(words: str) -> bool:
    """Whether a convention was recognised: a time, a date, a remainder, an ordinal."""
    return words.startswith(("time ", "date ", "remainder ", "ordinal "))


def _broken(text: str) -> bool:
    """Nothing but signs: `$$`, `\\\\\\\\`, `?`."""
    return not any(c.isalnum() for c in text)


def value_is(value: Value, words: str) -> bool:
    """Whether words name a value: `infinity`, `three`; a symbol or a product of letters spelled as a word."""
    plain = canonical(words)
    if plain in ("infinity", "positive infinity", "negative infinity"):
        return value.node == (NEG_INF if plain.startswith("negative") else INF)
    number = number_in_words(plain) if plain else None
    if number is not None:
        return value.node.op in ("num", "dec") and value.node.value == Fraction(number)
    spelled = _spelled(value.node)
    return spelled is not None and spelled == plain.replace(" ", "") != ""


def _spelled(node: Node) -> str | None:
    if node.op in ("sym", "const", "text"):
        return str(node.value).lower()
    letters = [_spelled(a) for a in node.args] if node.op == "mul" else [None]
    return None if None in letters else "".join(map(str, letters))
