"""Reading Python source without running it: its first syntax error, its tree, the names that it would define.

Invariant: no source raises here, however long, deep or malformed.

    syntax_error("def f(:")    # (1, "invalid syntax")
"""

import ast
import builtins
import sys
import warnings
from collections.abc import Iterator
from functools import lru_cache

from evoltune.sandbox import trees

MAX_CHARS = 1_000_000
"""Longer programs are refused: the compiler needs about 1 s of CPU for this many characters."""


def syntax_error(source: str) -> tuple[int, str] | None:
    """(line, message) of the first syntax error, or None when the source compiles."""
    if len(source) > MAX_CHARS:
        return 0, f"the program has {len(source):,} characters, more than {MAX_CHARS:,}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, "<candidate>", "exec", dont_inherit=True)
    except SyntaxError as error:  # also IndentationError and TabError
        return error.lineno or 0, error.msg or "invalid syntax"
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:  # NUL bytes, surrogates, nesting
        return 0, f"{type(error).__name__}: {error}"
    return None


def parse(source: str) -> ast.Module | None:
    """The syntax tree, or None when the source has none or is too long."""
    return None if len(source) > MAX_CHARS else trees.parse(source)


def statements(source: str) -> list[ast.stmt]:
    """The top-level statements; [] when the source does not parse."""
    tree = parse(source)
    return tree.body if tree else []


def bound_names(node: ast.stmt) -> Iterator[str]:
    """The names that a definition, an import or an assignment binds."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name))


def top_level_names(source: str) -> set[str]:
    """Names that running the source would bind at its top level."""
    return {name for node in statements(source) for name in bound_names(node)}


def local_names(tree: ast.AST) -> tuple[set[str], set[str]]:
    """(names that are read or written anywhere in the tree, names that it assigns or takes as arguments)."""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    bound = {n.id for n in names if not isinstance(n.ctx, ast.Load)}
    bound |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    return {n.id for n in names}, bound


def kept_back(program: str, tests: str) -> list[str]:
    """Names of the program that tests read but do not have: `from solution import *` gives what `__all__` lists, or else what
    has no underscore before it."""
    if "import *" not in tests or (tree := parse(tests)) is None:
        return []
    imports = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.names[0].name == "*"]
    if not imports or any((n.module or "").partition(".")[0] in sys.stdlib_module_names for n in imports):
        return []
    read, bound = local_names(tree)
    defined = {name for n in ast.walk(tree) if isinstance(n, ast.stmt) for name in bound_names(n)}
    hidden = (top_level_names(program) & read) - bound - defined - {*dir(builtins)}
    if not hidden:
        return []
    listed = [n.value for n in statements(program) if isinstance(n, ast.Assign) and [*bound_names(n)] == ["__all__"]]
    if not listed:
        return sorted(name for name in hidden if name.startswith("_"))
    try:
        return sorted(hidden - {*ast.literal_eval(listed[-1])}) if len(listed) == 1 else []
    except (ValueError, TypeError):  # it is computed
        return []


def calls_by_name(tree: ast.AST | None) -> Iterator[tuple[str, ast.Call]]:
    """The calls of plain names (not of attributes), each with the name."""
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id, node


def is_docstring(node: ast.AST) -> bool:
    """Whether a statement is a constant and nothing else."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


@lru_cache(maxsize=512)
def is_code(prompt: str) -> bool:
    """Whether a prompt is the beginning of a program (and not a question in words)."""
    if not prompt.strip():
        return False
    return syntax_error(prompt) is None or syntax_error(prompt.rstrip() + "\n    pass\n") is None


def called(asserts: list[str], code: str) -> str:
    """The function under test: defined by the code, called by all asserts; of several, the one defined last."""
    defined = [n.name for n in ast.parse(code).body if isinstance(n, ast.FunctionDef)]
    names = [{n.id for n in ast.walk(ast.parse(a)) if isinstance(n, ast.Name)} for a in asserts]
    shared = [name for name in defined if all(name in found for found in names)]
    return (shared or defined)[-1]
