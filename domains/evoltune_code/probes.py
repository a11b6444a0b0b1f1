"""What a suite's problems do on their first inputs, so that most functions are told apart from them by one call.

    problems = prepared(tasks, context)    # cached: one sandboxed run of each reference solution

Inputs are the literal arguments of calls in the tests, or the cases of EvalPlus. Invariant: a problem whose inputs or
reference cannot be read has no probes, and is then decided by its full tests alone.
"""

from __future__ import annotations

import ast
import json
import marshal
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from evoltune.domain import Context, Job
from evoltune.record import Task
from evoltune.sandbox.values import decode
from evoltune_code.program import parse
from evoltune_code.variants import variants
from evoltune_code.verification import knob

_HARNESS = (files("evoltune_code") / "probing.py").read_text(encoding="utf-8")
TRIED, KEPT, VARIED = 8, 3, 12
"""Inputs whose results are asked for; of these the probes, as different in their results as can be had; variants."""
CALL_S, FACTOR = 0.02, 4.0
"""CPU seconds that one probe may take: these, or a multiple of what the reference took."""
Probe = tuple[str, bool, str, float]
"""(arguments as marshal in hex, whether order and repetition are ignored, canonical result, CPU seconds allowed)."""
Answer = tuple["str | None", float]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One task of a suite: the types of its arguments, its probes, and how much its own solution does."""

    task: Task
    types: tuple[str, ...]
    probes: tuple[Probe, ...]
    variants: tuple[Probe, ...]
    operations: int
    """Operators, calls and comparisons in the reference's entry point, up to 99."""


_CACHE: dict[tuple[str, ...], list[Problem]] = {}


def prepared(suite: Sequence[Task], context: Context) -> list[Problem]:
    """The problems of a suite, in its order; computed once per process."""
    key = tuple(
        f"{t.name}:{hash((t.reference, t.tests if isinstance(t.tests, str) else None))}" for t in suite
    )
    if key not in _CACHE:
        _CACHE.clear()  # one suite at a time: MBPP+ takes 40 MB
        _CACHE[key] = _prepare(suite, context)
    return _CACHE[key]


def _prepare(suite: Sequence[Task], context: Context) -> list[Problem]:
    usable = [
        t
        for t in suite
        if t.tests and t.fields.get("entry_point") and t.fields.get("language", "python") == "python"
    ]
    calls = [list(_calls(task)) for task in usable]
    asked = [[*found, *variants(found, VARIED, task.name)] for task, found in zip(usable, calls, strict=True)]
    marker = secrets.token_hex(8)
    verdicts = context.run_many(
        [_question(t, a, marker, context) for t, a in zip(usable, asked, strict=True)]
    )
    return [
        _problem(task, found, all_args, str(verdict.evidence.get("stdout", "")).rpartition(marker)[1:])
        for task, found, all_args, verdict in zip(usable, calls, asked, verdicts, strict=True)
    ]


def _problem(
    task: Task, calls: Sequence[list[object]], asked: Sequence[list[object]], reply: tuple[str, str]
) -> Problem:
    answers: list[Answer] = json.loads(reply[1]) if reply[0] else [(None, 0.0)] * len(asked)
    return Problem(
        task=task,
        types=_types(task, calls),
        probes=_chosen(_known(task, calls, answers[: len(calls)])),
        variants=tuple(_known(task, asked[len(calls) :], answers[len(calls) :])),
        operations=operations(task.reference or "", str(task.fields["entry_point"])),
    )


def _question(task: Task, calls: Sequence[list[object]], marker: str, context: Context) -> Job:
    loose = _is_loose(task)
    question = json.dumps([marker, task.fields["entry_point"], [[_packed(args), loose] for args in calls]])
    program = f"{task.reference}\n{_HARNESS}\nresults({question!r})\n"
    return Job(program=program, cpu_s=knob(context, "reference_cpu_s"))


def _packed(args: Sequence[object]) -> str:
    return marshal.dumps(list(args), 4).hex()


def _is_loose(task: Task) -> bool:
    """Whether the tests look at results without their order: set(f(...)), sorted(f(...))."""
    name = re.escape(str(task.fields["entry_point"]))
    return isinstance(task.tests, str) and bool(
        re.search(rf"(set|sorted)\(\s*({name}|candidate|got)\b", task.tests)
    )


def _known(task: Task, calls: Sequence[list[object]], answers: Sequence[Answer]) -> list[Probe]:
    """The inputs to which the reference gave a result, quick ones first."""
    loose = _is_loose(task)
    known: list[Probe] = [
        (_packed(args), loose, result, max(CALL_S, FACTOR * seconds))
        for args, (result, seconds) in zip(calls, answers, strict=True)
        if result is not None
    ]
    return sorted(known, key=lambda probe: probe[3])


def _chosen(known: Sequence[Probe]) -> tuple[Probe, ...]:
    """Up to three inputs: results that differ before results seen already."""
    first: dict[str, Probe] = {}
    for probe in known:
        first.setdefault(probe[2], probe)
    return tuple([*first.values(), *(p for p in known if p not in first.values())][:KEPT])


def _calls(task: Task) -> Iterator[list[object]]:
    """The first inputs of a task, small ones first where the suite has many."""
    if isinstance(task.tests, Mapping):
        cases = task.tests.get("cases")
        found = (
            [list(decode(case[0])) for case in cases[: 4 * TRIED] if isinstance(case, list)]
            if isinstance(cases, list)
            else []
        )
        yield from sorted(found, key=lambda args: len(repr(args)))[:TRIED]
        return
    names = {str(task.fields["entry_point"]), "candidate"}
    tree = parse(str(task.tests))
    seen = 0
    for node in ast.walk(tree) if tree else ():
        if (
            not isinstance(node, ast.Call)
            or not isinstance(node.func, ast.Name)
            or node.func.id not in names
            or node.keywords
        ):
            continue
        try:
            args = [ast.literal_eval(arg) for arg in node.args]
            _packed(args)
        except (ValueError, TypeError, RecursionError):
            continue
        seen += 1
        if seen > TRIED:
            return
        yield args


def _types(task: Task, calls: Sequence[list[object]]) -> tuple[str, ...]:
    """The type of each argument, as the inputs show it, else from the reference's signature ("" where unknown)."""
    if calls:
        return tuple(type(arg).__name__ for arg in calls[0])
    tree = parse(task.reference or "")
    for node in tree.body if tree else ():
        if isinstance(node, ast.FunctionDef) and node.name == task.fields["entry_point"]:
            return ("",) * len(node.args.args)
    return ()


def operations(source: str, entry_point: str) -> int:
    """How much the last definition of a function does; 99 where there is none."""
    tree = parse(source)
    found = [
        n for n in (tree.body if tree else ()) if isinstance(n, ast.FunctionDef) and n.name == entry_point
    ]
    return count_operations(found[-1]) if found else 99


def count_operations(function: ast.FunctionDef) -> int:
    """The operators, calls, comparisons and statements of a function, beyond its definition and one return; up to 99."""
    kinds = (
        ast.BinOp,
        ast.BoolOp,
        ast.UnaryOp,
        ast.Compare,
        ast.Call,
        ast.Subscript,
        ast.IfExp,
        ast.comprehension,
        ast.stmt,
    )
    return min(99, sum(isinstance(n, kinds) and not _is_doc(n) for n in ast.walk(function)) - 2)


def _is_doc(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
