"""What can be known of tests before there is a program: their code with marks for the functions of a run, and what they import.

Done in the verifier process, once for all samples of a task: in a newly forked process reading and compiling tests costs more
than running them. Invariant: the test runner hands the result on unread, and it is the same for equal tests.

    restored(prepared(("assert f(1) == 2",), frozenset()), functions)["parts"][0].code
"""

import ast
import marshal
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from evoltune.sandbox.same_process import rewriting
from evoltune.sandbox.same_process.names import CANDIDATES, TAKES_ENTRY
from evoltune.sandbox.trees import bindings, bound_by, walk

_BY_WORD = {"tmp": "pathlib", "match": "re", "Regex": "re", "testing": "numpy.testing", "strptime": "_strptime"}
"""Modules by which tests judge without importing them: of paths that a fixture gives, of patterns, of libraries that import a part of
themselves late."""
_NEEDS_FILE = re.compile(
    r"\b(?:reload|runpy|getsource\w*|getfile|subprocess|Popen|create_subprocess_\w+|__file__|\w+\.py)\b|:solution\b"
)
"""Words of tests that need the program as a file."""
_CODECS = frozenset({"utf-8", "utf8", "ascii", "us-ascii", "latin-1", "latin1", "iso-8859-1"})
_IMPORTING = ("import_module", "__import__", "importorskip")
_OF_RUNNERS = frozenset(
    "pytest unittest pytestmark __test__ setUpModule tearDownModule setup_module teardown_module setup_function teardown_function load_tests "
    "pytest_generate_tests setattr delattr globals locals vars exec eval __dict__ *".split()
)
"""Words of tests that make a runner do more than call functions, or may."""
_DEFINITION = re.compile(r"^(?:async\s+)?(?:def|class)\s+(\w+)", re.M)


@lru_cache(maxsize=64)
def prepared(sources: tuple[str, ...], keep: frozenset[str]) -> bytes:
    """The parts of the tests, their names and imports; {"error": why} where they do not compile. Packed for `restored`."""
    return marshal.dumps(_known(sources, keep))


def _known(sources: tuple[str, ...], keep: frozenset[str]) -> dict[str, Any]:
    parts, first = list[rewriting.Tests](), 0
    try:
        trees = [ast.parse(source, rewriting.FILE) for source in sources]
        by_tree = [*map(walk, trees)]
        times = [*map(bindings, by_tree)]
        nodes = [node for part in by_tree for node in part]
        known = {
            "sources": sources,
            "defined": [frozenset(_DEFINITION.findall(source)) for source in sources],
            "names": frozenset(node.id for node in nodes if isinstance(node, ast.Name)),
            "read": frozenset().union(*map(_expected_values, trees, by_tree)),
            "mentioned": frozenset().union(*map(_mentioned, by_tree)),
            "used_as_classes": frozenset(name for node in nodes for name in _used_as_class(node)),
            "catches_failures": rewriting.catches_failures(nodes),
            "asynchronous": any(isinstance(node, ast.AsyncFunctionDef) for node in nodes),
            "imports": [name for node in nodes for name in _imported(node)],
            "judges": sorted({m for word, m in _BY_WORD.items() if any(word in source for source in sources)}),
            "codecs": sorted({name for node in nodes for name in _codecs(node)}),
            "needs_file": any(map(_NEEDS_FILE.search, sources)),
            "functions": [*map(_functions, trees, by_tree, times)],
        }
        for tree, part, bound in zip(trees, by_tree, times, strict=True):
            parts.append(rewriting.marked(tree, part, bound, keep, first))
            first = max([first, *parts[-1].lines])
        return {**known, "parts": [(part.code, part.straight, part.lines, part.once) for part in parts]}
    except (SyntaxError, ValueError, RecursionError, MemoryError, TypeError) as error:
        return {"error": f"the tests do not compile: {type(error).__name__}: {error}"[:300]}


def _codecs(node: ast.AST) -> list[str]:
    """Names of encodings that a call states, but for those that the interpreter has within."""
    if not isinstance(node, ast.Call):
        return []
    stated = [k.value for k in node.keywords if k.arg == "encoding"]
    stated += node.args[:1] if getattr(node.func, "attr", "") in ("encode", "decode") else []
    names = [s.value for s in stated if isinstance(s, ast.Constant) and isinstance(s.value, str)]
    return [name for name in names if name.isascii() and name.replace("_", "-").lower() not in _CODECS]


