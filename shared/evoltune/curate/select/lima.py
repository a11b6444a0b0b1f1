"""LIMA's curation rules (2305.11206, section 2.1): which answers read like a helpful assistant's, and clean text.

    objection("As mentioned in the other answer, I would ...")  ->  "first person"
    plain_text("<p>Use <code>ls</code>.</p><img src=x>")        ->  "Use `ls`."

For training set `train: {template: lima}` (an end-of-turn token after each turn), 15 epochs, residual dropout 0.3.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

LIMA_SIZE = 1000
SHORTEST, LONGEST = 1200, 4096  # characters, exclusive
_CODE = re.compile(r"```.*?```|`[^`\n]*`|\"[^\"\n]*\"", re.S)
_FIRST_PERSON = re.compile(r"\b(?:I|I['’](?:m|ve|d|ll)|[Mm]y|[Mm]ine|[Mm]yself)\b")
_OTHERS = re.compile(
    r"\b(?:as (?:mentioned|stated|noted|said|pointed out)(?: \w+)? (?:above|below|before|earlier|by|in)|"
    r"as (?:mentioned|others)\b|(?:other|previous|accepted|above|earlier) (?:answers?|posts?|comments?|repl(?:y|ies))|"
    r"@\w+[,:'’]|stack ?(?:exchange|overflow)|edit:|update:|(?:this|your|the) question (?:was|is) (?:closed|a duplicate))",
    re.I,
)
_MARKUP = re.compile(
    r"<(?:a|img|p|div|span|br|table|h[1-6]|blockquote|ul|li)\b|!?\[[^\]\n]+\]\(|https?://\S+", re.I
)


def objection(answer: str, *, shortest: int = SHORTEST, longest: int = LONGEST) -> str:
    """Why the paper's rules refuse the answer, or empty. Code and quotations may say what they like."""
    if len(answer) <= shortest:
        return "too short"
    if len(answer) >= longest:
        return "too long"
    prose = _CODE.sub(" ", answer)
    if _FIRST_PERSON.search(prose):
        return "first person"
    if _OTHERS.search(prose):
        return "refers to other answers"
    return "markup left" if _MARKUP.search(prose) else ""


class _Text(HTMLParser):
    """HTML to text: code and lists keep their form; links keep their words; images and all else vanish."""

    BLOCKS = frozenset(
        ["p", "div", "br", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "table", "tr", "hr"]
    )

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.lists: list[int] = []
        self.preformatted = 0
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "pre":
            self.preformatted += 1
            self.parts.append("\n\n```\n")
        elif tag == "code" and not self.preformatted:
            self.parts.append("`")
        elif tag in ("script", "style"):
            self.hidden += 1
        elif tag in ("ul", "ol"):
            self.lists.append(0 if tag == "ol" else -1)
            self.parts.append("\n")
        elif tag == "li":
            self._item()
        elif tag in self.BLOCKS:
            self.parts.append("\n\n" if tag != "br" else "\n")

    def _item(self) -> None:
        numbered = bool(self.lists) and self.lists[-1] >= 0
        if numbered:
            self.lists[-1] += 1
        indent = "  " * max(0, len(self.lists) - 1)
        self.parts.append(f"\n{indent}{self.lists[-1]}. " if numbered else f"\n{indent}- ")

    def handle_endtag(self, tag: str) -> None:
        if tag == "pre" and self.preformatted:
            self.preformatted -= 1
            self.parts.append("\n```\n\n")
        elif tag == "code" and not self.preformatted:
            self.parts.append("`")
        elif tag in ("script", "style") and self.hidden:
            self.hidden -= 1
        elif tag in ("ul", "ol") and self.lists:
            self.lists.pop()
            self.parts.append("\n")
        elif tag in self.BLOCKS:
            self.parts.append("\n\n")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.parts.append(data if self.preformatted else re.sub(r"\s+", " ", data))


def plain_text(html: str) -> str:
    """The text of an HTML fragment, code fenced, lists as lines, links and images stripped."""
    parser = _Text()
    parser.feed(html)
    parser.close()
    text = "".join(parser.parts)
    text = re.sub(r"https?://\S+", "", text)
    text = re.sub(r"[ \t]+\n", "\n", text)
    text = re.sub(r"\n{3,}", "\n\n", text)
    return re.sub(r"```\n\n+", "```\n", text).strip()


def plain_markdown(markdown: str) -> str:
    """Markdown (Reddit's) without links, images, quotes of others and edit notes; lists and code stay."""
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", markdown)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"https?://\S+", "", text)
    lines = [line for line in text.split("\n") if not re.match(r"\s*(&gt;|>|edit\b.{0,20}:)", line, re.I)]
    text = (
        "\n".join(lines)
        .replace("&amp;", "&")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&nbsp;", " ")
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip()
