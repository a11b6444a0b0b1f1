"""Words in an answer: those that are mathematics become signs, labels become names, and the rest must not change the meaning.

"minus 5" -> -5        "5 squared" -> 5^2       "the square root of 7" -> \\sqrt 7      "Minimum: 1, Maximum: 3" -> named 1, 3
"at least 5", "5 or more", "not 5" -> `changes_meaning`: such an answer is its whole text
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise

from evoltune_math.answers.syntax.grammar import END, Token
from evoltune_math.answers.vocabulary import MODIFIERS, word_set

_SEPARATORS = (",", ";", "\n")
_OPENING = ("num", "sym", "cmd")
_FACTORS = {
    "half": Fraction(1, 2),
    "twice": Fraction(2),
    "double": Fraction(2),
    "triple": Fraction(3),
    "thrice": Fraction(3),
}
_SIGNS: dict[tuple[str, ...], str] = {
    ("plus", "or", "minus"): "\\pm", ("divided", "by"): "/", ("multiplied", "by"): "*", ("to", "the", "power", "of"): "^",
    ("minus",): "-", ("plus",): "+", ("negative",): "-", ("times",): "*",
}  # fmt: skip
_ROOTS = {("square", "root", "of"): "sqrt", ("cube", "root", "of"): "cbrt", ("root", "of"): "sqrt"}
_POWERS = {"squared": 2, "cubed": 3}
_STARTS = frozenset([*_FACTORS, *_POWERS, *(phrase[0] for phrase in (*_SIGNS, *_ROOTS)), "factorial", "base", "in"])
"""The first words of all phrases that are signs."""
_AFTER_OR = word_set("more less fewer greater higher lower above below up over under larger smaller later earlier so")
_OF_A_NUMBER = word_set(
    "square cube reciprocal inverse multiple multiples factor factors divisor divisors power powers root roots negative half third thirds "
    "quarter quarters fifth fifths percent logarithm log opposite conjugate complement"
)
_LAST = ("minimum", "maximum")


def words_of(token: Token) -> list[str]:
    return token.text.lower().replace(",", " ").split() if token.kind in ("word", "text") else []


def in_signs(tokens: list[Token]) -> list[Token]:
    """The tokens with labels as names and with mathematical words as signs."""
    words = {w for t in tokens if t.kind in ("word", "text") for w in words_of(t)}
    if any(t.text == ":" or t.text[-1:] == ":" for t in tokens):
        tokens = _labelled(tokens)
    if not words or words.isdisjoint(_STARTS):
        return tokens
    found: list[Token] = []
    at = 0
    while at < len(tokens):
        taken, signs = _sign_at(tokens, at, found)
        found += signs or [tokens[at]]
        at += taken if signs else 1
    return found


def changes_meaning(tokens: list[Token]) -> bool:
    """Whether a word that is left turns the number beside it into another statement: `at least 5`, `not 5`, `5 or more`."""
    if not any(t.kind == "word" or t.kind == "text" for t in tokens):
        return False
    words = [w for t in tokens for w in (words_of(t) or [t.text if t.kind in ("sep", "num") else ""])]
    if not any(t.kind in ("num", "cmd") or (t.kind == "sym" and t.text not in "aI") for t in tokens):
        return False  # words alone are compared as words
    if _has_number_behind_words(tokens):
        return True
    if any(w in MODIFIERS or (w in _LAST and at == len(words) - 1 > 0) for at, w in enumerate(words)):
        return True
    return any(
        (word in ("or", "and") and following in _AFTER_OR)
        or (word in _OF_A_NUMBER and following == "of")
        or (word in _FACTORS and (following == "of" or following.isdigit()))
        or ({word, following} > {"base"} and (word + following).strip("base").isdigit())
        for word, following in pairwise(words)
    )


def _has_number_behind_words(tokens: list[Token]) -> bool:
    """`9 with an error of 1`: no product of 9 and 1."""
    run: list[str] = []
    for before, token in pairwise([END, *tokens]):
        is_run = token.kind in ("word", "text") and (run or before.kind == "num")
        if token.kind == "num" and sum(len(word) > 2 for word in run) > 1:
            return True
        run = run + words_of(token) if is_run else []
    return False


# ---- words that are signs ----------------------------------------------------------------------------------------------


def _sign_at(tokens: list[Token], at: int, before: list[Token]) -> tuple[int, list[Token]]:
    """(how many tokens are taken, the signs for them); no signs if no mathematical word stands here."""
    words = words_of(tokens[at])
    if not words:
        return 0, []
    spoken, ends = _spoken(tokens, at)
    last = before[-1] if before else END
    for phrases, make in ((_ROOTS, _command), (_SIGNS, _operator)):
        for phrase, sign in phrases.items():
            taken = ends.get(len(phrase), 0) if tuple(spoken[: len(phrase)]) == phrase else 0
            is_before = taken and _is_operand(_peek(tokens, at + taken))
            if is_before and (phrase in _ROOTS or _may_stand(phrase, last)):
                return taken, make(sign)
    first = spoken[0] if 1 in ends else ""
    if first in _FACTORS:
        skip = ends.get(2, 1) if spoken[1:2] == ["of"] else 1
        if _is_operand(_peek(tokens, at + skip)):
            return skip, [*_number(_FACTORS[first]), Token("op", "*")]
    if last.kind in ("num", "sym") or last.text in (")", "}"):
        if first in _POWERS:
            return 1, [Token("op", "^"), *_number(Fraction(_POWERS[first]))]
        if first == "factorial":
            return 1, [Token("op", "!")]
        in_base = ends.get(2, 0) if spoken[:2] == ["in", "base"] else int(first == "base")
        if in_base and last.kind == "num" and _peek(tokens, at + in_base).kind == "num":
            return in_base, [Token("op", "_")]
    return 0, []


def _spoken(tokens: list[Token], at: int) -> tuple[list[str], dict[int, int]]:
    """The next words, and for a count of words the count of tokens that hold just these."""
    spoken: list[str] = []
    ends: dict[int, int] = {}
    for count, token in enumerate(tokens[at : at + 5], 1):
        words = [token.text] if token.kind == "sep" else words_of(token)
        if not words:
            break
        spoken += words
        ends[len(spoken)] = count
    return spoken, ends


def _peek(tokens: list[Token], at: int) -> Token:
    return tokens[at] if at < len(tokens) else END


def _is_operand(token: Token) -> bool:
    return token.kind in _OPENING or token.is_op("(", "{", "[", "|", "-")


def _may_stand(phrase: tuple[str, ...], last: Token) -> bool:
    """`minus` and `negative` may start an operand; an operator needs one before it."""
    ends_operand = last.kind in ("num", "sym") or last.text in (")", "}", "]", "!", "%")
    if phrase in (("negative",), ("minus",)):
        return phrase == ("minus",) or not ends_operand
    return ends_operand


def _operator(sign: str) -> list[Token]:
    return [Token("cmd", sign[1:]) if sign.startswith("\\") else Token("op", sign)]


def _command(sign: str) -> list[Token]:
    return [Token("cmd", sign)]


def _number(value: Fraction) -> list[Token]:
    top = Token("num", str(value.numerator), False, Fraction(value.numerator))
    if value.denominator == 1:
        return [top]
    return [top, Token("op", "/"), Token("num", str(value.denominator), False, Fraction(value.denominator))]


# ---- labels ------------------------------------------------------------------------------------------------------------


def _labelled(tokens: list[Token]) -> list[Token]:
    """`Minimum: 1, Maximum: 3` and `x: 3, y: 4` as equations; a single label is an introduction and stays."""
    labels = list(_labels(tokens, _word_label)) or list(_labels(tokens, _letter_label))
    if len(labels) < 2:
        return tokens
    found: list[Token] = []
    done = 0
    for start, end in labels:
        name = tokens[start] if end - start == 2 and tokens[start].kind == "sym" else _name(tokens[start:end])
        found += [*tokens[done:start], name, Token("op", "=")]
        done = end
    return found + tokens[done:]


def _name(tokens: list[Token]) -> Token:
    return Token("text", " ".join(t.text for t in tokens).rstrip(" :"))


def _labels(tokens: list[Token], label_end: Callable[[list[Token], int], int]) -> Iterator[tuple[int, int]]:
    """(start, end) of each label at the start of an item; the end is after the colon."""
    at = 0
    while at < len(tokens):
        is_start = at == 0 or tokens[at - 1].kind == "sep" or tokens[at - 1].is_op(*_SEPARATORS)
        end = label_end(tokens, at) if is_start else 0
        if end:
            yield at, end
        at = max(end, at + 1)


def _word_label(tokens: list[Token], at: int) -> int:
    """Where a label of words ends: `Sequence 1:`; 0 if there is none."""
    start = at
    while _peek(tokens, at).kind in ("word", "text") or (at > start and _peek(tokens, at).kind in ("num", "sym")):
        at += 1
        if tokens[at - 1].text.endswith(":"):
            return at
    return at + 1 if at > start and _peek(tokens, at).is_op(":") else 0


def _letter_label(tokens: list[Token], at: int) -> int:
    is_label = _peek(tokens, at).kind == "sym" and _peek(tokens, at + 1).is_op(":")
    return at + 2 if is_label and _peek(tokens, at + 2).kind in ("num", "op") else 0
