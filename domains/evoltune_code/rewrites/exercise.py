"""An exercise with a reference, read for editing; and the checks that a new exercise must pass before it is given out.

    exercise = read_exercise(record)                       # an Exercise, or why there is none
    child = accepted(draft, context)                       # Rewritten, or why its tests are not good enough

The inputs of new tests are made of the inputs in the parent's own tests, so that none breaks what its text demands. Invariant: the
reference passes the tests of a child, and they kill most of the reference's mutants.
"""

import ast
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evoltune.domain import Context, Job, Rewritten
from evoltune.record import Json, Record, Task
from evoltune.sandbox.values import decode, encode
from evoltune_code.assembly import text_field
from evoltune_code.mutants import mutants
from evoltune_code.set_order import in_other_order
from evoltune_code.suite_probes import literal_calls
from evoltune_code.syntax import calls_by_name, parse, statements, top_level_names
from evoltune_code.verification import policy_number

LEAST_CALLS, MAX_CALLS, CASES = 3, 12, 6
MAX_LITERAL = 400
"""Characters of an argument or a result in a test: longer ones teach nobody anything."""
MAX_INSTRUCTION = 2_500
MUTANT_CPU_S = 0.25
"""Cases are small: a mutant that takes longer does not end, which the tests notice. Half of the time went into such mutants."""


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """A function with its text, its source and inputs that it is meant for."""

    text: str
    source: str
    name: str
    parameters: tuple[str, ...]
    required: int
    """How many of them have no default."""
    calls: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A new exercise before its tests are tried."""

    text: str
    source: str
    name: str
    """The function under test; "" for a script."""
    tests: Json
    approach: str


def read_exercise(record: Record) -> Exercise | str:
    """The record's function, or in a few words why it cannot be edited."""
    task = _named(record.task)
    name = text_field(task, "entry_point")
    if not task.reference or not isinstance(task.tests, str | Mapping):
        return "no reference solution with a function and tests"
    if not name:
        return "the tests do not show which function they are for"
    if "```" in task.instruction or len(task.instruction) > MAX_INSTRUCTION or text_field(task, "prompt"):
        return "the text holds code"
    functions = [n for n in statements(task.reference) if isinstance(n, ast.FunctionDef) and n.name == name]
    if len(functions) != 1 or functions[0].decorator_list or _is_generator(functions[0]):
        return "the entry point is no plain function"
    arguments = functions[0].args
    if arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.posonlyargs or not arguments.args:
        return "the function takes no plain arguments"
    found: dict[str, tuple[Any, ...]] = {}
    for args in literal_calls(task):
        if len(repr(args)) <= MAX_LITERAL:
            found.setdefault(repr(args), tuple(args))
    if len(found) < LEAST_CALLS:
        return "too few calls with plain arguments in the tests"
    return Exercise(
        text=task.instruction.strip(), source=task.reference.strip(), name=name,
        parameters=tuple(a.arg for a in arguments.args), required=len(arguments.args) - len(arguments.defaults),
        calls=tuple(found.values())[:MAX_CALLS],
    )  # fmt: skip


def _named(task: Task) -> Task:
    """The task with its tests as one source, and with an entry point where it names none: the one function of the reference that the
    tests call, or that they can be for."""
    tests = (
        "\n".join(task.tests)
        if isinstance(task.tests, list) and all(isinstance(t, str) for t in task.tests)
        else task.tests
    )
    if text_field(task, "entry_point") or not task.reference:
        return replace(task, tests=tests)
    names = {node.name for node in statements(task.reference) if isinstance(node, ast.FunctionDef)}
    if isinstance(tests, str):
        names &= {name for name, _ in calls_by_name(parse(tests))}
    return replace(task, tests=tests, fields={**task.fields, "entry_point": names.pop() if len(names) == 1 else ""})


def _is_generator(function: ast.FunctionDef) -> bool:
    return any(isinstance(node, ast.Yield | ast.YieldFrom) for node in ast.walk(function))


