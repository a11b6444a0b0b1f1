"""A task's tests, one case at a time: for rewards that give credit for each case that passes.

    cases(Task(instruction="", tests="assert f(1) == 1\\nassert f(2) == 4"))     # one source for each assert

Invariant: every case has everything of the tests but the other cases, so that it means alone what it means among them, unless
a case depends on what an earlier one did.
"""

import ast
import copy
import json
from collections.abc import Sequence
from typing import Any

from evoltune.record import Json, Task
from evoltune_code.syntax import parse

LISTS = ("cases", "stdio")
PARALLEL = (("inputs", "outputs"), ("input", "output"))


def cases(task: Task) -> Sequence[Json]:
    """The tests in parts, each in a form of `Task.tests`; one part where they cannot be split."""
    tests: Any = task.tests
    if isinstance(tests, str) and tests.lstrip()[:1] in ("{", "["):
        try:
            tests = json.loads(tests)
        except ValueError:
            return [task.tests]
    if isinstance(tests, list):
        return [
            [part] if isinstance(part, dict) else part for part in tests
        ]  # an object means something only in a list
    if isinstance(tests, dict):
        return _of_object(tests)
    return _of_source(tests) if isinstance(tests, str) else [tests]


def _of_object(tests: dict[str, Any]) -> Sequence[Json]:
    for name in LISTS:
        if isinstance(tests.get(name), list):
            return [{**tests, name: [case]} for case in tests[name]]
    for given, wanted in PARALLEL:
        inputs, outputs = tests.get(given), tests.get(wanted)
        if isinstance(inputs, list) and isinstance(outputs, list) and len(inputs) == len(outputs):
            return [{**tests, given: [i], wanted: [o]} for i, o in zip(inputs, outputs, strict=True)]
    return [tests]


def _of_source(source: str) -> Sequence[Json]:
    """A source for each test function, else for each statement with an assert, at the top or in the one function with some."""
    tree = parse(source)
    if tree is None:
        return [source]
    for path in _bodies(tree):
        body = _body(tree, path)
        chosen = [i for i, node in enumerate(body) if _is_case(node, functions=path != _of_one_function(tree))]
        if len(chosen) > 1:
            return [_without(tree, path, [i for i in chosen if i != kept]) for kept in chosen]
    return [source]


def _bodies(tree: ast.Module) -> list[tuple[int, ...]]:
    """Where the cases may stand, as positions of statements from the top: the module, its classes, its only function."""
    classes = [(i,) for i, node in enumerate(tree.body) if isinstance(node, ast.ClassDef)]
    return [(), *classes, _of_one_function(tree)]


def _of_one_function(tree: ast.Module) -> tuple[int, ...]:
    found = [i for i, node in enumerate(tree.body) if isinstance(node, ast.FunctionDef) and _asserts(node)]
    return (found[0],) if len(found) == 1 else (-1,)


def _body(tree: ast.Module, path: tuple[int, ...]) -> list[ast.stmt]:
    body = tree.body
    for i in path:
        body = getattr(body[i], "body", []) if i >= 0 else []
    return body


def _is_case(node: ast.stmt, *, functions: bool) -> bool:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return functions and node.name.startswith("test")
    return not isinstance(node, ast.ClassDef) and _asserts(node)


def _asserts(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Assert) for part in ast.walk(node))


def _without(tree: ast.Module, path: tuple[int, ...], positions: Sequence[int]) -> str:
    tree = copy.deepcopy(tree)
    body = _body(tree, path)
    for i in reversed(positions):
        del body[i]
    return ast.unparse(tree)
