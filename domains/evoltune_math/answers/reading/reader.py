"""A candidate's text -> Answer: wrappings off, words understood, the rest parsed.

    read("\\\\boxed{\\\\textbf{(A) } 12}") -> Choice("A", Value(12));   read("twenty-five") -> Value(25)

Never raises for any text: what is outside the grammar or over the budget is `Text`, compared as text.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from evoltune_math.answers.kinds import Answer, Text, Value
from evoltune_math.answers.limits import MAX_DEPTH, depth
from evoltune_math.answers.nodes import Node, walk
from evoltune_math.answers.reading.classify import typed
from evoltune_math.answers.reading.special_forms import special
from evoltune_math.answers.syntax.charset import to_ascii
from evoltune_math.answers.syntax.lexer import tokenize
from evoltune_math.answers.syntax.parser import parse_tokens
from evoltune_math.answers.syntax.tokens import Token, Unreadable
from evoltune_math.answers.vocabulary import CONSTANTS, FUNCTIONS, GREEK, SEPARATOR_WORDS, word_set

MAX_TEXT = 12_000
MAX_WRAPPINGS = 12
MAX_KEPT = 1_000
"""Longer texts are not kept in the cache of readings."""
_PAIRS = (
    ("$$", "$$"),
    ("$", "$"),
    ("\\(", "\\)"),
    ("\\[", "\\]"),
    ("**", "**"),
    ("`", "`"),
    ("'", "'"),
    ("\\{", ""),
    ('"', '"'),
)
_SPACES = re.compile(r"(?<!\d)\s+|\s+(?!\d)")
_PLAIN = re.compile(r"-?\d{1,18}(?:\.\d{1,18})?")
_FRACTION = re.compile(r"(-?)\\[dt]?frac\{(\d{1,18})\}\{(\d{1,18})\}|(-?\d{1,18})/(\d{1,18})")
_BOXED = re.compile(r"\\(?:boxed|fbox|framebox)\s*\{")
_CUT = word_set(
    "which where since because using when if whenever unless assuming so thus therefore hence i.e. namely as rounded only exactly "
    "altogether for"
)
_VERBS = word_set("is are equals equal be becomes")
_LEAD = word_set(
    "approximately about approx roughly exactly is are equals answer solution solutions the final "
    "total value result be only just around nearly thus so hence therefore it that we have get "
    "and or namely there to of at all every any"
)
_INT = r"(?:\{(\d+)\}|(\d+))"
_CHOOSE = (
    (re.compile(rf"(?<![\w\\])([CPA])_{_INT}\^{_INT}"), (2, 1, 4)),
    (
        re.compile(rf"(?:\{{\s*\}}|\\,)?\s?[_^]{_INT}\s?(?:\\mathrm\{{|\\text\{{)?([CP])\}}?_{_INT}"),
        (1, 3, 4),
    ),
    (re.compile(rf"(?<![\w\\])(\d+)()([CP])_?{_INT}(?!\w)"), (1, 3, 4)),
    (re.compile(r"(?<![\w\\])([CP])\((\d+)(),\s?(\d+)()\)"), (2, 1, 4)),
)
"""Patterns of `{}_5C_2`, `5C2`, `C_5^2`, `C(5,2)`, and the groups of the top, the letter, the bottom (each number has two)."""
_BUILDER = re.compile(r"^\{\s*\\?[A-Za-z()., ]{1,12}\s*(?:\||:|\\mid|\\in)")
_WHOLE = re.compile(r"\(\s?([a-z])\s?\\in\s?\\math(?:bb|bf|rm)\s?\{?\s?[ZN]\}?[^()]{0,6}\)$")
_SYSTEM = re.compile(r"\\left\s?\\\{(?=\s?\{?\s?\\begin)")
_UNREADABLE = (
    Unreadable,
    RecursionError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""A fault of the parser counts as outside of the grammar: the text is still compared as text."""
_MENDED = str.maketrans({"\x0c": "\\f", "\x08": "\\b"})
_DOUBLED = re.compile(r"\\\\(?=[A-Za-z]{2,}|[\[\](){},;!])")


