"""Plain text out of the HTML of Stack Exchange and the Markdown of Reddit.

plain_text("<p>Use <code>ls</code>.</p><img src=x>")   ->  "Use `ls`."
"""

import re
from html import unescape
from html.parser import HTMLParser

BLOCKS = "p div br h1 h2 h3 h4 h5 h6 blockquote ul ol table tr hr".split()
OPENING = {**dict.fromkeys(BLOCKS, "\n\n"), "br": "\n", "ul": "\n", "ol": "\n", "pre": "\n\n```\n", "code": "`"}
CLOSING = {**dict.fromkeys(BLOCKS, "\n\n"), "pre": "\n```\n\n", "code": "`"}


class _PlainText(HTMLParser):
    """Collects the text: code and lists keep their form, links keep their words; images, scripts and styles are dropped."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.lists: list[int] = []
        """Of each open list its last number; -1 where it has none."""
        self.preformatted = 0
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "li":
            self._item()
        elif tag != "code" or not self.preformatted:
            self.preformatted += tag == "pre"
            self.hidden += tag in ("script", "style")
            if tag in ("ul", "ol"):
                self.lists.append(0 if tag == "ol" else -1)
            self.parts.append(OPENING.get(tag, ""))

    def _item(self) -> None:
        numbered = bool(self.lists) and self.lists[-1] >= 0
        if numbered:
            self.lists[-1] += 1
        indent = "  " * max(0, len(self.lists) - 1)
        self.parts.append(f"\n{indent}{self.lists[-1]}. " if numbered else f"\n{indent}- ")

    def handle_endtag(self, tag: str) -> None:
        if (tag == "pre" and not self.preformatted) or (tag == "code" and self.preformatted):
            return
        self.preformatted -= tag == "pre"
        self.hidden -= tag in ("script", "style") and self.hidden > 0
        if tag in ("ul", "ol") and self.lists:
            self.lists.pop()
            self.parts.append("\n")
        else:
            self.parts.append(CLOSING.get(tag, ""))

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.parts.append(data if self.preformatted else re.sub(r"\s+", " ", data))


def plain_text(html: str) -> str:
    """The text of an HTML fragment: code fenced, lists as lines, links and images stripped."""
    parser = _PlainText()
    parser.feed(html)
    parser.close()
    text = "".join(parser.parts)
    text = re.sub(r"https?://\S+", "", text)
    text = re.sub(r"[ \t]+\n", "\n", text)
    text = re.sub(r"\n{3,}", "\n\n", text)
    return re.sub(r"```\n\n+", "```\n", text).strip()


def plain_markdown(markdown: str) -> str:
    """Reddit's Markdown without links, images, quoted comments and edit notes; lists and code are kept."""
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", markdown)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"https?://\S+", "", text)
    lines = [line for line in text.split("\n") if not re.match(r"\s*(&gt;|>|edit\b.{0,20}:)", line, re.I)]
    text = unescape("\n".join(lines)).replace("\xa0", " ")
    return re.sub(r"\n{3,}", "\n\n", text).strip()
