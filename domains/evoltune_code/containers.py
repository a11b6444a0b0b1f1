"""Code that a response holds in something other than Markdown's fences or plain text: sessions of the interpreter, notebooks,
HTML, and diffs that add a whole file.

    contained(">>> def inc(x):\\n...     return x + 1\\n...\\n>>> inc(1)\\n2")
        # [Part(code="def inc(x):\\n    return x + 1\\n", typed=True), Part(code="inc(1)", typed=True)]

Invariant: what is cut off gives no part: HTML without its end, a hunk with fewer lines than it announces, an unfinished last input.
"""

import html
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from evoltune.sandbox import languages
from evoltune_code.fences import blocks
from evoltune_code.syntax import syntax_error

_MARKS = (">>>", "In [", "</", '"cells"', "@@ -0,0 ")
"""One of these stands in every container."""

_PROMPT = re.compile(r"^([ \t]*(?:> ?)?)(?:>>>|In \[\d*\]:)(?!>) ?(.*)$")
_CONTINUED = re.compile(r"^[ \t]*(?:> ?)?\.{3,}:?(?: (.*))?$")
_SAME_STATEMENT = re.compile(r"[ \t]+\S|\s*$|(?:else|elif|except|finally)\b")
"""What can only continue the statement before it, whatever prompt it has."""

_ELEMENT = re.compile(r"<(pre|code)\b([^<>]*)>", re.I)
_CLOSING = {name: re.compile(rf"</{name}\s*>", re.I) for name in ("pre", "code")}
_CLASS = re.compile(r"\b(?:class|lang)\s*=\s*[\"']?([^\"'>]*)", re.I)
_TAG = re.compile(
    r"</?(a|b|code|div|em|font|i|ins|kbd|mark|p|samp|small|span|strong|tt|u|var)(?:\s+[\w-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*\s*>",
    re.I,
)
"""Tags of highlighting; only such as are closed again, as `a <b> c` is code."""
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[\da-f]{1,6}|[a-z]\w{1,30});", re.I)

_NEW_FILE = re.compile(
    r"^--- [^\n]*\n\+\+\+ (?:b/)?([^\t\n]+)[^\n]*\n@@ -0,0 \+1(?:,(\d+))? @@[^\n]*\n"
    r"((?:\n*\+[^\n]*(?:\n|\Z)|\\ [^\n]*(?:\n|\Z))*)(?=([^\n]*))",
    re.M,
)
_TEST_FILE = re.compile(r"(?:.*/)?(?:test_[^/]*|[^/]*_test|conftest)\.py|(?:.*/)?tests?/.*")
_CELL_MAGIC = re.compile(r"\A\s*%%(\w+)[^\n]*\n?")
_MAGIC_LINE = re.compile(r"^[ \t]*[%!][^\n]*\n?", re.M)
_PYTHON_MAGICS = frozenset({"writefile", "file", "time", "timeit", "capture", "prun"})


@dataclass(frozen=True, kw_only=True)
class Part:
    """Code in a container. `typed`: one of the inputs that a session or notebook runs one after another, in one namespace."""

    code: str
    typed: bool


def in_html(text: str, language: str) -> list[str]:
    """The code of HTML elements that name this language, or none."""
    return [code for _, _, code in _elements(text, language) if code.strip()] if "</" in text else []


def contained(text: str) -> list[Part]:
    """The parts in order: those of a notebook, else those of new files in a diff, else those in HTML and in sessions."""
    if not any(mark in text for mark in _MARKS):
        return []
    if (notebook := _notebook(text)) is not None:
        return [Part(code=code, typed=True) for code in notebook]
    if files := [*_new_files(text.rstrip())]:
        return [Part(code=code, typed=False) for code in files]
    found: list[Part] = []
    end = 0
    for start, stop, code in _elements(text, "python"):
        found += _session(text[end:start], ended=True)
        found += _session(code, ended=True) or ([Part(code=code, typed=False)] if code.strip() else [])
        end = stop
    return found + _session(text[end:].rstrip(), ended=False)


# ---- sessions of the interpreter


def _session(text: str, *, ended: bool) -> list[Part]:
    return [Part(code=code, typed=True) for code in _inputs(text.split("\n"), ended)]