def _mentioned(nodes: list[ast.AST]) -> set[str]:
    """Names by which tests may mean the program's: read and not bound by the tests, imported, or attributes of a module."""
    modules = {a.asname or a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    imported = {a.name for n in nodes if isinstance(n, ast.ImportFrom) for a in n.names}
    bound = {name for n in nodes if not isinstance(n, ast.ImportFrom) for name in bound_by(n)}
    read = {n.id for n in nodes if isinstance(n, ast.Name)}
    attributes = {
        n.attr
        for n in nodes
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id in modules
    }
    return (read - bound) | imported | attributes


def _expected_values(tree: ast.Module, nodes: list[ast.AST]) -> set[str]:
    """Names that tests read, but for those that their first lines read before they bind them: these are the program's state."""
    read = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    bound: set[str] = set()
    state: set[str] = set()
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = [n for n in walk(node) if isinstance(n, ast.Name)]
            state |= {n.id for n in names if isinstance(n.ctx, ast.Load)} - bound
            bound |= {n.id for n in names if not isinstance(n.ctx, ast.Load)}
    return read - state


def _functions(tree: ast.Module, nodes: list[ast.AST], times: Counter[str]) -> list[tuple[str, bool]] | None:
    """The functions that a runner would call, in order, and whether it gives them the function under test, where they are plain
    functions without fixtures, parameters and marks; None where collecting decides."""
    words = {str(getattr(n, "id", getattr(n, "attr", getattr(n, "name", "")))) for n in nodes}
    words |= {getattr(n, "module", "") or "" for n in nodes}
    changes = any(isinstance(n, ast.Attribute) and not isinstance(n.ctx, ast.Load) for n in nodes)
    if changes or not _OF_RUNNERS.isdisjoint(part for word in words for part in word.split(".")):
        return None
    found: list[tuple[str, bool]] = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and (node.bases or node.keywords or node.decorator_list):
            return None
        if not isinstance(node, ast.FunctionDef) or not _may_be_test(node.name) or node.name.startswith("Test"):
            continue
        asked = node.args.args[: len(node.args.args) - len(node.args.defaults)]
        takes = len(asked) == 1 and (node.name in TAKES_ENTRY or asked[0].arg in CANDIDATES)
        others = [
            node.args.vararg,
            node.args.kwarg,
            *node.args.posonlyargs,
            *node.args.kwonlyargs,
            *node.decorator_list,
        ]
        gives = any(
            isinstance(n, ast.Yield | ast.YieldFrom) or (isinstance(n, ast.Return) and n.value) for n in walk(node)
        )
        if any(others) or gives or (asked and not takes):
            return None
        found.append((node.name, takes))
    names = {name for name, _ in found}
    return None if any(times[name] != (name in names) for name in times if _may_be_test(name)) else found


def _may_be_test(name: str) -> bool:
    return name.startswith(("test", "Test")) or name in TAKES_ENTRY


def _used_as_class(node: ast.AST) -> list[str]:
    """Names that a node uses as classes: inherits from, asks an instance or a member of, catches."""
    if isinstance(node, ast.ClassDef):
        parts: Sequence[ast.expr | None] = [*node.bases]
    elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("isinstance", "issubclass"):
        parts = node.args[1:]
    elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in (
        "assertIsInstance",
        "assertRaises",
        "raises",
    ):
        parts = [*node.args]
    elif isinstance(node, ast.ExceptHandler):
        parts = [node.type]
    elif isinstance(node, ast.MatchClass):
        parts = [node.cls]
    elif isinstance(node, ast.Compare) and any(isinstance(op, ast.Is | ast.Eq) for op in node.ops):
        sides = [node.left, *node.comparators]
        parts = [*sides] if any(isinstance(s, ast.Call) and getattr(s.func, "id", "") == "type" for s in sides) else []
    else:
        parts = [node.value] if isinstance(node, ast.Attribute) else []
    names = [p for part in parts if part for p in (part.elts if isinstance(part, ast.Tuple) else [part])]
    return [
        str(getattr(name, "id", getattr(name, "attr", "")))
        for name in names
        if isinstance(name, ast.Name | ast.Attribute)
    ]


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Constant) and node.value == "unittest.mock":  # as `sys.modules["unittest.mock"]` names it
        return [node.value]
    if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in _IMPORTING:
        texts = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        name = "".join(reversed(texts[:2])) if texts and texts[0].startswith(".") else "".join(texts[:1])
        return [name] if name.strip(".") else []
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom) or not node.module or node.level:
        return []
    mock = node.module == "unittest" and any(alias.name == "mock" for alias in node.names)
    return [node.module, "unittest.mock"] if mock else [node.module]


def restored(packed: bytes, functions: Mapping[str, Any]) -> dict[str, Any]:
    """What `prepared` has packed, with the functions of a run in place of the marks. What `marshal` reads here was written by the
    verifier process."""
    known: dict[str, Any] = marshal.loads(packed)
    for number, (code, *rest) in enumerate(known.get("parts", ())):
        known["parts"][number] = rewriting.Tests(rewriting.with_constants(code, functions), *rest)
    return known
