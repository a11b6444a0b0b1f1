"""Changes of an answer that follow from its parts: its numbers, words and signs, and what stands on the two sides of a sign.

    parts = Parts(["4 h 18 min", "42.2 km", "p -> q"])
    parts.wrong("4 h 18 min")     # {"last number smaller": "4 h 16 min", "last word of another answer": "4 h 18 km", ...}
    parts.open("p & q")           # {"parts between '&' in another order": "q & p", ...}: right in one field, wrong in another

What a change says is nearly always wrong where the answer is a value; programs, queries and JSON have changes of their own (`near_misses`).
"""

import re
from collections.abc import Iterator, Sequence

from evoltune.domain_kit.near_misses import RIGHT_AT_TIMES, STRUCTURED, is_structured, near_misses, python_functions
from evoltune.domain_kit.queries import other_results

LONGEST = 60
"""Tokens of an answer that is changed in its parts; a longer one is prose."""
MOST_NUMBERS = 7
"""Numbers of an answer of which each is changed; then the last one."""
FAR = 300
"""Blanks behind which whoever cuts long answers off sees nothing."""
_TOKEN = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+|[^\w\s]+")
_DIRECTED = ("->", "→", "=>", "⇒", "<=", ">=", "≤", "≥", "<", ">", "/", "÷", "^", ":", " to ", " per ", " - ")
"""What two sides are not exchanged around: `a -> b` is not `b -> a`."""
_LOOSE = ("<->", "↔", "=", "+", "*", "&", "∧", "|", "∨", ",", ";", " and ", " or ")
"""What two sides may be exchanged around in most fields, and not in all."""
_LISTED = (";", ",", "+", "&", "∧", "|", "∨", " and ")
_UNBOUNDED = (
    "1e999999999", "1e-999999999", "9" * 4_000, "0." + "9" * 4_000, "1/0", "9**9**9**9", "nan", "inf", "-1",
)  # fmt: skip
_SYNTAX = frozenset("()[]{}.,;:\"'`_?!")


class Parts:
    """The changes that the answers of one domain suggest for each of them."""

    def __init__(self, answers: Sequence[str]) -> None:
        self.answers = list(dict.fromkeys(answers))
        tokens = dict.fromkeys(token for answer in self.answers for token in _TOKEN.findall(answer))
        self.words = [token for token in tokens if token[0].isalpha()]
        self.signs = [token for token in tokens if not token[0].isalnum() and not {*token} & _SYNTAX]

    def wrong(self, text: str) -> dict[str, str]:
        """kind of change -> an answer that is nearly always wrong."""
        if not is_value(text):
            return {}
        found = {**_numbers(text), **self._other_tokens(text), **_sides(text), **self._listed(text)}
        found["more behind many blanks"] = f"{text}{' ' * FAR}zq"
        if re.match(r"[^\W\d_]+\d", text):
            found["a minus in front"] = f"-{text}"
        return {kind: other for kind, other in found.items() if other.strip() and other.split() != text.split()}

    def open(self, text: str) -> dict[str, str]:
        """kind of change -> an answer of which only the field can say whether it is wrong."""
        if is_structured(text):
            return {
                kind: other
                for kind, other in near_misses(text).items()
                if kind in STRUCTURED and kind in RIGHT_AT_TIMES
            }
        if not is_value(text):
            return {}
        found = {"letters in the other case": text.swapcase()}
        for sign in _LOOSE:
            if len(pieces := _split(text, sign)) > 1:
                found[f"parts between {sign.strip()!r} in another order"] = _joined(text, sign, pieces[::-1])
                found[f"a part between {sign.strip()!r} twice"] = _joined(text, sign, [*pieces, pieces[0]])
        found["without brackets"] = re.sub(r"[()\[\]{}]", "", text)
        found["without its words"] = (
            " ".join(re.sub(r"[^\W\d_]+", " ", text).split()) if re.search(r"\d", text) else text
        )
        found["without its signs"] = " ".join(re.sub(r"[^\w\s]+", " ", text).split())
        said = [m for m in _TOKEN.finditer(text) if m[0][0].isalnum()]
        if len(said) > 1:
            found |= {
                "without its first part": text[said[1].start() :],
                "without its last part": text[: said[-1].start()].rstrip(),
            }
        return {kind: other for kind, other in found.items() if other.strip() and other.split() != text.split()}

    def _other_tokens(self, text: str) -> dict[str, str]:
        """A word, or a sign of operation, of another answer in the place of one of this answer's own."""
        found = {}
        places = [m for m in _TOKEN.finditer(text) if m[0] in self.words]
        for kind, match in (("last", places[-1]), ("first", places[0])) if places else ():
            if other := _nearest(match[0], self.words, text):
                found[f"{kind} word of another answer"] = text[: match.start()] + other + text[match.end() :]
        for match in (m for m in _TOKEN.finditer(text) if m[0] in self.signs and m.start() > 0):
            if other := _nearest(match[0], self.signs, match[0]):
                found["a sign of another answer"] = text[: match.start()] + other + text[match.end() :]
                break
        return found

    def _listed(self, text: str) -> dict[str, str]:
        """A part of a list lost, exchanged for one of another answer, or added from there."""
        for sign in _LISTED:
            if len(pieces := _split(text, sign)) < 2:
                continue
            name = repr(sign.strip())
            found = {
                f"last part between {name} lost": _joined(text, sign, pieces[:-1]),
                f"first part between {name} lost": _joined(text, sign, pieces[1:]),
            }
            others = [part for answer in self.answers if answer != text for part in _split(answer, sign)[:1]]
            if other := next((part for part in others if shape(part) == shape(pieces[0]) and part not in pieces), ""):
                found[f"a part between {name} more"] = _joined(text, sign, [*pieces, other])
                found[f"last part between {name} of another answer"] = _joined(text, sign, [*pieces[:-1], other])
            return found
        return {}


