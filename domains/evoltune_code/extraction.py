"""From a model's response to the candidate: the code in it, or None when there is none.

Reads fenced blocks, bare code, code with prose around it, raw completions of a prompt, and what other containers hold
(containers.py). The final answer counts, not the longest block: the last block that defines what is tested (the entry point, else
the names that the tests use), joined with what it needs of the others; where nothing is called, the last program that reads its
input, else the last that compiles.

    extract(Task(instruction="...", fields={"entry_point": "f"}), "Sure:\\n```python\\ndef f(): return 1\\n```")

Invariant: a response that already is the program, or that continues the prompt, comes back unchanged.
"""

import ast
import re
import textwrap
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from evoltune.record import Task
from evoltune.sandbox import languages
from evoltune.text.responses import final_text, json_object
from evoltune_code import foreign_extraction
from evoltune_code.assembly import assemble, text_field
from evoltune_code.containers import contained
from evoltune_code.fences import Block, blocks, opened_by_prompt, outside
from evoltune_code.joining import joined
from evoltune_code.known_forms import top_level_name
from evoltune_code.syntax import (
    bound_names,
    calls_by_name,
    is_code,
    is_docstring,
    local_names,
    parse,
    statements,
    syntax_error,
    top_level_names,
)

_ASSIGNMENT_OR_CALL = re.compile(r"""\s*(?:[A-Za-z_][\w.\[\]]*(?:\s*[-+*/|&^%]?=(?!=)|\()|\"{3}|'{3}|@\w)""")
_TWO_WORDS = re.compile(r"\b[^\W\d_]{2,} [^\W\d_]{2,}\b")
_STRING_OR_COMMENT = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|#[^\n]*")
_KEYWORDS = frozenset(
    "and as assert async await case class def del elif else except for from global if import in is lambda match nonlocal not or "
    "pass raise return try type while with yield".split()
)
_CODE_START = re.compile(
    r"(def|class|import|from|async def|for|while|if|try|with|print\(|@|#!)\b|@|\w+(\[.*\])? *[+*-]?= *\S|[\w.]+\(.*\)\s*$"
)
_READS_INPUT = re.compile(
    r"\binput\s*\(|\bstdin\b|\bopen\s*\(\s*0\s*[,)]|\bfileinput\b|\bos\.read\s*\(\s*0\b|/dev/stdin"
)
_DEFINED = re.compile(r"^(?:(?:async )?def (?=\w+\s*\()|class (?=\w+\s*[:(])|(?=\w+\s*=[^=]))(\w+)", re.M)
_PASSIVE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)
_TRANSCRIPT = (">>> ", "$ ", "In [")
_INDENTED = re.compile(r"(?:^|(?<=\n\n))(?:(?:    |\t)[^\n]*(?:\n|$)|\n(?=    |\t))+")
"""A paragraph of Markdown that is indented: code without a fence."""
_CUT_MARK = re.compile(r"(?:(?<=```)|(?<=\n))[ \t]*<\|\w*\Z")
_CODE_KEYS = frozenset(
    "code solution program answer completion implementation source source_code final_code python response".split()
)
"""Names under which an answer in JSON holds its code."""
_TOOL_MARK = re.compile(r"(?<![\"'`\\])<\|python_tag\|>(?![\"'`\\])")
_CONTAINER = re.compile(
    r"</(?:pre|code)\s*>|^[> \t]*(?:>>>|In \[\d*\]:)|<\|python_tag\||\"cells\"|^@@ -0,0 ", re.M | re.I
)
"""What shows that a candidate is still the source of a container."""
_MAX_STARTS, _MAX_TRIMS, _MAX_PARSED = 60, 24, 4_000_000


_STARTS_FILE = re.compile(r"\b(?:runpy|subprocess|Popen|create_subprocess_\w+)\b")
"""Words of tests that run the program as a script, with what is under its main guard."""


