"""From a task and a candidate to the program that runs: joins it with the prompt so that imports and helpers survive.

A candidate may be a function body, a whole function, or a script. The layout is the first that compiles, in an order in
which `prompt + candidate` comes first, because that is what the published harnesses run:

    assemble("import math\\ndef f(x):\\n    '''Double.'''\\n", "f", "    return 2 * x")    # a body
    assemble("import math\\ndef f(x):\\n    '''Double.'''\\n", "f", "def f(x):\\n  return 2 * x")    # a whole function

Invariant: nothing is repaired that a plain join would accept, so verdicts agree with the published ones.
"""

import ast
import math
import re
import textwrap
from collections.abc import Iterator
from functools import lru_cache

from evoltune.record import Task
from evoltune_code.syntax import bound_names, is_code, is_docstring, parse, syntax_error

_FUTURE_IMPORT = re.compile(r"^from __future__ import [^\n]+\n?", re.M)


def text_field(task: Task, name: str) -> str:
    """A column of text; "" where it is missing or something else."""
    value = task.fields.get(name)
    return value if isinstance(value, str) else ""


def cpu_limit(task: Task) -> float | None:
    """The task's own time limit in CPU seconds; None: the recipe's."""
    value = task.fields.get("cpu_s")
    return (
        float(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
        else None
    )


def assemble(prompt: str, entry_point: str, candidate: str) -> str:
    """The program of a candidate. Where no layout compiles, the plain join, so that its error can be named."""
    layouts = list(_layouts(prompt, entry_point, candidate)) if is_code(prompt) else [candidate]
    return next((p for p in layouts if syntax_error(p) is None), layouts[0])


def _layouts(prompt: str, entry_point: str, candidate: str) -> Iterator[str]:
    yield prompt + candidate
    newline = "" if prompt.endswith("\n") else "\n"
    if newline:
        yield prompt + newline + candidate
    futures = "".join(_FUTURE_IMPORT.findall(candidate))
    whole = entry_point and re.search(rf"^(async )?def {re.escape(entry_point)}\s*\(", candidate, re.M)
    if whole or futures:  # a stub without a docstring does not compile; __future__ must come first
        rest = _FUTURE_IMPORT.sub("", candidate)
        yield f"{futures}{preamble(prompt, entry_point)}\n{rest}"
    yield prompt.rstrip(" \t") + newline + textwrap.indent(candidate, "    ")
    if candidate[:1] not in (" ", "\t"):  # a body whose first line lost its indent to a strip()
        yield prompt + "    " + candidate


@lru_cache(maxsize=512)
def preamble(prompt: str, entry_point: str) -> str:
    """The imports and helpers of a prompt, without the stub of the entry point; "" for a prompt in words."""
    tree = parse(prompt) or parse(prompt.rstrip() + "\n    pass\n")
    if tree is None:
        return ""
    kept = (n for n in tree.body if entry_point not in bound_names(n) and not is_docstring(n))
    return "".join(ast.unparse(n) + "\n" for n in kept)
