"""Formats that an answer can be asked for: JSON, XML, HTML, CSV, lists. Each check says what is wrong, or None.

FORMATS["csv"]("a,b\\n1,2,3")    # 'not CSV: rows of [2, 3] columns'
"""

import csv
import io
import json
import re
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

BULLET = re.compile(r"\s*[-*•+]\s+\S")
NUMBERED = re.compile(r"\s*\d{1,3}[.)]\s+\S")
_FENCE = re.compile(r"\A\s*```[\w-]*\n(.*?)\n?```\s*\Z", re.DOTALL)
MAX_XML_CHARACTERS = 100_000
_NO_END_TAG = frozenset("area base br col embed hr img input link meta source track wbr p li option".split())
"""HTML elements that are void, or whose end tag is optional."""


def unfenced(text: str) -> str:
    """The content of an answer that is one fenced block, else the answer itself."""
    fenced = _FENCE.match(text)
    return (fenced[1] if fenced else text).strip()


def parse_json(text: str) -> Any:
    """Raises ValueError with what is wrong, for nesting beyond the parser's depth too."""
    try:
        return json.loads(unfenced(text))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({error})") from error


def _json(text: str) -> str | None:
    try:
        parse_json(text)
    except ValueError as error:
        return str(error)
    return None


def _xml(text: str) -> str | None:
    """Well-formed XML. Declarations of types and entities are refused unread: they can expand without bound."""
    content = unfenced(text)
    if len(content) > MAX_XML_CHARACTERS or "<!" in content.replace("<!--", ""):
        return "not plain XML (too long, or it declares a type or entities)"
    try:
        ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        return f"not XML ({error})"
    return None


class _TagBalance(HTMLParser):
    """Matches start and end tags."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.unmatched: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in _NO_END_TAG:
            self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.opened and self.opened[-1] == tag:
            self.opened.pop()
        elif tag not in _NO_END_TAG:
            self.unmatched.append(tag)


def _html(text: str) -> str | None:
    """Balanced tags, except of elements that need no end tag."""
    parser, content = _TagBalance(), unfenced(text)
    try:
        parser.feed(content)
        parser.close()
    except AssertionError as error:  # how the parser refuses an unknown declaration such as <![x[
        return f"not HTML ({error})"
    if not re.match(r"<[a-zA-Z!]", content):
        return "does not begin with a tag"
    wrong = parser.unmatched or parser.opened
    return f"tags do not match: {wrong[:3]}" if wrong else None


def _csv(text: str) -> str | None:
    try:
        rows = [row for row in csv.reader(io.StringIO(unfenced(text), newline="")) if row]
    except csv.Error as error:
        return f"not CSV ({error})"
    widths = {len(row) for row in rows}
    if not rows or widths == {1}:
        return "not CSV: one column"
    return None if len(widths) == 1 else f"not CSV: rows of {sorted(widths)} columns"


def _every_line(item: re.Pattern[str], kind: str) -> Callable[[str], str | None]:
    def check(text: str) -> str | None:
        wrong = [line for line in unfenced(text).split("\n") if line.strip() and not item.match(line)]
        return f"a line that is no {kind} item: {wrong[0][:40]!r}" if wrong else None

    return check


def _some_line(item: re.Pattern[str], kind: str) -> Callable[[str], str | None]:
    def check(text: str) -> str | None:
        return None if any(map(item.match, text.split("\n"))) else f"no {kind} list"

    return check


FORMATS: Mapping[str, Callable[[str], str | None]] = {
    "json": _json,
    "xml": _xml,
    "html": _html,
    "csv": _csv,
    "bullets": _every_line(BULLET, "bulleted"),
    "numbered": _every_line(NUMBERED, "numbered"),
    "has_bullets": _some_line(BULLET, "bulleted"),
    "has_numbered": _some_line(NUMBERED, "numbered"),
}
