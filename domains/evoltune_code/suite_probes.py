"""What a suite's problems do on their first inputs, so that most functions are told apart from them by one call.

    problems = prepared(tasks, context)    # cached: one sandboxed run of each reference solution

Inputs are the literal arguments of calls in the tests, or the cases of EvalPlus. Invariant: a problem whose inputs or
reference cannot be read has no probes, and is then decided by its full tests alone.
"""

import ast
import json
import marshal
import random
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from itertools import islice
from typing import Any

from evoltune.domain import Context, Job
from evoltune.record import Task
from evoltune.sandbox.values import decode
from evoltune_code.assembly import text_field
from evoltune_code.syntax import calls_by_name, is_docstring, parse, statements
from evoltune_code.verification import policy_number

HARNESS = (files("evoltune_code") / "probe_harness.py").read_text(encoding="utf-8")
TRIED, KEPT, VARIED = 8, 3, 12
"""Inputs whose results are asked for; probes among them, chosen for results that differ; varied inputs."""
CALL_S, FACTOR = 0.02, 4.0
"""CPU seconds that one probe may take: these, or a multiple of what the reference took."""
MAX_OPERATIONS = 99
SALT = "aE3 i7_5,B"
"""Characters mixed into every longer text: vowels, capitals, a space, a digit, an underscore, a comma."""
Probe = tuple[str, bool, str, float]
"""(arguments as marshal in hex, whether order and repetition are ignored, canonical result, CPU seconds allowed)."""
Answer = tuple["str | None", float]
"""(canonical result, None where there is none; CPU seconds)."""
_OPERATIONS = (
    ast.BinOp, ast.BoolOp, ast.UnaryOp, ast.Compare, ast.Call, ast.Subscript, ast.IfExp, ast.comprehension, ast.stmt,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One task of a suite."""

    number: int
    task: Task
    types: tuple[str, ...]
    """Of its arguments."""
    probes: tuple[Probe, ...]
    variants: tuple[Probe, ...]
    operations: int
    """Operators, calls and comparisons in the reference's entry point, up to 99."""


_CACHE: dict[tuple[str, ...], list[Problem]] = {}


def prepared(suite: Sequence[Task], context: Context) -> list[Problem]:
    """The problems of a suite, in its order; computed once per process."""
    key = tuple(f"{t.name}:{hash((t.reference, t.tests if isinstance(t.tests, str) else None))}" for t in suite)
    if key not in _CACHE:
        _CACHE.clear()  # one suite at a time: MBPP+ takes 40 MB
        _CACHE[key] = _prepare(suite, context)
    return _CACHE[key]


def _prepare(suite: Sequence[Task], context: Context) -> list[Problem]:
    python = [t for t in suite if t.fields.get("language", "python") == "python"]
    usable = [t for t in python if t.tests and t.fields.get("entry_point")]
    calls = [list(_calls(task)) for task in usable]
    asked = [[*found, *variants(found, VARIED, task.name)] for task, found in zip(usable, calls, strict=True)]
    marker = secrets.token_hex(8)
    jobs = [_question(t, a, marker, context) for t, a in zip(usable, asked, strict=True)]
    problems = []
    for number, verdict in enumerate(context.run_many(jobs)):
        _, found, reply = str(verdict.evidence.get("stdout", "")).rpartition(marker)
        answers = json.loads(reply) if found else [(None, 0.0)] * len(asked[number])
        problems.append(_problem(number, usable[number], len(calls[number]), asked[number], answers))
    return problems


def _problem(number: int, task: Task, calls: int, asked: Sequence[list[object]], answers: Sequence[Answer]) -> Problem:
    """The first `calls` of the inputs are the suite's own, the others are varied."""
    return Problem(
        number=number, task=task, types=_types(task, asked[:calls]),
        probes=_telling(_probes(task, asked[:calls], answers[:calls])),
        variants=tuple(_probes(task, asked[calls:], answers[calls:])),
        operations=operations(task.reference or "", text_field(task, "entry_point")),
    )  # fmt: skip


def _question(task: Task, calls: Sequence[list[object]], marker: str, context: Context) -> Job:
    loose = _ignores_order(task)
    question = json.dumps([marker, task.fields["entry_point"], [[_packed(args), loose] for args in calls]])
    program = f"{task.reference}\n{HARNESS}\nresults({question!r})\n"
    return Job(program=program, cpu_s=policy_number(context, "reference_cpu_s"))


def _packed(args: Sequence[object]) -> str:
    return marshal.dumps(list(args), 4).hex()


def _ignores_order(task: Task) -> bool:
    """Whether the tests look at results without their order: set(f(...)), sorted(f(...))."""
    pattern = rf"(set|sorted)\(\s*({re.escape(text_field(task, 'entry_point'))}|candidate|got)\b"
    return isinstance(task.tests, str) and bool(re.search(pattern, task.tests))


def _probes(task: Task, calls: Sequence[list[object]], answers: Sequence[Answer]) -> list[Probe]:
    """The inputs to which the reference gave a result, quick ones first."""
    loose = _ignores_order(task)
    known: list[Probe] = [
        (_packed(args), loose, result, max(CALL_S, FACTOR * seconds))
        for args, (result, seconds) in zip(calls, answers, strict=True)
        if result is not None
    ]
    return sorted(known, key=lambda probe: probe[3])


def _telling(probes: Sequence[Probe]) -> tuple[Probe, ...]:
    """Up to three probes: those with a result of their own before those that repeat one."""
    first: dict[str, Probe] = {}
    for probe in probes:
        first.setdefault(probe[2], probe)
    return tuple([*first.values(), *(p for p in probes if p not in first.values())][:KEPT])


def _calls(task: Task) -> Iterator[list[object]]:
    """The first inputs of a task, small ones first where the suite has many."""
    if not isinstance(task.tests, Mapping):
        yield from islice(literal_calls(task), TRIED)
        return
    yield from sorted(islice(literal_calls(task), 4 * TRIED), key=lambda args: len(repr(args)))[:TRIED]


def literal_calls(task: Task) -> Iterator[list[object]]:
    """The arguments of calls in the tests where they are literals, or of its cases."""
    if isinstance(task.tests, Mapping):
        cases = task.tests.get("cases")
        for case in cases if isinstance(cases, list) else []:
            with suppress(ValueError, TypeError, LookupError):
                yield list(decode(case[0]))
        return
    for name, call in calls_by_name(parse(str(task.tests))):
        if name not in (task.fields["entry_point"], "candidate") or call.keywords:
            continue
        try:
            args = [ast.literal_eval(arg) for arg in call.args]
            _packed(args)
        except (ValueError, TypeError, RecursionError):
            continue
        yield args


def _types(task: Task, calls: Sequence[list[object]]) -> tuple[str, ...]:
    """The type of each argument, as the inputs show it, else from the reference's signature ("" where unknown)."""
    if calls:
        return tuple(type(arg).__name__ for arg in calls[0])
    functions = _functions(task.reference or "", text_field(task, "entry_point"))
    return ("",) * len(functions[0].args.args) if functions else ()


def operations(source: str, entry_point: str) -> int:
    """How much the last definition of a function does; 99 where there is none."""
    functions = _functions(source, entry_point)
    return count_operations(functions[-1]) if functions else MAX_OPERATIONS


def _functions(source: str, name: str) -> list[ast.FunctionDef]:
    return [n for n in statements(source) if isinstance(n, ast.FunctionDef) and n.name == name]


def count_operations(function: ast.FunctionDef) -> int:
    """The operators, calls, comparisons and statements of a function, beyond its definition and one return; up to 99."""
    count = sum(isinstance(n, _OPERATIONS) and not is_docstring(n) for n in ast.walk(function))
    return min(MAX_OPERATIONS, count - 2)


# ---- varied inputs of the same shape: they tell a function apart from another that merely passes the same weak tests
#
# HumanEval/28 (concatenate) is passed by functions that reverse vowels or drop capitals, because its tests hold only single
# lower-case letters; on ["xE 3a", ...] they differ.


def variants(calls: Sequence[Sequence[object]], limit: int, seed: str, letters: str = SALT) -> list[list[object]]:
    """At most `limit` argument lists made from those of the calls, texts with further `letters`; arguments of equal type also change
    places."""
    rng, change = random.Random(seed), _Changes(letters)
    seen = {repr(list(args)) for args in calls}
    found: list[list[object]] = []
    for turn in range(4 * limit if calls else 0):
        args = [change(arg, rng) for arg in calls[turn % len(calls)]]
        if len(args) == 2 and type(args[0]) is type(args[1]) and turn % 2:
            args.reverse()
        if repr(args) not in seen:
            seen.add(repr(args))
            found.append(args)
        if len(found) == limit:
            break
    return found


class _Changes:
    """Changes to a value of any plain type; others stay."""

    def __init__(self, letters: str) -> None:
        self.letters = letters

    def __call__(self, value: Any, rng: random.Random) -> Any:
        match value:
            case bool():
                return bool(rng.getrandbits(1))
            case int():
                return rng.choice((value, value + 1, value + rng.randint(2, 9), max(0, value - 1), value // 2 + 3))
            case float():
                return rng.choice((value, value + 1.5, value / 2 + 0.25, value * 1.75))
            case str():
                return self._text(value, rng)
            case list():
                return self._list(value, rng)
            case tuple():
                return tuple(self._list(list(value), rng))
            case set():
                return set(self._list(sorted(value, key=repr), rng))
            case dict():
                return {self(k, rng): self(v, rng) for k, v in value.items()}
        return value

    def _text(self, value: str, rng: random.Random) -> str:
        if len(value) == 1 and self.letters:  # a list of letters is a text too
            return rng.choice(self.letters)
        if rng.random() < 0.25:
            return value
        more = rng.randint(2, 5)
        letters = [*value, *rng.sample(self.letters, min(more, len(self.letters)))]
        rng.shuffle(letters)
        return "".join(letters)

    def _list(self, value: list[Any], rng: random.Random) -> list[Any]:
        items = [self(item, rng) for item in value]
        if items:
            items += [self(rng.choice(items), rng) for _ in range(rng.randint(0, 4))]
        if rng.random() < 0.5:
            rng.shuffle(items)
        return items[1:] if len(items) > 2 and rng.random() < 0.25 else items