def is_value(text: str) -> bool:
    """Whether an answer states a value in a few tokens: it is no program, no query, no JSON and no prose."""
    if len(_TOKEN.findall(text)) > LONGEST or python_functions(text) or other_results(text):
        return False
    return not is_structured(text)


def shape(text: str) -> str:
    """The kinds of an answer's tokens, with repetitions once: `9a+` for `4 h 18 min` and `2 h 46 min 40 s`, `9a` for `42 km`, and `a,+`
    for lists of two and of three names."""
    for sign in _LISTED:
        pieces = _split(text, sign)
        if len(pieces) > 1 and len(forms := {shape(piece) for piece in pieces}) == 1:
            return f"{forms.pop()}{sign.strip()}+"
    kinds = "".join("9" if t[0].isdigit() else "a" if t[0].isalpha() else t for t in _TOKEN.findall(text))
    return re.sub(r"(.+?)\1+", r"\1+", kinds)


def parts_like(answer: str, question: str) -> dict[str, str]:
    """ "first" and "last" of the texts of the answer's shape that the question itself holds."""
    form, count, words = shape(answer), len(answer.split()), question.split()
    if not is_value(answer) or not any(char.isdigit() for char in answer):
        return {}
    runs = (" ".join(words[i : i + count]).strip(".,;:!?()\"'`") for i in range(len(words) - count + 1))
    like = [run for run in runs if shape(run) == form]
    return {
        f"the {which} text of the answer's shape in the question": like[i]
        for which, i in (("first", 0), ("last", -1))
        if like
    }


def _numbers(text: str) -> dict[str, str]:
    """Each number a tenth smaller at least, so that no tolerance takes it for the same."""
    places = [m for m in _TOKEN.finditer(text) if m[0][0].isdigit()]
    found: dict[str, str] = {}
    for i, match in [*enumerate(places)][:MOST_NUMBERS] + [*enumerate(places)][MOST_NUMBERS:][-1:]:
        kind = "first" if i == 0 else "last" if i == len(places) - 1 else f"{i + 1}."
        if i == 0 and len(places) == 1:
            kind = "only"
        found.setdefault(f"{kind} number smaller", text[: match.start()] + _smaller(match[0]) + text[match.end() :])
    for kind, (a, b) in (("first", places[:2]), ("last", places[-2:])) if len(places) > 1 else ():
        exchanged = text[: a.start()] + b[0] + text[a.end() : b.start()] + a[0] + text[b.end() :]
        found.setdefault(f"{kind} two numbers exchanged", exchanged)
    if len(places) == 1:
        (match,) = places
        tenfold = f"{float(match[0]) * 10:g}"
        found["ten times as large"] = text[: match.start()] + tenfold + text[match.end() :]
    return found


def _smaller(number: str) -> str:
    if "." in number:
        return f"{float(number) * 0.85 or 1.5:.{len(number.partition('.')[2])}f}"
    value = int(number)
    return str(2 if value == 1 else 1 if value == 0 else int(value * 0.9)).zfill(len(number))


def _nearest(token: str, others: Sequence[str], text: str) -> str:
    """The token that is most like this one and not in the text: another case first, then another word of its length."""
    own = {*_TOKEN.findall(text)}
    choices = [other for other in others if other not in own]
    return min(choices, key=lambda o: (o.casefold() != token.casefold(), abs(len(o) - len(token)), o), default="")


def _sides(text: str) -> dict[str, str]:
    for sign in _DIRECTED:
        pieces = _split(text, sign)
        if len(pieces) == 2 and pieces[0] != pieces[1]:
            return {f"sides of {sign.strip()!r} exchanged": _joined(text, sign, pieces[::-1])}
        if len(pieces) > 2:
            break
    return {}


def _split(text: str, sign: str) -> list[str]:
    """The parts between a sign, where each says something."""
    escaped = re.escape(sign)
    if sign in "=<>-":
        escaped = rf"(?<![=<>!-]){escaped}(?![=<>-])"
    pieces = [piece.strip() for piece in re.split(escaped, text)]
    return pieces if all(re.search(r"\w", piece) for piece in pieces) else [text]


def _joined(text: str, sign: str, pieces: Sequence[str]) -> str:
    """The parts with the sign between them, spaced as in the text."""
    before, after = (" " if f" {sign}" in text else ""), (" " if f"{sign} " in text else "")
    return f"{before}{sign}{after}".join(pieces) if sign.strip() == sign else sign.join(pieces)


def hostile_parts(text: str) -> Iterator[str]:
    """The answer with numbers in it that no computation survives unbounded, and with a name more for each letter."""
    if match := next((m for m in _TOKEN.finditer(text) if m[0][0].isdigit()), None):
        for number in _UNBOUNDED:
            yield text[: match.start()] + number + text[match.end() :]
    for sign in (*_DIRECTED, *_LOOSE):
        if len(pieces := _split(text, sign)) > 1:
            yield _joined(text, sign, [*pieces, *"abcdefghijklmnopqrstuvwxyz"])
