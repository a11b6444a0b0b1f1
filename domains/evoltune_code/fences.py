"""Fenced blocks of code in a response, as models write them: also unclosed, indented, opened at the end of a line of prose, or on
a single line; with file names, attributes and versions beside the tag.

    blocks("Save as inc.py: ```python:inc.py\\nx = 1\\n```")    # [Block(tag="python", code="x = 1")]

Invariant: what stands in one well-formed fence comes back unchanged but for the fence's own indent.
"""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from evoltune.sandbox import languages
from evoltune.sandbox.languages import LANGUAGES

_FENCE = re.compile(r"^([ \t]*)(`{3,}|~{3,})[ \t]*([^`\n]*)$")
_AFTER_PROSE = re.compile(r"^[ \t]*[^\s`~][^`]*?(`{3,})[ \t]*([\w+#.:-]*)[ \t]*$")
_QUOTE, _QUOTED_FENCE = re.compile(r"^> ?", re.M), re.compile(r"^> ?(?:```|~~~)", re.M)
_ONE_LINE = re.compile(
    r"^[ \t]*```[ \t]*(?:(python|py|python3|javascript|js|bash|sh|cpp|c\+\+)[ \t]+)?([^`\s][^`]*?)[ \t]*```[ \t]*$",
    re.I,
)
_FILE_NAME = re.compile(r"[\w./-]*\.([a-z+]+)")
_NO_LANGUAGE = frozenset({"text", "txt", "plaintext", "plain", "code", "tool_code", "none", "raw"})
"""Tags that say no more of a block than none."""
_MARKDOWN, _LAYERS = ("markdown", "md"), 3
_TAG = re.compile(r"[a-z+#_-]+")
_STRINGS = re.compile(r"#[^\n]*|'''|\"\"\"|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\"")


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block: its tag in lower case ("" when untagged), its text, dedented by the fence's indent, and whether the
    response came to its end."""

    tag: str
    code: str
    closed: bool = field(default=True, compare=False)


@dataclass(frozen=True, kw_only=True)
class _Opening:
    line: int
    mark: str
    indent: int
    tag: str
    after_prose: bool = False


def blocks(text: str, layer: int = 0) -> list[Block]:
    """Fenced blocks in order. An unclosed last fence reaches to the end; a fence inside a docstring closes nothing; a block of
    Markdown stands for the blocks in it."""
    found = _blocks(text)
    if layer == _LAYERS:
        return found
    return [
        inner for block in found for inner in ((block.tag in _MARKDOWN and blocks(block.code, layer + 1)) or [block])
    ]


def _blocks(text: str) -> list[Block]:
    found: list[Block] = []
    lines, opened, kept_open = (
        _QUOTE.sub("", text).split("\n") if _QUOTED_FENCE.search(text) else text.split("\n"),
        None,
        0,
    )
    for number, line in enumerate(lines):
        if opened is None:
            if one := _ONE_LINE.match(line):
                found.append(Block(tag=(one[1] or "").lower(), code=one[2]))
            opened = None if one else _opening(line, number)
            kept_open = 0
            continue
        code = _closed_by(line, opened, lines[opened.line + 1 : number])
        if code is None:
            continue
        if _ends_in_docstring(code) and any(_is_bare(later, opened) for later in lines[number + 1 :]):
            kept_open = kept_open or number
            continue
        found.append(_block(opened, code))
        opened = None
    if opened is not None:  # cut off; or every later fence stood in a string that never ends
        rest = _block(opened, "\n".join(lines[opened.line + 1 : kept_open or None]))
        found.append(replace(rest, closed=bool(kept_open)))
    return found


def opened_by_prompt(text: str) -> str | None:
    """What stands before the first fence of a response that only closes it, because the prompt held its opening; else None."""
    lines = text.split("\n")
    fences = [(i, found) for i, line in enumerate(lines) if (found := _FENCE.match(line))]
    if len(fences) % 2 == 0 or fences[0][1][3].strip():
        return None
    head = "\n".join(lines[: fences[0][0]])
    return head if head.strip() else None


def outside(text: str) -> list[str]:
    """The texts before, between and behind the fenced blocks."""
    parts: list[list[str]] = [[]]
    opened = None
    for number, line in enumerate(text.split("\n")):
        if opened is None:
            opened = _opening(line, number)
            if opened:
                parts.append([])
            else:
                parts[-1].append(line)
        elif _closed_by(line, opened, []) is not None:
            opened = None
    return ["\n".join(lines) for lines in parts]


def _opening(line: str, number: int) -> _Opening | None:
    if fence := _FENCE.match(line):
        return _Opening(line=number, mark=fence[2], indent=len(fence[1]), tag=_tag_of(fence[3]))
    prose = _AFTER_PROSE.match(line)
    if prose and (prose[2] or line[: prose.start(1)].rstrip().endswith(":")):
        return _Opening(line=number, mark=prose[1], indent=0, tag=_tag_of(prose[2]), after_prose=True)
    return None


def _closed_by(line: str, opened: _Opening, inside: Sequence[str]) -> str | None:
    """The code of the block if this line closes it, also at the end of a line of code; else None."""
    if _is_bare(line, opened) or _closes_before_prose(line, opened):
        return "\n".join(inside)
    code, mark, _ = line.rstrip().rpartition(opened.mark)
    if mark and code.strip() and "`" not in code and line.rstrip().endswith(mark):
        return "\n".join([*inside, code])
    return None


def _is_bare(line: str, opened: _Opening) -> bool:
    fence = _FENCE.match(line)
    return bool(
        fence and fence[2].startswith(opened.mark) and not fence[3].strip() and len(fence[1]) <= opened.indent + 3
    )


def _closes_before_prose(line: str, opened: _Opening) -> bool:
    """Whether a sentence follows the closing fence on its line: "``` This adds two numbers."."""
    fence = _FENCE.match(line)
    if not fence or not fence[2].startswith(opened.mark) or not line[fence.end(2) :].startswith(" "):
        return False
    words = fence[3].split()
    return len(words) > 1 and not set("={}:") & set(fence[3]) and languages.canonical(words[0]) not in LANGUAGES


def _block(opened: _Opening, code: str) -> Block:
    if opened.after_prose:
        return Block(tag=opened.tag, code=textwrap.dedent(code))
    return Block(
        tag=opened.tag, code=re.sub(rf"^[ \t]{{0,{opened.indent}}}", "", code, flags=re.M) if opened.indent else code
    )


def _tag_of(info: str) -> str:
    """The language of an info string: `Python 3`, `python:inc.py`, `{.python}`, `inc.py`, `python title="x"`, `c++17`."""
    word = (info.strip().lower().lstrip("{").split() or [""])[0].strip("{}.")
    if name := _FILE_NAME.fullmatch(word):
        return name[1]
    tag = _TAG.match(word)
    if tag is None or re.match(r"=.", word[tag.end() :]):  # an attribute and no language
        return ""
    found = tag[0].rstrip("-")
    return "" if found in _NO_LANGUAGE else found


def _ends_in_docstring(code: str) -> bool:
    """Whether the code stops inside a string in triple quotes."""
    if '"""' not in code and "'''" not in code:
        return False
    position = 0
    while found := _STRINGS.search(code, position):
        position = found.end()
        if found[0] in ("'''", '"""'):
            end = code.find(found[0], position)
            if end < 0:
                return True
            position = end + 3
    return False
