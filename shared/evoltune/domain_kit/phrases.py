"""Texts that a verifier's own source names: answers made of them must not pass.

    phrases_of(sources)      # ["enough", "the answer is 0", ...]

An author who writes `"therefore" in candidate` or `re.search("answer|result", candidate)` has put into the source what makes
any answer pass. Each string literal of the package is tried, and for a regular expression a text that it matches.
"""

import ast
import re
import warnings
from collections.abc import Iterator
from typing import Any

from evoltune.domain_kit.findings import Sources

MOST = 240
"""Phrases that are tried."""
STOCK = (
    "The answer is correct.", "Therefore, the final answer is as shown above.", "I am sorry, but I cannot help with that.", "yes", "no", "true",
    "pass", "PASSED", "correct", "N/A", "null", '{"answer": true}', "\\boxed{}", "1", "0", "answer", "answer:", "OK", "[]", "()", "*", ".*", "%",
)  # fmt: skip
"""What models write where they have no answer, and what tricks a comparison."""


def phrases_of(sources: Sources) -> list[str]:
    """The literals of a package's code, shortest first, as texts that an answer could hold."""
    found: dict[str, None] = {}
    for file in sources.files():
        if file.suffix != ".py" or "tests" in file.parts:
            continue
        try:
            tree = ast.parse(file.read_text(encoding="utf-8", errors="replace"))
        except (SyntaxError, ValueError):
            continue
        found |= dict.fromkeys(text for literal in _literals(tree) for text in _as_texts(literal))
    return sorted(found, key=lambda text: (len(text), text))[:MOST]


def _literals(tree: ast.AST) -> Iterator[str]:
    """All strings but docstrings, keys of mappings that are read, and names."""
    docstrings = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant | ast.BinOp | ast.Call | ast.Subscript) and id(node) not in docstrings:
            text = _folded(node)
            if isinstance(text, str):
                yield text


def _folded(node: ast.AST) -> Any:
    """The value of an expression of literals: joined, added, turned round, or of characters' numbers; else None."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Tuple | ast.List):
        parts = [_folded(item) for item in node.elts]
        return parts if None not in parts else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _folded(node.left), _folded(node.right)
        return left + right if isinstance(left, str) and isinstance(right, str) else None
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice) and ast.unparse(node.slice) == "::-1":
        text = _folded(node.value)
        return text[::-1] if isinstance(text, str) else None
    if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
        return _called(node.func, _folded(node.args[0]))
    return None


def _called(function: ast.expr, given: Any) -> str | None:
    """What `"".join` and `chr` make of literals."""
    if isinstance(function, ast.Name) and function.id == "chr" and isinstance(given, int) and 0 <= given < 0x110000:
        return chr(given)
    if isinstance(function, ast.Attribute) and function.attr == "join" and isinstance(given, list):
        between = _folded(function.value)
        return between.join(given) if isinstance(between, str) and all(isinstance(g, str) for g in given) else None
    return None


def _as_texts(literal: str) -> Iterator[str]:
    if 2 <= len(literal.strip()) <= 120 and "{instruction}" not in literal:
        yield literal.strip()
        if re.search(r"[\\\[(|+*?^$.]", literal) and (text := sample_of(literal)) and text.strip():
            yield text.strip()


def sample_of(pattern: str) -> str:
    """A text that a regular expression matches, or "" where none is found at once."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = re._parser.parse(pattern)  # type: ignore[attr-defined]
            text = "".join([_one(node) for node in parsed])
            return text if re.search(pattern, text) else ""
    except (re.error, OverflowError, RecursionError, ValueError, TypeError):
        return ""


def _one(node: tuple[Any, Any]) -> str:
    kind, value = str(node[0]), node[1]
    if kind == "LITERAL":
        return chr(value)
    if kind in ("ANY", "NOT_LITERAL"):
        return "q" if value != ord("q") else "z"
    if kind == "IN":
        return _member(value)
    if kind == "BRANCH":
        return "".join(map(_one, value[1][0]))
    if kind == "SUBPATTERN":
        return "".join(map(_one, value[-1]))
    if kind in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        return "".join(map(_one, value[2])) * int(max(value[0], min(1, value[1])))
    if kind == "ATOMIC_GROUP":
        return "".join(map(_one, value))
    return ""


def _member(items: list[tuple[Any, Any]]) -> str:
    kind, value = str(items[0][0]), items[0][1]
    if kind == "NEGATE":
        return next((c for c in "qz7 -" if not any(_holds(item, c) for item in items[1:])), "")
    if kind == "LITERAL":
        return chr(value)
    if kind == "RANGE":
        return chr(value[0])
    return {"CATEGORY_DIGIT": "7", "CATEGORY_WORD": "q", "CATEGORY_SPACE": " "}.get(str(value), "-")


def _holds(item: tuple[Any, Any], character: str) -> bool:
    kind, value = str(item[0]), item[1]
    if kind == "LITERAL":
        return bool(value == ord(character))
    if kind == "RANGE":
        return bool(value[0] <= ord(character) <= value[1])
    classes = {
        "CATEGORY_DIGIT": character.isdigit(),
        "CATEGORY_WORD": character.isalnum(),
        "CATEGORY_SPACE": character.isspace(),
    }
    return classes.get(str(value), False)