def _inputs(lines: Sequence[str], ended: bool) -> Iterator[str]:
    """What was typed at the prompts of `python` and IPython; also where the second prompt is missing, as IDLE shows none, or the
    first one stands before every line. A last input that is cut off is none."""
    current: list[str] = []
    margin, bare = "", False
    for line in lines:
        prompt, continued = _PROMPT.match(line), _CONTINUED.match(line) if current else None
        if prompt and current and _SAME_STATEMENT.match(prompt[2]):
            current.append(prompt[2])
        elif prompt:
            if current:
                yield "\n".join(current)
            current, margin, bare = [prompt[2]], prompt[1], syntax_error(prompt[2]) is not None
        elif continued:
            current.append(continued[1] or "")
            bare = False
        elif current and bare and (not line.strip() or line.removeprefix(margin)[:1] in " \t"):
            current.append(line.removeprefix(margin))
        elif current:
            yield "\n".join(current)
            current = []
    if current and (ended or syntax_error("\n".join(current)) is None):
        yield "\n".join(current)


# ---- notebooks


def _notebook(text: str) -> list[str] | None:
    """The code of a notebook's cells; None where there is no notebook."""
    if '"cells"' not in text:
        return None
    inside = text[text.find("{") : text.rfind("}") + 1]
    for source in (inside, *(block.code for block in blocks(text))):
        try:
            document = json.loads(source)
        except (ValueError, RecursionError):
            continue
        if isinstance(document, dict) and isinstance(cells := document.get("cells"), list):
            return [*_code_cells(cells)] if _is_python(document) else []
    return None


def _is_python(document: dict[str, Any]) -> bool:
    """Whether a notebook says that it is in Python, or nothing of its language."""
    metadata = document.get("metadata")
    named = [metadata.get(key) for key in ("kernelspec", "language_info")] if isinstance(metadata, dict) else []
    found = [str(n.get("language") or n.get("name")).lower() for n in named if isinstance(n, dict) and n]
    return not found or any(name in languages.tags("python") for name in found)


def _code_cells(cells: Sequence[Any]) -> Iterator[str]:
    for cell in cells:
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        source = cell.get("source")
        code = "".join(map(str, source)) if isinstance(source, list) else str(source or "")
        magic = _CELL_MAGIC.match(code)
        if magic and magic[1] not in _PYTHON_MAGICS:
            continue  # `%%bash`: another language
        code = code[magic.end() :] if magic else code
        yield code if syntax_error(code) is None else _MAGIC_LINE.sub("", code)


# ---- HTML


def _elements(text: str, language: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, code) of each `<pre>`, and of each `<code>` outside them that has several lines."""
    end = 0
    closings: dict[str, re.Match[str] | None] = {}
    for opening in _ELEMENT.finditer(text):
        name = opening[1].lower()
        if opening.start() < end:
            continue
        if name not in closings or ((last := closings[name]) and last.start() < opening.end()):
            closings[name] = _CLOSING[name].search(text, opening.end())
        closing = closings[name]
        if closing is None:
            continue  # cut off
        inside = text[opening.end() : closing.start()]
        if name == "pre" or "\n" in inside.strip():  # else a word of a sentence
            end = closing.end()
            yield opening.start(), end, _shown(inside, opening[2], language)


def _shown(inside: str, attributes: str, language: str) -> str:
    """What a browser shows of an element; "" where it is of another language."""
    inner = _ELEMENT.match(inside.lstrip())
    classes = " ".join(_CLASS.findall(f"{attributes} {inner[2] if inner else ''}"))
    named = {languages.canonical(re.sub(r"^(?:language|lang)-", "", word.lower())) for word in classes.split()}
    if language not in named and named & languages.LANGUAGES.keys():
        return ""
    closed = {tag[1].lower() for tag in _TAG.finditer(inside) if tag[0].startswith("</")} | {"code"}
    code = re.sub(r"<br\s*/?>\n?", "\n", inside, flags=re.I)
    code = _TAG.sub(lambda tag: "" if tag[1].lower() in closed else tag[0], code)
    if "<" not in code:  # else its author wrote the signs as they are
        code = _ENTITY.sub(lambda entity: html.unescape(entity[0]).replace("\xa0", " "), code)
    return code.removeprefix("\n")


# ---- diffs


def _new_files(text: str) -> Iterator[str]:
    """The Python files that a diff adds, without tests. A diff that changes a file has no whole one."""
    for file in _NEW_FILE.finditer(text):
        name, announced, body, next_line = file.groups()
        if not name.strip().endswith(".py") or _TEST_FILE.fullmatch(name.strip()):
            continue
        lines = [line[1:] for line in body.rstrip("\n").split("\n") if not line.startswith("\\ ")]
        is_changed = next_line.startswith((" ", "-")) and not next_line.startswith("--- ")
        is_cut_off = file.end() == len(text) and not next_line and len(lines) < int(announced or 1)
        if not is_changed and not is_cut_off:
            yield "\n".join(lines) + "\n"
