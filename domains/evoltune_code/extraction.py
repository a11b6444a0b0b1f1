"""From a model's response to the candidate: the code in it, or None when there is none.

Reads fenced blocks (also unclosed, indented, or in other languages), bare code, code with prose around it, and raw
completions of a prompt. One rule decides between blocks: the last that defines the entry point, with the helpers and
imports of the others that it needs; without an entry point, the longest that compiles.

    extract(Task(instruction="...", fields={"entry_point": "f"}), "Sure:\\n```python\\ndef f(): return 1\\n```")

Invariant: a response that already is the program, or that continues the prompt, comes back unchanged.
"""

import ast
import builtins
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evoltune.record import Task
from evoltune.text.responses import final_text
from evoltune_code.assembly import assemble
from evoltune_code.syntax import bound_names, is_code, local_names, parse, statements, syntax_error, top_level_names

TAGS: dict[str, frozenset[str]] = {
    "python": frozenset({"python", "py", "python3", "py3", "ipython"}),
    "javascript": frozenset({"javascript", "js", "node", "mjs"}),
    "cpp": frozenset({"cpp", "c++", "cc", "cxx"}),
    "c": frozenset({"c", "h"}),
    "bash": frozenset({"bash", "sh", "shell"}),
}
"""Fence tags by language; a language that is not here is its own tag."""
_FENCE = re.compile(r"^([ \t]*)(`{3,}|~{3,})[ \t]*([^`\n]*)$")
_STATEMENT = re.compile(r"""\s*(?:[A-Za-z_][\w.\[\]]*\s*(?:[-+*/|&^%]?=(?!=)|\()|\"{3}|'{3}|@\w)""")
_CODE_START = re.compile(
    r"(def|class|import|from|async def|for|while|if|try|with|print\(|@|#!)\b|@|\w+(\[.*\])? *[+*-]?= *\S"
)
_MAX_STARTS, _MAX_TRIMS = 12, 24


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block: its tag in lower case ("" when untagged) and its text, dedented by the fence's indent."""

    tag: str
    code: str


def extract(task: Task, response: str) -> str | None:
    """The candidate of a response in the task's language (`fields.language`, Python by default), or None."""
    text = normalised(response)
    language = str(task.fields.get("language") or "python").lower()
    if language != "python":
        fenced = blocks(text)
        whole = text if text.strip() else None
        return max(_in_language(fenced, language), key=len, default=None) if fenced else whole
    entry_point, prompt = str(task.fields.get("entry_point") or ""), str(task.fields.get("prompt") or "")
    found = _python(text, prompt, entry_point)
    return without_main(found) if found and entry_point else found