def extract(task: Task, response: str) -> str | None:
    """The candidate of a response in the task's language (`fields.language`, Python by default), or None."""
    text = _unwrapped(normalised(response))
    language = languages.canonical(str(task.fields.get("language") or "python"))
    sought = _sought(task, text)
    if language != "python":
        return foreign_extraction.extract(text, language, sought.entry_point)
    found = _python(text, sought)
    if found is None or "```" not in text:
        found = _in_container(task, text, _behind_tool_mark(task, text, found))
    guarded = found and sought.entry_point and not _STARTS_FILE.search(str(task.tests))
    return without_main(found) if found and guarded else found


@dataclass(frozen=True, kw_only=True)
class _Sought:
    """What the candidate must define: the entry point, else names that the tests use."""

    prompt: str
    entry_point: str
    used: frozenset[str]

    def in_code(self, code: str) -> int:
        """How much of it a code defines; imports define nothing of one's own."""
        if self.entry_point:
            return int(self.entry_point in top_level_names(code))
        own = (node for node in statements(code) if not isinstance(node, ast.Import | ast.ImportFrom))
        return len(self.used & {name for node in own for name in bound_names(node)})

    def in_broken(self, code: str) -> int:
        """The same for code that does not compile. A mere signature, which a comment may follow, is no version of its own."""
        if statements(code) or parse(code.rstrip() + "\n    pass\n"):
            return 0
        return len({*_DEFINED.findall(code)} & ({self.entry_point} if self.entry_point else self.used))

    @property
    def anything(self) -> bool:
        return bool(self.entry_point or self.used)


def _sought(task: Task, code: str) -> _Sought:
    entry_point = top_level_name(text_field(task, "entry_point"), code)
    return _Sought(prompt=text_field(task, "prompt"), entry_point=entry_point, used=_names_of(task.tests))