def mended(text: str) -> str:
    """Escapes that a careless JSON or Python literal broke: form feeds for `\\f`, doubled backslashes."""
    if '\\"' in text:
        text = text.replace('\\"', '"')
    if "\x0c" in text or "\x08" in text:
        text = text.translate(_MENDED)
    if "\t" in text:
        text = re.sub(r"\t(?=(?:ext|imes|frac|heta|an)\b)", r"\\t", text)
    if "\\left" in text and "begin" in text:
        text = _SYSTEM.sub("", text)
    if "dots" in text:
        text = text.replace("\\cdots", "\\ldots").replace("\\dots", "\\ldots")
    if "\\\\" in text and "begin{" not in text and _DOUBLED.search(text):
        text = text.replace("\\\\", "\\")
    elif "\\\\begin" in text:
        text = text.replace("\\\\\\\\", "\x00").replace("\\\\", "\\").replace("\x00", "\\\\")
    return text


def unwrap(text: str) -> str:
    """The answer without the mathematics delimiters, boxes, bold marks and final stops around it."""
    for _ in range(MAX_WRAPPINGS):
        before = text
        text = text.strip()
        text = text if text.endswith("..") else text.rstrip(".,;:").strip()
        text = text.removesuffix("\\newline").rstrip()
        text = text.removesuffix("\\\\").rstrip() if "begin" not in text else text
        if text.endswith("\\") and not text.endswith("\\\\"):
            text = text[:-1].rstrip()
        for left, right in _PAIRS:
            size = len(left)
            if (
                right
                and len(text) >= 2 * size
                and text.startswith(left)
                and text.endswith(right)
                and left not in text[size:-size]
            ):
                text = text[size : -size or None]
        found = _BOXED.match(text)
        if found and text.endswith("}") and balanced(text, found.end() - 1) == len(text) - 1:
            text = text[found.end() : -1]
        if text == before:
            break
    return text


def balanced(text: str, start: int) -> int:
    """Where the brace at `start` is closed, or -1."""
    level = 0
    for found in re.finditer(r"\\.|[{}]", text[start:], re.S):
        if found[0] == "{":
            level += 1
        elif found[0] == "}":
            level -= 1
            if level == 0:
                return start + found.start()
    return -1


def squeezed(text: str) -> str:
    """`text` without white space, except between two digits."""
    return _SPACES.sub("", text.strip())


def plain_number(text: str) -> Fraction | None:
    """The fast path: a whole number, a decimal or a fraction, in a microsecond."""
    if _PLAIN.fullmatch(text):
        return Fraction(text)
    found = _FRACTION.fullmatch(text)
    if found is None:
        return None
    top, bottom = int(found[1] + found[2]) if found[2] else int(found[4]), int(found[3] or found[5])
    return Fraction(top, bottom) if bottom else None


def read(text: str, lists: bool = False) -> Answer:
    """The answer in `text`. `lists`: read `100,200,300` as three numbers."""
    return _kept(text, lists) if len(text) <= MAX_KEPT else _read(text, lists)


@lru_cache(maxsize=4096)
def _kept(text: str, lists: bool) -> Answer:
    return _read(text, lists)


def _read(text: str, lists: bool) -> Answer:
    if len(text) > MAX_TEXT:
        return Text(text)
    bare = unwrap(to_ascii(mended(text)))
    quick = plain_number(bare)
    if quick is not None:
        digits = bare.lstrip("-") if "." in bare else ""
        return Value(Node("dec" if digits else "num", (), quick, digits))
    if bare[:1] == "{" and bare[-1:] == "}" and _BUILDER.search(bare) and balanced(bare, 0) == len(bare) - 1:
        bare = "\\" + bare[:-1] + "\\}"
    if "C" in bare or "P" in bare or "A_" in bare:
        bare = _chosen(bare)
    bare = _WHOLE.sub(r", \1 \\in \\mathbb{Z}", bare)
    try:
        convention = special(bare, read)
        if convention is not None:
            return convention
        tokens = tokenize(bare)
        if lists:
            tokens = [t for token in tokens for t in _split_thousands(token)]
        return _from_tokens(tokens, bare)
    except _UNREADABLE:
        return Text(bare)


def _chosen(text: str) -> str:
    """`{}_5C_2`, `5C2`, `C_5^2` and `C(5,2)` as one function."""
    for pattern, (top, kind, below) in _CHOOSE:
        text = pattern.sub(
            lambda m, t=top, k=kind, b=below: (  # type: ignore[misc]
                f"\\operatorname{{{'binom' if m[k] == 'C' else 'perm'}}}({m[t] or m[t + 1]},{m[b] or m[b + 1]})"
            ),
            text,
        )
    return text


def _split_thousands(token: Token) -> list[Token]:
    if token.kind != "num" or token.note or len(token.text) < 4 or not token.text.isdigit():
        return [token]
    head = len(token.text) % 3 or 3
    groups = [token.text[:head], *(token.text[i : i + 3] for i in range(head, len(token.text), 3))]
    found: list[Token] = []
    for group in groups:
        found += [Token("num", group, False, Fraction(int(group))), Token("op", ",")]
    return found[:-1]


