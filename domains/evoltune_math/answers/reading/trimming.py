"""Tokens around an answer that do not belong to it: `the ratio is`, `approximately`, `, which is the area`, a full stop."""

from evoltune_math.answers.syntax.tokens import Token
from evoltune_math.answers.vocabulary import CONSTANTS, FUNCTIONS, GREEK, word_set

_REMARK_STARTS = word_set(
    "which where since because using when if whenever unless assuming so thus therefore hence i.e. namely as rounded only exactly "
    "altogether for"
)
"""Words after an answer that start a remark."""
_CONDITION_STARTS = ("for", "if", "when")
_OPENING, _CLOSING = ("(", "[", "{", "\\{"), (")", "]", "}", "\\}")
_VERBS = word_set("is are equals equal be becomes")
_LEADING_WORDS = word_set(
    "approximately about approx roughly exactly is are equals answer solution solutions the final "
    "total value result be only just around nearly thus so hence therefore it that we have get "
    "and or namely there to of at all every any"
)
_LEADING_COMMANDS = ("approx", "sim", "simeq", "therefore", "implies", "Rightarrow", "to", "rightarrow")


def trimmed(tokens: list[Token]) -> list[Token]:
    """The tokens of the answer itself; perhaps none."""
    tokens = _without_remark(_without_introduction(tokens))
    start, end = 0, len(tokens)
    while end and _is_separator(tokens[end - 1], ".", "?", "..."):
        end -= 1
    while start < end and (_is_separator(tokens[start]) or _is_leading(tokens[start])):
        start += 1
    return tokens[start:end]


def _is_separator(token: Token, *more: str) -> bool:
    return token.kind == "sep" or token.is_op(",", ";", ":", "\n", *more)


def _is_leading(token: Token) -> bool:
    if token.kind in ("word", "text"):
        return all(w.lower() in _LEADING_WORDS for w in token.text.split())
    return token.is_cmd(*_LEADING_COMMANDS) or token.is_op("=", "&")


def _without_introduction(tokens: list[Token]) -> list[Token]:
    """Without `Domain:` and without `the ratio is` before mathematics."""
    at = 0
    while at < len(tokens) and (
        tokens[at].kind in ("word", "text")
        or (tokens[at].kind == "sym" and len(tokens) > at + 1 and tokens[at + 1].text in _VERBS)
    ):
        if tokens[at].text.endswith(":"):
            return tokens[at + 1 :]
        at += 1
    if at == 0 or at >= len(tokens):
        return tokens
    if tokens[at].text == ":" and len(tokens[0].text) > 2 and tokens[0].text not in FUNCTIONS:
        return tokens[at + 1 :]
    verbs = [k for k in range(at) if tokens[k].text in _VERBS]
    return tokens[verbs[-1] + 1 :] if verbs else tokens


def _without_remark(tokens: list[Token]) -> list[Token]:
    """Cut at the first remark outside of brackets, unless several conditions make the answer a case distinction."""
    starts = {at: t.text.split()[0].lower() for at, t in enumerate(tokens) if t.kind in ("word", "text")}
    if sum(word in _CONDITION_STARTS for word in starts.values()) > 1:
        return tokens
    level = seen = 0
    for at, word in starts.items():
        level, seen = level + _brackets_opened(tokens[seen:at]), at
        if at and level == 0 and word in _REMARK_STARTS:
            return tokens[:at]
    return tokens


def _brackets_opened(tokens: list[Token]) -> int:
    """How many more brackets the tokens open than they close."""
    signs = [t.text for t in tokens if t.kind == "op"]
    return sum(s in _OPENING for s in signs) - sum(s in _CLOSING for s in signs)


def without_lead(tokens: list[Token]) -> list[Token] | None:
    """The tokens after an introduction in words: `Solution is: ...`, `width ... = 10`; None if there is none."""
    at = 0
    while at < len(tokens) and (tokens[at].kind in ("text", "word", "sep") or tokens[at].is_op(":", ",", "=")):
        at += 1
    while at and tokens[at - 1].kind == "word" and _is_name(tokens[at - 1].text):
        at -= 1
    return tokens[at:] if 0 < at < len(tokens) else None


def _is_name(word: str) -> bool:
    return word in FUNCTIONS or word in CONSTANTS


def is_prose(tokens: list[Token]) -> bool:
    """Whether the tokens are only words: no number and no mathematics."""
    return all(map(_may_be_prose, tokens)) and any(
        t.kind == "text"
        or (t.kind == "word" and len(t.text) > 3 and not (_is_name(t.text) or t.text in GREEK or t.text.isupper()))
        for t in tokens
    )


def _may_be_prose(token: Token) -> bool:
    return (
        token.kind in ("text", "word", "sep")
        or (token.kind == "sym" and token.text in "aI")
        or (token.kind == "op" and token.text in ",.'-;:!?")
    )
