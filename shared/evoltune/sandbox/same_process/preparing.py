"""What can be known of tests before there is a program: their code with marks for the functions of a run, and what they import.

Done in the verifier process, once for all samples of a task: in a newly forked process reading and compiling tests costs more
than running them. Invariant: the result is plain JSON, and says the same for equal tests.

    prepared(("assert f(1) == 2",), frozenset())["parts"][0]     # [code, straight, lines, once], see `restored`
"""

import ast
import marshal
from binascii import a2b_base64, b2a_base64
from functools import lru_cache
from typing import Any

from evoltune.sandbox.same_process import rewriting


@lru_cache(maxsize=64)
def prepared(sources: tuple[str, ...], keep: frozenset[str]) -> dict[str, Any]:
    """The parts of the tests, their names and imports; {"error": why} where they do not compile."""
    parts, first = list[rewriting.Tests](), 0
    try:
        trees = [ast.parse(source, rewriting.FILE) for source in sources]
        nodes = [node for tree in trees for node in ast.walk(tree)]
        known = {
            "names": sorted({node.id for node in nodes if isinstance(node, ast.Name)}),
            "catches_failures": any(map(rewriting.catches_failures, trees)),
            "asynchronous": any(isinstance(node, ast.AsyncFunctionDef) for node in nodes),
            "imports": [name for node in nodes for name in _imported(node)],
        }
        for tree in trees:
            parts.append(rewriting.marked(tree, keep, first))
            first = max([first, *parts[-1].lines])
        return {**known, "parts": [*map(_packed, parts)]}
    except (SyntaxError, ValueError, RecursionError, MemoryError, TypeError) as error:
        return {"error": f"the tests do not compile: {type(error).__name__}: {error}"[:300]}


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []


def _packed(tests: rewriting.Tests) -> list[Any]:
    code = b2a_base64(marshal.dumps(tests.code), newline=False).decode("ascii")
    return [code, tests.straight, [*tests.lines.items()], sorted(tests.once)]


def restored(part: list[Any]) -> rewriting.Tests:
    """The tests of one part, with their marks. What `marshal` reads here was written by the verifier process."""
    code, straight, lines, once = part
    return rewriting.Tests(marshal.loads(a2b_base64(code)), straight, dict(lines), frozenset(once))
