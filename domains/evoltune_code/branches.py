"""Which branches of a program each call takes: its conditions are wrapped, and the calls run in the sandbox.

    branches_taken("def f(a):\\n    return 1 if a > 0 else 2", "f", [[1], [0]], context)   # ([{(0, True)}, {(0, False)}], 2)

Conditions are those of if, while, conditional expressions and comprehensions, each with two branches. Invariant: the wrapped program
returns what the original does. Nothing that it reports is trusted further than to choose among tests.
"""

import ast
import json
from collections.abc import Sequence
from typing import Any

from evoltune.domain import Context, Job
from evoltune.sandbox.values import decode, encode
from evoltune_code.syntax import parse
from evoltune_code.verification import policy_number

Branch = tuple[int, bool]
_ENTRY = "_branches_of"
_TAKEN = "_taken_branches"
_HARNESS = f"""
{_TAKEN} = set()


def {_TAKEN}_note(number, value):
    {_TAKEN}.add((number, bool(value)))
    return value


def {_ENTRY}(*args):
    {_TAKEN}.clear()
    try:
        ENTRY(*args)
    except Exception:
        pass
    return sorted({_TAKEN})
"""


class _Wrapper(ast.NodeTransformer):
    """Puts each condition into a call that notes its outcome."""

    def __init__(self) -> None:
        self.count = 0

    def _noted(self, condition: ast.expr) -> ast.expr:
        number = ast.Constant(value=self.count)
        self.count += 1
        name = ast.Name(id=f"{_TAKEN}_note", ctx=ast.Load())
        return ast.copy_location(ast.Call(func=name, args=[number, condition], keywords=[]), condition)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Wraps the conditions of a node, and those inside them."""
        super().generic_visit(node)
        if isinstance(node, ast.If | ast.While | ast.IfExp) and not isinstance(node.test, ast.Constant):
            node.test = self._noted(node.test)
        if isinstance(node, ast.comprehension):
            node.ifs = [self._noted(condition) for condition in node.ifs]
        return node


def branches_taken(
    program: str, entry_point: str, inputs: Sequence[Sequence[Any]], context: Context
) -> tuple[list[frozenset[Branch]], int]:
    """(the branches that each call takes, how many the program has); nothing is taken where the program cannot be run so."""
    tree, wrapper = parse(program), _Wrapper()
    nothing: list[frozenset[Branch]] = [frozenset()] * len(inputs)
    if tree is None:
        return nothing, 0
    source = ast.unparse(ast.fix_missing_locations(wrapper.visit(tree)))
    if not wrapper.count:
        return nothing, 0
    tests = {"results": [encode(list(args)) for args in inputs]}
    job = Job(
        program=source + _HARNESS.replace("ENTRY", entry_point), entry_point=_ENTRY, tests=tests,
        cpu_s=policy_number(context, "mutant_cpu_s"),
    )  # fmt: skip
    verdict = context.run(job)
    found: Any = verdict.evidence.get("results")
    if verdict.status != "pass" or not isinstance(found, Sequence) or len(found) != len(inputs):
        return nothing, 2 * wrapper.count
    return [_branches(value) for value in found], 2 * wrapper.count


def _branches(value: Any) -> frozenset[Branch]:
    try:
        return frozenset((int(number), bool(taken)) for number, taken in decode(value))
    except (TypeError, ValueError, json.JSONDecodeError):
        return frozenset()
