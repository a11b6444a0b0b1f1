"""Checkable constraints: what a task states in `fields["constraints"]` and a program can judge without a model.

    violations({"max_words": 3, "must_include": ["sea"]}, "The sea is calm today")    # ['max_words: 5 words, at most 3']

Invariant: an unknown constraint, or one whose value has the wrong shape, is an error of the row (`ConstraintError`), never
a silent pass. Words are runs of letters or digits, so `don't` and `well-known` are one each; a script without spaces is
counted by runs too, so word limits suit languages that write spaces.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from evoltune.errors import nearest
from evoltune.record import Json
from evoltune.text.language import FUNCTION_WORDS, LANGUAGES_OF
from evoltune_general.formats import BULLET, FORMATS, NUMBERED, parse_json, unfenced

Check = Callable[[str, Any], str | None]
"""(answer, wanted) -> what is wrong, or None."""

_WORD = re.compile(r"\w+(?:['’\-]\w+)*")
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|etc|vs|Mr|Mrs|Ms|Dr|Prof|St|z\.B|d\.h|p\. ej)\.")
_SENTENCE_END = re.compile(r"[.!?…。！？]+[\"'”’»)\]]*(?=\s|$)")
_SCRIPTS: Mapping[str, tuple[re.Pattern[str], float]] = {
    # Kana come first and may be few: Japanese is written with Chinese characters too.
    "ja": (re.compile(r"[\u3040-\u30ff]"), 0.1),
    "zh": (re.compile(r"[\u4e00-\u9fff]"), 0.5),
    "ko": (re.compile(r"[\uac00-\ud7af]"), 0.5),
    "ru": (re.compile(r"[\u0400-\u04ff]"), 0.5),
    "ar": (re.compile(r"[\u0600-\u06ff]"), 0.5),
    "el": (re.compile(r"[\u0370-\u03ff]"), 0.5),
    "hi": (re.compile(r"[\u0900-\u097f]"), 0.5),
}
"""Language -> (its letters, the share of a text's letters that they must exceed)."""
LANGUAGES = (*FUNCTION_WORDS, *_SCRIPTS)


class ConstraintError(Exception):
    """The row's constraints cannot be read: an unknown name, or a value of the wrong shape."""


def word_count(text: str) -> int:
    return len(_WORD.findall(text))


def sentence_count(text: str) -> int:
    """Sentences, and list items and headings on lines of their own; common abbreviations end no sentence."""
    count = 0
    for line in filter(str.strip, _ABBREVIATION.sub("x", text).split("\n")):
        ends = _SENTENCE_END.findall(line.strip())
        count += len(ends) + (0 if _SENTENCE_END.search(line.strip()[-4:]) else 1)
    return count


def language(text: str) -> str | None:
    """The likeliest of `LANGUAGES`, or None where the text gives no hint (Latin script: below 8 words)."""
    letters = max(1, len(re.findall(r"[^\W\d_]", text)))
    for name, (script, share) in _SCRIPTS.items():
        if len(script.findall(text)) > share * letters:
            return name
    words = [w.lower() for w in re.findall(r"[^\W\d_]+", text)]
    if len(words) < 8:
        return None
    hits = Counter(name for word in words for name in LANGUAGES_OF.get(word, ()))
    (first, best), (_, second) = [*hits.most_common(2), ("", 0), ("", 0)][:2]
    return first if best > second and best >= 0.08 * len(words) else None


def _limit(measure: Callable[[str], int], unit: str, sign: str) -> Check:
    def check(text: str, wanted: Any) -> str | None:
        if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 0:
            raise ConstraintError(f"must be a whole number, is {wanted!r}")
        found = measure(text)
        holds = {"at most": found <= wanted, "at least": found >= wanted, "exactly": found == wanted}[sign]
        return None if holds else f"{found} {unit}, {sign} {wanted}"

    return check


def _texts(wanted: Any) -> Sequence[str]:
    texts = [wanted] if isinstance(wanted, str) else wanted
    if not isinstance(texts, list | tuple) or not texts or not all(isinstance(t, str) and t for t in texts):
        raise ConstraintError(f"must be a text or a list of texts, is {wanted!r}")
    return texts


def _check_known(wanted: Any, known: Collection[str]) -> None:
    if wanted not in known:
        raise ConstraintError(f"{wanted!r} is not known: {nearest(str(wanted), known)}")


def _must_include(text: str, wanted: Any) -> str | None:
    missing = [t for t in _texts(wanted) if t.casefold() not in text.casefold()]
    return f"missing {missing}" if missing else None


def _must_not_include(text: str, wanted: Any) -> str | None:
    found = [t for t in _texts(wanted) if re.search(rf"(?<!\w){re.escape(t)}(?!\w)", text, re.IGNORECASE)]
    return f"contains {found}" if found else None


def _starts_with(text: str, wanted: Any) -> str | None:
    return None if unfenced(text).startswith(tuple(_texts(wanted))) else f"starts with {unfenced(text)[:40]!r}"


def _ends_with(text: str, wanted: Any) -> str | None:
    return None if unfenced(text).endswith(tuple(_texts(wanted))) else f"ends with {unfenced(text)[-40:]!r}"


def _language(text: str, wanted: Any) -> str | None:
    _check_known(wanted, LANGUAGES)
    found = language(text)
    return None if found == wanted else f"looks like {found or 'no known language'}"


def _case(name: str) -> Check:
    def check(text: str, wanted: Any) -> str | None:
        if not isinstance(wanted, bool):
            raise ConstraintError(f"must be true or false, is {wanted!r}")
        changed = text.lower() if name == "lowercase" else text.upper()
        return None if (text == changed) == wanted else f"{'not ' if wanted else ''}all {name}"

    return check


def _json_keys(text: str, wanted: Any) -> str | None:
    try:
        value = parse_json(text)
    except ValueError as error:
        return str(error)
    if not isinstance(value, dict):
        return f"a JSON {type(value).__name__}, not an object"
    missing = [key for key in _texts(wanted) if key not in value]
    return f"missing keys {missing}" if missing else None


def _format(text: str, wanted: Any) -> str | None:
    _check_known(wanted, FORMATS)
    return FORMATS[wanted](text)


_MEASURES: Mapping[str, Callable[[str], int]] = {
    "words": word_count,
    "sentences": sentence_count,
    "characters": lambda text: len(text.strip()),
    "paragraphs": lambda text: len([p for p in re.split(r"\n\s*\n", text.strip()) if p.strip()]),
    "lines": lambda text: len([line for line in unfenced(text).split("\n") if line.strip()]),
    "items": lambda text: sum(bool(BULLET.match(line) or NUMBERED.match(line)) for line in text.split("\n")),
}
CHECKS: Mapping[str, Check] = {
    **{
        prefix + name: _limit(measure, name, sign)
        for prefix, sign in (("", "exactly"), ("max_", "at most"), ("min_", "at least"))
        for name, measure in _MEASURES.items()
    },
    "must_include": _must_include,
    "must_not_include": _must_not_include,
    "starts_with": _starts_with,
    "ends_with": _ends_with,
    "language": _language,
    "format": _format,
    "json_keys": _json_keys,
    "lowercase": _case("lowercase"),
    "uppercase": _case("uppercase"),
}


def violations(constraints: Mapping[str, Json], answer: str) -> list[str]:
    """`name: what is wrong` for each constraint that the answer breaks, in their order. Raises ConstraintError."""
    found = []
    for name, wanted in constraints.items():
        if name not in CHECKS:
            raise ConstraintError(f"constraint {name!r} is not known: {nearest(name, CHECKS)}")
        try:
            wrong = CHECKS[name](answer, wanted)
        except ConstraintError as error:
            raise ConstraintError(f"constraint {name!r}: {error}") from error
        if wrong:
            found.append(f"{name}: {wrong}")
    return found