def normalised(response: str) -> str:
    """The answer in a response: newlines of one kind, no byte-order mark, no thoughts, nothing after an end mark."""
    return final_text(response.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff"))


def blocks(text: str) -> list[Block]:
    """Fenced blocks in order. An unclosed last fence reaches to the end; a fence inside a docstring closes nothing."""
    found: list[Block] = []
    lines, start, mark, indent, tag = text.split("\n"), -1, "", 0, ""
    for number, line in enumerate([*lines, None]):
        fence = _FENCE.match(line) if line is not None else None
        if start < 0:
            if fence:
                start, mark, indent = number + 1, fence[2], len(fence[1])
                tag = (fence[3].strip().lower().split() or [""])[0].strip("{}.")
            continue
        closes = fence and fence[2].startswith(mark) and not fence[3].strip() and len(fence[1]) <= indent + 3
        if closes or line is None:
            inside = [re.sub(rf"^[ \t]{{0,{indent}}}", "", inner) for inner in lines[start:number]]
            found.append(Block(tag=tag, code="\n".join(inside)))
            start = -1
    return found


def _in_language(fenced: Sequence[Block], language: str) -> list[str]:
    """The code of the blocks with one of the language's tags; where there are none, of those without a tag."""
    tags = TAGS.get(language, frozenset({language}))
    return [b.code for b in fenced if b.tag in tags] or [b.code for b in fenced if not b.tag]


def _python(text: str, prompt: str, entry_point: str) -> str | None:
    if not text.strip():
        return None
    if _is_program(text, entry_point):
        return text
    completes = is_code(prompt)
    if completes and ((text[:1] in " \t\n" and "```" not in text) or _continues(prompt, entry_point, text)):
        return text  # a raw completion: right or wrong, it is what the model wrote
    if fenced := blocks(text):
        return _chosen(fenced, prompt, entry_point)
    dedented = textwrap.dedent(text)
    if dedented != text and _is_program(dedented, entry_point):
        return dedented
    return _between_prose(text, entry_point) or (_broken_code(text, entry_point) if not completes else None)


def _is_program(text: str, entry_point: str) -> bool:
    """Whether the whole text is Python that does something; one word of prose is Python too, but does nothing."""
    if entry_point:
        return entry_point in top_level_names(text)
    return any(not isinstance(n, ast.Expr) or isinstance(n.value, ast.Call) for n in statements(text))


def _continues(prompt: str, entry_point: str, text: str) -> bool:
    """Whether the text, perhaps with a lost indent, completes the prompt: compiles, and gives something back."""
    returns = re.search(r"\b(return|yield|raise)\b", text)
    return bool(returns) and syntax_error(assemble(prompt, entry_point, text)) is None


def _chosen(fenced: Sequence[Block], prompt: str, entry_point: str) -> str | None:
    name = re.escape(entry_point)
    indented = re.compile(rf"\s*\n*[ \t]+(async )?def {name}\s*\(") if entry_point else None
    own = [
        textwrap.dedent(code) if indented and indented.match(code) else code
        for code in _in_language(fenced, "python")
        if not code.lstrip().startswith((">>> ", "$ "))  # a transcript
    ]
    if not own:
        return None
    if entry_point:
        pattern = re.compile(rf"^(async )?def {name}\s*\(|^{name}\s*=", re.M)
        defining = [code for code in own if entry_point in top_level_names(code)]
        defining = defining or [code for code in own if pattern.search(code)]
        if defining:
            return with_helpers(defining[-1], [code for code in own if code is not defining[-1]])
        if is_code(prompt):
            fitting = (code for code in own if syntax_error(assemble(prompt, entry_point, code)) is None)
            return next(fitting, own[0])
    compiling = [code for code in own if syntax_error(code) is None]
    return max(compiling or own, key=len)


def with_helpers(code: str, others: Sequence[str]) -> str:
    """The code, preceded by the definitions and imports of the other blocks that it uses and does not have."""
    parts = [code]
    for _ in others:  # a helper may need a helper
        missing = _unbound("\n".join(parts))
        needed = [n for other in others for n in _definitions(other) if missing & set(bound_names(n))]
        helper = "\n".join(map(ast.unparse, needed))
        if not needed or helper in parts:
            break
        parts.insert(0, helper)
    return "\n".join(parts)


def _definitions(code: str) -> Iterator[ast.stmt]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign)
    yield from (node for node in statements(code) if isinstance(node, kinds))


def _unbound(code: str) -> set[str]:
    """Names that are read somewhere and bound nowhere in the code: an over-cautious guess is good enough here."""
    tree = parse(code)
    if tree is None:
        return set()
    names, bound = local_names(tree)
    bound |= {name for node in ast.walk(tree) if isinstance(node, ast.stmt) for name in bound_names(node)}
    return names - bound - set(dir(builtins))


def _between_prose(text: str, entry_point: str) -> str | None:
    """The first run of lines that compiles and defines the entry point (any function, class or import without one)."""
    lines = text.split("\n")
    starts = [i for i, line in enumerate(lines) if _CODE_START.match(line)]
    for start in starts[:_MAX_STARTS]:
        window = _longest_parse(lines[start:])
        if entry_point in top_level_names(window) if entry_point else any(_definitions(window)):
            # Only prose is dropped: a broken statement before the function is part of the program, which fails by it.
            return text if any(_STATEMENT.match(line) for line in lines[:start]) else window
    return None


def _longest_parse(lines: list[str]) -> str:
    """The lines up to the first syntax error that cutting at the error cures; "" when nothing is left."""
    for _ in range(_MAX_TRIMS):
        while lines and not lines[-1].strip():
            lines = lines[:-1]
        source = "\n".join(lines) + "\n"
        error = syntax_error(source)
        if error is None:
            return source if lines else ""
        lines = lines[: min(max(error[0] - 1, 0), len(lines) - 1)]
    return ""


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
