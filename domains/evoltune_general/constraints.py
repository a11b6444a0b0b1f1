"""Checkable constraints: what a task states in `fields["constraints"]` and a program can judge without a model.

    broken({"max_words": 3, "must_include": ["sea"]}, "The sea is calm today")    # ['max_words: 5 words, at most 3']

Invariant: a constraint that is not known, or whose value has the wrong shape, is an error of the row (`ConstraintError`),
never a silent pass. Words are runs of letters or digits, so `don't` and `well-known` are one each; text in other scripts
without spaces is counted by runs too, which suits languages that write spaces.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evoltune.errors import nearest
from evoltune.record import Json

Check = Callable[[str, Any], str | None]
"""(answer, wanted) -> what is wrong, or None."""

WORD = re.compile(r"\w+(?:['’\-]\w+)*")
ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|etc|vs|Mr|Mrs|Ms|Dr|Prof|St|z\.B|d\.h|p\. ej)\.")
SENTENCE_END = re.compile(r"[.!?…。！？]+[\"'”’»)\]]*(?=\s|$)")
BULLET = re.compile(r"\s*[-*•+]\s+\S")
NUMBERED = re.compile(r"\s*\d{1,3}[.)]\s+\S")
FENCE = re.compile(r"\A\s*```[\w-]*\n(.*?)\n?```\s*\Z", re.DOTALL)
XML_CHARACTERS = 100_000
"""Longer answers are not parsed as XML."""

FREQUENT: Mapping[str, str] = {
    "en": "the and of to in is that it for was with as are be this on not have from by an at or you",
    "de": "der die das und ist nicht ein eine zu den mit von für auf dem sich auch es im werden wird als man",
    "fr": "le la les et est un une des du pas que qui dans pour sur avec il ce au plus par sont ne en se",
    "es": "el la los las y es un una de que en por con para no se su al lo como más del si o está",
    "it": "il lo la gli e è un una di che in per con non si del della sono come più anche al ha questo",
    "pt": "o os as e é um uma de que em por com para não se do da no na são como mais ao foi seu",
    "nl": "de het een en is niet van in op te dat die voor met zijn aan er om ook als bij door maar wordt",
}
"""Frequent words that tell languages of Latin script apart."""
LANGUAGE_WORDS = {name: frozenset(words.split()) for name, words in FREQUENT.items()}
SCRIPTS: Mapping[str, str] = {
    "zh": r"[\u4e00-\u9fff]",
    "ja": r"[\u3040-\u30ff]",
    "ko": r"[\uac00-\ud7af]",
    "ru": r"[\u0400-\u04ff]",
    "ar": r"[\u0600-\u06ff]",
    "el": r"[\u0370-\u03ff]",
    "hi": r"[\u0900-\u097f]",
}


class ConstraintError(Exception):
    """The row's constraints cannot be read: unknown name or a value of the wrong shape."""


def word_count(text: str) -> int:
    return len(WORD.findall(text))


def sentence_count(text: str) -> int:
    """Ends of sentences, list items and headings on lines of their own; common abbreviations do not end one."""
    count = 0
    for line in filter(str.strip, ABBREVIATION.sub("x", text).split("\n")):
        ends = SENTENCE_END.findall(line.strip())
        count += len(ends) + (0 if SENTENCE_END.search(line.strip()[-4:]) else 1)
    return count


def body(text: str) -> str:
    """The content of an answer that is one fenced block, else the answer itself."""
    fenced = FENCE.match(text)
    return (fenced[1] if fenced else text).strip()


def language(text: str) -> str | None:
    """The best guess among LANGUAGE_WORDS and SCRIPTS, or None where the text gives no hint (below 8 words)."""
    letters = max(1, len(re.findall(r"[^\W\d_]", text)))
    for name in (
        "ja",
        *(n for n in SCRIPTS if n != "ja"),
    ):  # kana first: Japanese holds Chinese characters too
        share = len(re.findall(SCRIPTS[name], text)) / letters
        if share > (0.1 if name == "ja" else 0.5):
            return name
    words = [w.lower() for w in re.findall(r"[^\W\d_]+", text)]
    if len(words) < 8:
        return None
    hits = {name: sum(w in known for w in words) for name, known in LANGUAGE_WORDS.items()}
    best, second = sorted(hits.values(), reverse=True)[:2]
    return max(hits, key=lambda name: hits[name]) if best > second and best >= len(words) * 0.08 else None


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


def _includes(text: str, wanted: Any) -> str | None:
    missing = [t for t in _texts(wanted) if t.casefold() not in text.casefold()]
    return f"missing {missing}" if missing else None


def _excludes(text: str, wanted: Any) -> str | None:
    found = [t for t in _texts(wanted) if re.search(rf"(?<!\w){re.escape(t)}(?!\w)", text, re.IGNORECASE)]
    return f"contains {found}" if found else None


def _starts(text: str, wanted: Any) -> str | None:
    return None if body(text).startswith(tuple(_texts(wanted))) else f"starts with {body(text)[:40]!r}"


def _ends(text: str, wanted: Any) -> str | None:
    return None if body(text).endswith(tuple(_texts(wanted))) else f"ends with {body(text)[-40:]!r}"