def results_of(source: str, name: str, inputs: Sequence[Sequence[Any]], context: Context) -> list[tuple[Any, Any]]:
    """(arguments, result) for each input on which a function gives plain data that can be compared and does not come from the order
    of a set; run in the sandbox."""
    encoded = [encode(list(args)) for args in inputs]
    probed = context.run(Job(program=source, entry_point=name, tests={"probe": encoded}))
    outcomes = probed.evidence.get("results")
    if probed.status != "pass" or not isinstance(outcomes, Sequence) or len(outcomes) != len(encoded):
        return []
    good = [i for i, outcome in enumerate(outcomes) if not str(outcome).startswith(("raise ", "object "))]
    if not good:
        return []
    answered = context.run(Job(program=source, entry_point=name, tests={"results": [encoded[i] for i in good]}))
    values = answered.evidence.get("results")
    if answered.status != "pass" or not isinstance(values, Sequence) or len(values) != len(good):
        return []
    found = [(i, decode(value)) for i, value in zip(good, values, strict=True)]
    steady = _steady(source, name, [encoded[i] for i in good], [value for _, value in found], context)
    return [
        (inputs[i], value)
        for (i, value), is_steady in zip(found, steady, strict=True)
        if is_steady and _is_comparable(value)
    ]


def _steady(source: str, name: str, encoded: Sequence[Any], values: Sequence[Any], context: Context) -> list[bool]:
    """For each result whether it stays when sets are read in another order: the sandbox has one hash seed, others have none."""
    other = in_other_order(source)
    if not other:
        return [True] * len(values)
    answered = context.run(Job(program=other, entry_point=name, tests={"results": list(encoded)}))
    again = answered.evidence.get("results")
    if answered.status != "pass" or not isinstance(again, Sequence) or len(again) != len(values):
        return [False] * len(values)
    return [decode(text) == value for text, value in zip(again, values, strict=True)]


def _is_comparable(value: Any) -> bool:
    """Whether a result reads back from its text, and has no float that another solution may round otherwise."""
    try:
        same = ast.literal_eval(repr(value)) == value
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return False
    return bool(same) and len(repr(value)) <= MAX_LITERAL and all(round(x, 6) == x for x in floats_in(value))


def floats_in(value: Any) -> list[float]:
    """All floats in plain data."""
    if isinstance(value, float):
        return [value]
    if isinstance(value, dict):
        return [x for pair in value.items() for part in pair for x in floats_in(part)]
    return [x for item in value for x in floats_in(item)] if isinstance(value, list | tuple | set | frozenset) else []


def asserts(name: str, pairs: Sequence[tuple[Sequence[Any], Any]]) -> str:
    """Tests as assert statements."""
    return "".join(f"assert {name}({', '.join(map(repr, args))}) == {result!r}\n" for args, result in pairs)


def telling(pairs: Sequence[tuple[Any, Any]], rng: random.Random, most: int = CASES) -> list[tuple[Any, Any]]:
    """At most so many cases, those with a result of their own first."""
    shuffled = list(pairs)
    rng.shuffle(shuffled)
    first = {repr(result): (args, result) for args, result in reversed(shuffled)}
    rest = [pair for pair in shuffled if pair not in first.values()]
    return [*first.values(), *rest][:most]


def accepted(draft: Draft, context: Context) -> Rewritten | str:
    """The child, where its reference passes its tests and these kill enough of the reference's mutants."""
    limit = int(policy_number(context, "mutants"))
    if not draft.name:  # each case of a script starts a process
        limit //= 2
    own = Job(program=draft.source, tests=draft.tests, entry_point=draft.name)
    faulty = [replace(own, program=m.source, cpu_s=MUTANT_CPU_S) for m in mutants(draft.source, limit=limit)]
    reference, *others = (verdict.status for verdict in context.run_many([own, *faulty]))
    if reference != "pass":
        return f"the reference does not pass its own tests ({reference})"
    tried = [status for status in others if status not in ("error", "unverifiable")]
    killed = sum(status != "pass" for status in tried)
    if not tried or killed < policy_number(context, "mutation_score") * len(tried):
        return "the tests kill too few mutants"
    task = Task(instruction=draft.text, reference=draft.source, tests=draft.tests, fields={"entry_point": draft.name})
    return Rewritten(task=task, solution=f"{draft.approach}\n\n```python\n{draft.source}\n```")


def free_name(wanted: str, source: str) -> str:
    """A name that the source does not define."""
    taken = top_level_names(source)
    return next(name for name in (wanted, *(f"{wanted}_{i}" for i in range(2, 99))) if name not in taken)