def _from_tokens(tokens: list[Token], bare: str) -> Answer:
    tokens = _trimmed(_introduced(tokens))
    if not tokens:
        return Text(bare)
    if _prose(tokens):
        return Text(bare)
    try:
        return _parsed(tokens, bare)
    except Unreadable:
        shorter = _without_lead(tokens)
        if shorter is None:
            raise
        return _parsed(shorter, bare)


def _parsed(tokens: list[Token], bare: str) -> Answer:
    node = parse_tokens(list(tokens))
    if depth(node) > MAX_DEPTH:
        raise Unreadable("too deep")
    if (node.op == "mul" and node.args[0].op == "text") or (
        node.op == "seq" and node.value == "" and any(n.op == "text" for n in node.args)
    ):
        shorter = _without_lead(tokens)
        if shorter is not None:
            return _parsed(shorter, bare)
    if sum(n.op == "text" for n in walk(node)) and node.op in ("text", "mul", "add", "neg", "pow"):
        return Text(bare)
    return typed(node)


def _introduced(tokens: list[Token]) -> list[Token]:
    """Without `Domain:` and without `the ratio is` in front of mathematics."""
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
    long = len(tokens[0].text) > 2 and tokens[0].text not in FUNCTIONS
    if tokens[at].text == ":" and long:
        return tokens[at + 1 :]
    verbs = [k for k in range(at) if tokens[k].text in _VERBS]
    return tokens[verbs[-1] + 1 :] if verbs else tokens


def _trimmed(tokens: list[Token]) -> list[Token]:
    """Without what stands around an answer: separators, `approximately`, `, which is the area`, a final stop."""
    level = 0
    several = (
        sum(t.kind in ("word", "text") and t.text.split()[0].lower() in ("for", "if", "when") for t in tokens)
        > 1
    )
    for at, token in enumerate(tokens if not several else []):
        if token.kind == "op":
            level += (token.text in "([{" or token.text == "\\{") - (
                token.text in ")]}" or token.text == "\\}"
            )
        if at and level == 0 and token.kind in ("word", "text") and token.text.split()[0].lower() in _CUT:
            tokens = tokens[:at]
            break
    start, end = 0, len(tokens)
    while end and (
        tokens[end - 1].kind == "sep"
        or (tokens[end - 1].kind == "op" and tokens[end - 1].text in (",", ";", ".", ":", "?", "\n", "..."))
    ):
        end -= 1
    while start < end and (
        tokens[start].kind == "sep"
        or (tokens[start].kind == "op" and tokens[start].text in (",", ";", ":", "\n"))
        or _leads(tokens[start])
    ):
        start += 1
    return tokens[start:end]


def _leads(token: Token) -> bool:
    if token.kind == "cmd":
        return token.text in (
            "approx",
            "sim",
            "simeq",
            "therefore",
            "implies",
            "Rightarrow",
            "to",
            "phantom",
            "rightarrow",
            "&",
        )
    if token.kind == "op":
        return token.text in ("=", "&")
    return token.kind in ("word", "text") and all(w.lower() in _LEAD for w in token.text.split())


def _prose(tokens: list[Token]) -> bool:
    """Only words: no number, no mathematics."""
    return all(
        t.kind in ("text", "word", "sep")
        or (t.kind == "sym" and t.text in "aI")
        or (t.kind == "op" and t.text in ",.'-;:!?")
        for t in tokens
    ) and any(
        t.kind == "text"
        or (
            t.kind == "word"
            and len(t.text) > 3
            and not (FUNCTIONS.get(t.text) or t.text in GREEK or t.text in CONSTANTS or t.text.isupper())
        )
        for t in tokens
    )


def _without_lead(tokens: list[Token]) -> list[Token] | None:
    """The tokens behind an introduction in words: `Solution is: ...`, `width ... = 10`."""
    at = 0
    while at < len(tokens) and (
        tokens[at].kind in ("text", "word", "sep")
        or (tokens[at].kind == "op" and tokens[at].text in (":", ",", "="))
    ):
        at += 1
    while (
        at
        and tokens[at - 1].kind == "word"
        and (tokens[at - 1].text in FUNCTIONS or tokens[at - 1].text in CONSTANTS)
    ):
        at -= 1
    return tokens[at:] if 0 < at < len(tokens) else None


__all__ = ["SEPARATOR_WORDS", "balanced", "mended", "plain_number", "read", "unwrap"]