def _language(text: str, wanted: Any) -> str | None:
    if wanted not in LANGUAGE_WORDS and wanted not in SCRIPTS:
        raise ConstraintError(f"{wanted!r} is not known: {nearest(str(wanted), [*LANGUAGE_WORDS, *SCRIPTS])}")
    found = language(text)
    return None if found == wanted else f"looks like {found or 'no known language'}"


def _items(text: str) -> int:
    return sum(bool(BULLET.match(line) or NUMBERED.match(line)) for line in text.split("\n"))


def _case(name: str) -> Check:
    def check(text: str, wanted: Any) -> str | None:
        if not isinstance(wanted, bool):
            raise ConstraintError(f"must be true or false, is {wanted!r}")
        changed = text.lower() if name == "lowercase" else text.upper()
        return None if (text == changed) == wanted else f"{'not ' if wanted else ''}all {name}"

    return check


def _json(text: str) -> object:
    try:
        return json.loads(body(text))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({error})") from error


def _json_keys(text: str, wanted: Any) -> str | None:
    try:
        value = _json(text)
    except ValueError as error:
        return str(error)
    if not isinstance(value, dict):
        return f"a JSON {type(value).__name__}, not an object"
    missing = [key for key in _texts(wanted) if key not in value]
    return f"missing keys {missing}" if missing else None


def _format(text: str, wanted: Any) -> str | None:
    if wanted not in FORMATS:
        raise ConstraintError(f"{wanted!r} is not known: {nearest(str(wanted), FORMATS)}")
    try:
        return FORMATS[wanted](text)
    except ValueError as error:
        return str(error)


def _format_json(text: str) -> None:
    _json(text)


def _format_xml(text: str) -> str | None:
    """Well-formed XML. Declarations of types and entities are refused unread: they can expand without bound."""
    from xml.etree import ElementTree

    content = body(text)
    if len(content) > XML_CHARACTERS or "<!" in content.replace("<!--", ""):
        return "not plain XML (too long, or it declares a type or entities)"
    try:
        ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        return f"not XML ({error})"
    return None


def _format_html(text: str) -> str | None:
    """Balanced tags; void and optional-end elements excepted."""
    from html.parser import HTMLParser

    free = {
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "source",
        "track",
        "wbr",
        "p",
        "li",
        "option",
    }
    opened: list[str] = []
    wrong: list[str] = []
    parser = HTMLParser()

    def start(tag: str, attributes: object) -> None:
        opened.extend([tag] if tag not in free else [])

    def end(tag: str) -> None:
        if tag in free:
            return
        if opened and opened[-1] == tag:
            opened.pop()
        else:
            wrong.append(tag)

    parser.handle_starttag, parser.handle_endtag = start, end  # type: ignore[assignment,method-assign]
    try:
        parser.feed(body(text))
        parser.close()
    except (
        AssertionError
    ) as error:  # the parser's word for a declaration that it does not know, such as <![x[
        return f"not HTML ({error})"
    if not re.match(r"<[a-zA-Z!]", body(text)):
        return "does not begin with a tag"
    return f"tags do not match: {(wrong or opened)[:3]}" if wrong or opened else None


def _format_csv(text: str) -> str | None:
    try:
        rows = [row for row in csv.reader(io.StringIO(body(text), newline="")) if row]
    except csv.Error as error:
        return f"not CSV ({error})"
    widths = {len(row) for row in rows}
    if not rows or widths == {1}:
        return "not CSV: one column"
    return None if len(widths) == 1 else f"not CSV: rows of {sorted(widths)} columns"


def _all_lines(pattern: re.Pattern[str], name: str) -> Callable[[str], str | None]:
    def check(text: str) -> str | None:
        wrong = [line for line in body(text).split("\n") if line.strip() and not pattern.match(line)]
        return f"a line that is no {name} item: {wrong[0][:40]!r}" if wrong else None

    return check


FORMATS: Mapping[str, Callable[[str], str | None]] = {
    "json": _format_json,
    "xml": _format_xml,
    "html": _format_html,
    "csv": _format_csv,
    "bullets": _all_lines(BULLET, "bulleted"),
    "numbered": _all_lines(NUMBERED, "numbered"),
    "has_bullets": lambda text: None if any(map(BULLET.match, text.split("\n"))) else "no bulleted list",
    "has_numbered": lambda text: None if any(map(NUMBERED.match, text.split("\n"))) else "no numbered list",
}

_MEASURES: Mapping[str, Callable[[str], int]] = {
    "words": word_count,
    "sentences": sentence_count,
    "characters": lambda text: len(text.strip()),
    "paragraphs": lambda text: len([p for p in re.split(r"\n\s*\n", text.strip()) if p.strip()]),
    "lines": lambda text: len([line for line in body(text).split("\n") if line.strip()]),
    "items": _items,
}
CHECKS: Mapping[str, Check] = {
    **{name: _limit(measure, name, "exactly") for name, measure in _MEASURES.items()},
    **{f"max_{name}": _limit(measure, name, "at most") for name, measure in _MEASURES.items()},
    **{f"min_{name}": _limit(measure, name, "at least") for name, measure in _MEASURES.items()},
    "must_include": _includes,
    "must_not_include": _excludes,
    "starts_with": _starts,
    "ends_with": _ends,
    "language": _language,
    "format": _format,
    "json_keys": _json_keys,
    "lowercase": _case("lowercase"),
    "uppercase": _case("uppercase"),
}


def broken(constraints: Mapping[str, Json], answer: str) -> list[str]:
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