def normalised(response: str) -> str:
    """The answer in a response: newlines of one kind, no byte-order mark, no thoughts, nothing after an end mark, nor an end mark
    that is cut off itself."""
    return _CUT_MARK.sub("", final_text(response.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")))


def _unwrapped(text: str) -> str:
    """The code of an answer that is a JSON object with one, as structured outputs are; any other text as it is."""
    code = _code_of(json_object(text) or {})
    return text if code is None else code


def _code_of(fields: dict[str, Any]) -> str | None:
    """The one field that holds code; None where there is none, or where several could."""
    codes = [v for k, v in fields.items() if k.lower() in _CODE_KEYS and isinstance(v, str)]
    return codes[0] if len(codes) == 1 else None


def _names_of(tests: object) -> frozenset[str]:
    """Names that tests in source use and do not bind themselves: the program must define some of them."""
    if isinstance(tests, dict):
        tests = tests.get("each")
    sources = [tests] if isinstance(tests, str) else tests if isinstance(tests, list | tuple) else []
    return _free_names("\n".join(s for s in sources if isinstance(s, str)))


@lru_cache(maxsize=512)
def _free_names(source: str) -> frozenset[str]:
    tree = parse(source)
    if tree is None:
        return frozenset()
    names, bound = local_names(tree)
    return frozenset(names - bound - {n for s in ast.walk(tree) if isinstance(s, ast.stmt) for n in bound_names(s)})


def _python(text: str, sought: _Sought) -> str | None:
    prompt, entry_point = sought.prompt, sought.entry_point
    if not text.strip():
        return None
    if _is_program(text, entry_point):
        return text
    completes = is_code(prompt)
    head = opened_by_prompt(text)
    if head is not None:
        if completes and (head[:1] in " \t\n" or _continues(prompt, entry_point, head)):
            return head
        if is_code(head) and _is_program(head, entry_point):
            text = f"```python\n{text}"
    if completes and ((text[:1] in " \t\n" and "```" not in text) or _continues(prompt, entry_point, text)):
        return text  # a raw completion: right or wrong, it is what the model wrote
    fenced = [block.code for block in _finished(_python_blocks(text, sought), sought)]
    *_, behind = between = outside(text)
    if fenced and sought.anything and (last := _bare(behind, fenced, sought)):
        return last
    chosen = _chosen(fenced, sought)
    if chosen is not None and (not sought.anything or sought.in_code(chosen) or completes):
        return chosen
    dedented = textwrap.dedent(text)
    if dedented != text and _is_program(dedented, entry_point):
        return dedented
    plain = "\n\n".join(between)
    bare = _bare(plain, fenced, sought) or _bare(_INDENTED.sub(_dedent, plain), fenced, sought)
    return bare or chosen or (_broken_code(text, entry_point) if not completes and not blocks(text) else None)


def _python_blocks(text: str, sought: _Sought) -> list[Block]:
    """Blocks with a tag of Python, or those without a tag where none of these defines what is sought; not transcripts."""
    tags = languages.tags("python")
    found = [b for b in blocks(text) if b.code.strip() and not b.code.lstrip().startswith(_TRANSCRIPT)]
    tagged = [b for b in found if b.tag in tags]
    if not tagged:
        return [b for b in found if not b.tag]
    if not sought.anything or any(sought.in_code(b.code) for b in tagged):
        return tagged
    return [b for b in found if b.tag in tags or (not b.tag and sought.in_code(b.code))]


def _finished(found: Sequence[Block], sought: _Sought) -> Sequence[Block]:
    """The blocks without a last one in which the response was cut off, where another one is an answer."""
    if not found or found[-1].closed or syntax_error(found[-1].code) is None:
        return found
    others = found[:-1]
    answers = any(sought.in_code(b.code) if sought.anything else _is_program(b.code, "") for b in others)
    return others if answers else found


def _is_program(text: str, entry_point: str) -> bool:
    """Whether the whole text is Python that does something; one word of prose is Python too, but does nothing."""
    body = statements(text)
    if any(_is_heading(node, top_level_names(text)) for node in body):
        return False
    if entry_point:
        return entry_point in top_level_names(text)
    return any(not isinstance(n, ast.Expr) or isinstance(n.value, ast.Call) for n in body)


def _continues(prompt: str, entry_point: str, text: str) -> bool:
    """Whether the text, perhaps with a lost indent, completes the prompt: compiles, and gives something back."""
    returns = re.search(r"\b(return|yield|raise)\b", text)
    return bool(returns) and syntax_error(assemble(prompt, entry_point, text)) is None


def _chosen(codes: Sequence[str], sought: _Sought) -> str | None:
    """The last of these that defines what is sought, with what it needs of the others; None when there are none."""
    prompt, entry_point = sought.prompt, sought.entry_point
    if entry_point:
        indented = re.compile(rf"\s*[ \t](async )?def {re.escape(entry_point)}\s*\(")
        codes = [textwrap.dedent(code) if indented.match(code) else code for code in codes]
    if not codes:
        return None
    last = _last_definer(codes, sought)
    if last < 0 and entry_point and is_code(prompt):
        continuing = [code for code in codes if _continues(prompt, entry_point, code)]
        fitting = continuing[::-1] or [c for c in codes if syntax_error(assemble(prompt, entry_point, c)) is None]
        return next(iter(fitting), codes[0])
    if last < 0:
        last = _last_program(codes)
    return joined(codes[last], codes[:last], codes[last + 1 :], sought.used)


def _last_definer(codes: Sequence[str], sought: _Sought) -> int:
    """The number of the last code that defines most of what is sought, also one that does not compile; -1 where none does."""
    score, last = max(
        ((sought.in_code(code) or sought.in_broken(code), i) for i, code in enumerate(codes)), default=(0, -1)
    )
    return last if score else -1


def _last_program(codes: Sequence[str]) -> int:
    """The number of the last code that reads input; if that only defines functions, of the last that calls them."""
    compiling = [i for i, code in enumerate(codes) if syntax_error(code) is None]
    reading = [i for i, code in enumerate(codes) if _READS_INPUT.search(code)]
    last = (reading or compiling or [len(codes) - 1])[-1]
    if not reading or any(
        not isinstance(node, _PASSIVE) and not is_docstring(node) for node in statements(codes[last])
    ):
        return last
    defined = top_level_names(codes[last])
    calling = [i for i in compiling if i != last and any(name in defined for name, _ in calls_by_name(parse(codes[i])))]
    return calling[-1] if calling else last


# ---- code in other containers than fences


def _behind_tool_mark(task: Task, text: str, found: str | None) -> str | None:
    """What a call of Llama's code interpreter runs, where `found` is nothing or a part of it; else `found`."""
    if "<|python_tag|>" not in text or not _TOOL_MARK.search(text):
        return found
    fields = json_object(_TOOL_MARK.split(text)[-1]) or {}
    arguments = fields.get("parameters") or fields.get("arguments")
    code = _code_of(arguments) if isinstance(arguments, dict) else None
    code = _TOOL_MARK.sub("\n", text).lstrip("\n") if code is None else code
    sought = _sought(task, code)
    return _whole(_python(code, sought), sought, found)


def _in_container(task: Task, text: str, found: str | None) -> str | None:
    """The answer that a session, a notebook, HTML or a diff holds, where `found` is nothing, a part of it, or its broken source;
    else `found`."""
    parts = contained(text)
    codes = [part.code for part in parts]
    sought = _sought(task, "\n".join(codes))
    if not sought.anything:  # a session shows what a program does, unless it reads the input itself
        typed = "\n".join(part.code for part in parts if part.typed)
        codes = [part.code for part in parts if not part.typed and _is_program(part.code, "")]
        codes = codes or [typed] * bool(_READS_INPUT.search(typed))
    return _whole(_chosen(codes, sought), sought, found)


def _whole(candidate: str | None, sought: _Sought, found: str | None) -> str | None:
    """The candidate where it is an answer and `found` is not, or only a cut of it; else `found`."""
    if not candidate or not _is_answer(candidate, sought):
        return found
    is_cut = found is None or (found.strip() in candidate and found.strip() != candidate.strip())
    return candidate if is_cut or (found and _CONTAINER.search(found) and not _is_answer(found, sought)) else found


def _is_answer(code: str, sought: _Sought) -> bool:
    """Whether the code compiles and defines, without importing it, what is sought, or gives the prompt's function a result."""
    program = assemble(sought.prompt, sought.entry_point, code)
    if syntax_error(program) is not None:
        return False
    own = {n for s in statements(code) if not isinstance(s, ast.Import | ast.ImportFrom) for n in bound_names(s)}
    if sought.entry_point and sought.entry_point not in own:
        stub = (
            [s for s in statements(program) if sought.entry_point in bound_names(s)] if is_code(sought.prompt) else []
        )
        return any(isinstance(n, ast.Return | ast.Yield | ast.YieldFrom | ast.Raise) for s in stub for n in ast.walk(s))
    return bool(own & sought.used) if sought.used and not sought.entry_point else _is_program(code, "")


# ---- code without fences


def _bare(text: str, fenced: Sequence[str], sought: _Sought) -> str | None:
    """The program in a text where code and prose follow each other. Broken code is part of it: then the text comes back whole, to
    fail with its line."""
    lines = text.split("\n")
    places = list(_segments(lines))
    codes = ["\n".join(lines[start:end]) for start, end in places]
    found = [i for i, code in enumerate(codes) if (sought.in_code(code) if sought.anything else _is_program(code, ""))]
    if not found:
        return None
    inside = {number for start, end in places for number in range(start, end)}
    for number, line in enumerate(lines):
        if number not in inside and _is_broken_code(line, before=number < places[found[0]][0]):
            return text
        if number not in inside and number > places[found[-1]][0] and _is_broken_version(lines[number:], sought):
            return text
    return _chosen([*fenced, *codes] if sought.anything else [codes[i] for i in found], sought)


def _dedent(found: re.Match[str]) -> str:
    return textwrap.dedent(found[0])


def _segments(lines: list[str]) -> Iterator[tuple[int, int]]:
    """(first, behind the last) line of each run of lines that compiles."""
    starts = parsed = number = 0
    while number < len(lines) and starts < _MAX_STARTS and parsed < _MAX_PARSED:
        if not _CODE_START.match(lines[number]):
            number += 1
            continue
        starts += 1
        count, read = _longest_parse(lines[number:])
        parsed += read
        if count:
            yield number, number + count
        number += max(count, 1)


def _longest_parse(lines: list[str]) -> tuple[int, int]:
    """How many lines compile before the first syntax error that cutting at the error cures, and how many characters were read
    for it. A line that is a mere word, such as `Output`, is prose."""
    read = 0
    for _ in range(_MAX_TRIMS):
        while lines and not lines[-1].strip():
            lines = lines[:-1]
        source = "\n".join(lines) + "\n"
        read += len(source)
        error = syntax_error(source)
        if error is None:
            mere = (node.lineno for node in statements(source) if _is_heading(node, frozenset()))
            return min(next(mere, len(lines) + 1) - 1, len(lines)), read
        lines = lines[: min(max(error[0] - 1, 0), len(lines) - 1)]
    return 0, read


def _is_heading(node: ast.stmt, defined: Set[str]) -> bool:
    """Whether a statement is prose that happens to be Python: `Output`, `Input, output`, `O(n)`."""
    if not isinstance(node, ast.Expr):
        return False
    value = node.value.func if isinstance(node.value, ast.Call) else node.value
    if isinstance(node.value, ast.Call):
        return isinstance(value, ast.Name) and value.id == "O" and "O" not in defined
    return isinstance(value, ast.Tuple) or (isinstance(value, ast.Name) and value.id not in defined)


def _is_broken_code(line: str, before: bool) -> bool:
    """Whether a line that does not compile is code rather than prose; behind the answer only if brackets show it."""
    if not _ASSIGNMENT_OR_CALL.match(line):
        return False
    text = _STRING_OR_COMMENT.sub("", line)
    if any(not _KEYWORDS & {*pair.split()} for pair in _TWO_WORDS.findall(text)):
        return False
    return before or any(text.count(a) != text.count(b) for a, b in ("()", "[]", "{}"))


def _is_broken_version(lines: list[str], sought: _Sought) -> bool:
    """Whether lines begin with a definition of what is sought that does not compile, and not because they break off."""
    named = _DEFINED.match(lines[0])
    if not named or named[1] not in ({sought.entry_point} if sought.entry_point else sought.used):
        return False
    if any(not _KEYWORDS & {*pair.split()} for pair in _TWO_WORDS.findall(_STRING_OR_COMMENT.sub("", lines[0]))):
        return False
    source = "\n".join(lines).rstrip()
    error = syntax_error(source)
    return error is not None and error[0] <= source.count("\n")


def _broken_code(text: str, entry_point: str) -> str | None:
    """Code that does not compile is still an answer (and will fail with its line) when it says what it defines."""
    pattern = rf"^[ \t]*(async )?(def|class) {re.escape(entry_point) or r'[A-Za-z_]'}"
    found = re.search(pattern, text, re.M)
    return text[found.start() :] if found else None


def without_main(code: str) -> str:
    """The code without its top-level `if __name__ == ...:` parts: a function is tested, its demo is not."""
    if "__name__" not in code:
        return code
    tree = parse(code)
    if tree is None:
        return re.split(r"^if __name__ *==", code, maxsplit=1, flags=re.M)[0]
    lines = code.split("\n")
    for node in tree.body:
        if isinstance(node, ast.If) and "__name__" in local_names(node.test)[0]:
            end = node.end_lineno or node.lineno
            lines[node.lineno - 1 : end] = [""] * (end - node.lineno + 1)
    return "\n".join(lines)
