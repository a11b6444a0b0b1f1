"""Equality of answers in words: `no solution`, `Even`, `True`; each has one canonical form."""

import re

from evoltune_math.answers.kinds import Value
from evoltune_math.answers.nodes import INF, NEG_INF, Node
from evoltune_math.answers.number_words import number_in_words
from evoltune_math.answers.reading.cleanup import without_spaces

_MARKUP = re.compile(
    r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|textrm|mbox|emph|operatorname|rm|bf|left|right|displaystyle)\*?(?![A-Za-z])|[{}$*`\"]|\\[,;:! ]|~"
)
_IGNORED = re.compile(r"\b(?:the|a|an|is|are|it|its|there|answer|that|final)\b|[.,;:!?'()\[\]]|\s+-\s+")
_STATED = re.compile(r"\b(?:(does not exist|doesnt exist)|no (?:real |integer )?solutions?(?: exists?)?)$")
_PART_SEPARATOR = re.compile(r",|;|\band\b|\bor\b|\\text")
_SYNONYMS = {
    "yes": "true", "correct": "true", "no": "false", "incorrect": "false", "t": "true", "f": "false",
    "dne": "does not exist", "doesnt exist": "does not exist", "not exist": "does not exist", "none exist": "none", "null": "none",
    "no solutions": "no solution", "no real solution": "no solution", "no real solutions": "no solution", "has no solution": "no solution",
    "no solution exists": "no solution", "no solutions exist": "no solution", "not defined": "undefined", "undef": "undefined",
    "cannot be determined": "not determined", "can not be determined": "not determined", "infinite": "infinity",
    "infinitely many solutions": "infinitely many", "infinite solutions": "infinitely many", "infinite number": "infinitely many",
    "empty set": "no solution", "emptyset": "no solution", "convergent": "converges", "divergent": "diverges",
    "converge": "converges", "diverge": "diverges", "linear function": "linear",
}  # fmt: skip
MAX_CANONICAL = 5_000
MAX_STATEMENT = 100
MAX_LIST = 500


def canonical(text: str) -> str:
    """Lower case, without markup, articles and punctuation; synonyms become one word."""
    if len(text) > MAX_CANONICAL:
        return text
    plain = _IGNORED.sub(" ", _MARKUP.sub(" ", text).lower())
    plain = " ".join(plain.replace("-", " ").split())
    if len(plain) < MAX_STATEMENT and (found := _STATED.search(plain)):
        return "does not exist" if found[1] else "no solution"
    return _SYNONYMS.get(plain, plain)


def same_words(a: str, b: str, policy: str) -> bool:
    """`policy`: loose or exact, see `Policy.text`. Text without a letter or digit equals nothing."""
    if without_spaces(a) == without_spaces(b):
        return any(c.isalnum() for c in a)
    if policy == "exact":
        return False
    parts_a, parts_b = _parts(a), _parts(b)
    if parts_a == parts_b and len(parts_a) > 1:
        return True
    x, y = canonical(a), canonical(b)
    return any(c.isalnum() for c in x) and x.replace(" ", "") == y.replace(" ", "")


def _parts(text: str) -> list[str]:
    """The members of a list of words, sorted: `Alice and Bob` is `Bob, Alice`."""
    if len(text) > MAX_LIST:
        return []
    return sorted(filter(None, map(canonical, _PART_SEPARATOR.split(text))))


def means_empty_set(words: str) -> bool:
    return canonical(words) in ("no solution", "none")


def names_value(words: str, value: Value) -> bool:
    """Whether words name a value: `infinity`, `three`; a symbol or a product of letters spelled as a word."""
    plain = canonical(words)
    if plain in ("infinity", "positive infinity", "negative infinity"):
        return value.node == (NEG_INF if plain.startswith("negative") else INF)
    number = number_in_words(plain)
    if number is not None:
        return value.node.op in ("num", "dec") and value.node.value == number
    spelled = _spelled(value.node)
    return bool(spelled) and spelled == plain.replace(" ", "")


def _spelled(node: Node) -> str | None:
    if node.op in ("sym", "const", "text"):
        return str(node.value).lower()
    letters = [_spelled(a) for a in node.args] if node.op == "mul" else [None]
    return None if None in letters else "".join(map(str, letters))
