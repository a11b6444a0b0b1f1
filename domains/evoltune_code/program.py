"""From a candidate to the program that runs: joins it with the prompt so that imports and helpers survive.

A candidate may be a function body, a whole function, or a script; the layout is the first that compiles, in an
order in which `prompt + candidate` comes first, because that is what the published harnesses run:

    assemble("import math\\ndef f(x):\\n    '''Double.'''\\n", "f", "    return 2 * x")    # a body
    assemble("import math\\ndef f(x):\\n    '''Double.'''\\n", "f", "def f(x):\\n  return 2 * x")    # a whole function

Invariant: nothing is repaired that a plain join would accept, so verdicts agree with the published ones.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator
from functools import lru_cache

MAX_CHARS = 1_000_000
"""Longer programs are refused: the compiler needs about 1 s of CPU for this many characters."""
_FUTURE = re.compile(r"^from __future__ import [^\n]+\n?", re.M)


def fault(source: str) -> tuple[int, str] | None:
    """(line, message) of the first syntax error, or None when the source compiles. Never runs anything."""
    if len(source) > MAX_CHARS:
        return 0, f"the program has {len(source):,} characters, more than {MAX_CHARS:,}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, "<candidate>", "exec", dont_inherit=True)
    except SyntaxError as error:  # IndentationError and TabError are kinds of it
        return error.lineno or 0, error.msg or "invalid syntax"
    except (
        ValueError,
        RecursionError,
        MemoryError,
        OverflowError,
    ) as error:  # NUL bytes, surrogates, deep nesting
        return 0, f"{type(error).__name__}: {error}"
    return None


def parse(source: str) -> ast.Module | None:
    """The tree, or None when the source has none."""
    if len(source) > MAX_CHARS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def top_level_names(tree: ast.Module) -> set[str]:
    """Names that running the module would bind at its top level (functions, classes, imports, plain assignments)."""
    return {name for node in tree.body for name in bound_names(node)}


def bound_names(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name))


def defines(source: str, name: str) -> bool:
    tree = parse(source)
    return tree is not None and name in top_level_names(tree)


@lru_cache(maxsize=512)
def is_code(prompt: str) -> bool:
    """Whether a prompt is the beginning of a program (and not a question in words)."""
    if not prompt.strip():
        return False
    return fault(prompt) is None or fault(prompt.rstrip() + "\n    pass\n") is None


@lru_cache(maxsize=512)
def preamble(prompt: str, entry_point: str) -> str:
    """The imports and helpers of a prompt, without the stub of the entry point; "" for a prompt in words."""
    tree = parse(prompt) or parse(prompt.rstrip() + "\n    pass\n")
    if tree is None:
        return ""
    kept = [n for n in tree.body if entry_point not in bound_names(n) and not _is_docstring(n)]
    return "".join(ast.unparse(n) + "\n" for n in kept)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def assemble(prompt: str, entry_point: str, candidate: str) -> str:
    """The program of a candidate. Where no layout compiles, the plain join, so that its fault can be named."""
    layouts = list(_layouts(prompt, entry_point, candidate)) if is_code(prompt) else [candidate]
    for program in layouts:
        if fault(program) is None:
            return program
    tabbed = layouts if "\t" in candidate else []
    for expanded in (program.expandtabs(size) for program in tabbed for size in (4, 8)):
        if fault(expanded) is None:
            return expanded
    return layouts[0]


def _layouts(prompt: str, entry_point: str, candidate: str) -> Iterator[str]:
    yield prompt + candidate
    head = preamble(prompt, entry_point)
    futures = "".join(_FUTURE.findall(candidate))
    whole = (
        re.search(rf"^(async )?def {re.escape(entry_point)}\s*\(", candidate, re.M) if entry_point else None
    )
    if whole or futures:  # a stub without a docstring cannot stand alone; __future__ must come first
        yield futures + head + "\n" + _FUTURE.sub("", candidate)
    yield prompt.rstrip(" \t") + ("" if prompt.endswith("\n") else "\n") + textwrap.indent(candidate, "    ")
    if candidate[:1] not in (" ", "\t"):  # a body whose first line lost its indent to a strip()
        yield prompt + "    " + candidate
