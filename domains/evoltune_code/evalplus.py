"""EvalPlus suites (HumanEval+, MBPP+): inputs without expected values; the canonical solution is the oracle.

JSON has no tuples, sets or complex numbers, so the inputs of 62 MBPP+ tasks come back with the wrong types; `restored`
gives them their types again (the rules hold for the release v0.2.0). A dozen tasks are not compared by equality:
`compare` in their tests says how, and the roots of HumanEval/32 are checked by Python source.

    task(row).tests == {"cases": [[args], ...], "oracle": SOURCE, "atol": 1e-6}

Invariant: the canonical solution of each task passes its own tests.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evoltune.record import Task
from evoltune.sandbox.values import encode
from evoltune_code.syntax import called

FLOAT_ATOL = 1e-6
"""EvalPlus compares floats within 1e-6 where a task states no tolerance."""
SET_EQUAL = frozenset({2, 7, 111, 140, 232, 249, 579, 769})
"""MBPP+ tasks whose lists may come in any order, and with repetitions."""
MAX_ITEMS = 1_000_000
"""Mbpp/255 has one input whose result is 1.6 million tuples of 77 (over 1 GB): inputs beyond this size are left out,
as in upstream's files without extreme inputs."""
NOT_NONE = frozenset({"check_str", "text_match_three", "text_starta_endb"})
"""MBPP+ functions for which upstream's own solutions return a match object or None in place of a bool."""


Restorer = Callable[[Any], Any]
"""From a value as JSON has it to the value with its type."""


def _each(inner: Restorer, outer: Restorer = list) -> Restorer:
    return lambda value: outer(inner(item) for item in value)


def _deep(value: Any) -> Any:
    return tuple(_deep(item) for item in value) if isinstance(value, list) else value


def _as_is(value: Any) -> Any:
    return value


def _rule(ids: str, *parameters: Restorer, rest: Restorer = _as_is) -> dict[int, Any]:
    return {int(number): (parameters, rest) for number in ids.split()}


RULES: Mapping[int, tuple[Sequence[Restorer], Restorer]] = {
    **_rule("2 116 132 143 222 261 273 394 399 421 424 429 470 560 579 596 616 630 726 740 744 809", rest=tuple),
    **_rule("63 64 70 94 120 237 272 299 400 409 417 438 473 614 780", rest=_each(tuple)),
    **_rule("75 413 444 753", _each(tuple)),
    **_rule("106 750", _as_is, tuple),
    **_rule("115", _each(lambda item: set(item) if isinstance(item, list) and item else {})),
    **_rule("124", float, complex),
    **_rule("250 405 446 617 720 763 808 307", tuple),
    **_rule("259 401 445", rest=_each(tuple, tuple)),
    **_rule("278", _each(lambda item: tuple(item) if isinstance(item, list) else item, tuple)),
    **_rule("722", lambda value: {k: tuple(v) for k, v in value.items()}),
    **_rule("252", complex),
    **_rule("580 615 791", rest=_deep),
}
"""MBPP+ task number -> (a restorer for each of the first parameters, one for all others)."""


def restored(task_id: str, args: Sequence[Any]) -> list[Any]:
    """The arguments of one call with the types that JSON lost."""
    suite, _, number = task_id.partition("/")
    if suite != "Mbpp" or int(number) not in RULES:
        return list(args)
    first, rest = RULES[int(number)]
    return [(first[i] if i < len(first) else rest)(value) for i, value in enumerate(args)]


def hub_task(row: Mapping[str, Any]) -> Task:
    """One row of evalplus/humanevalplus or evalplus/mbppplus on the hub: expected values stand in the test source."""
    if "canonical_solution" in row:
        prompt, entry_point, name = row["prompt"], row["entry_point"], row["task_id"]
        reference = prompt + row["canonical_solution"]
    else:
        asserts, reference, name = list(row["test_list"]), row["code"], f"Mbpp/{row['task_id']}"
        prompt, entry_point = f'"""\n{row["prompt"]}\n{asserts[0]}\n"""\n', called(asserts, reference)
    fields = {"entry_point": entry_point, "prompt": prompt}
    return Task(instruction=prompt, reference=reference, tests=row["test"], fields=fields, name=name)


def task(row: Mapping[str, Any]) -> Task:
    """One row of HumanEvalPlus or MbppPlus: of the published files, base inputs before plus inputs, or of the hub."""
    if "base_input" not in row:
        return hub_task(row)
    name, entry_point, prompt = row["task_id"], row["entry_point"], row["prompt"]
    oracle = prompt + row["canonical_solution"]
    inputs = [restored(name, args) for args in (*row["base_input"], *row["plus_input"])]
    if name == "Mbpp/255":  # combinations with repetition
        inputs = [[xs, n] for xs, n in inputs if n < 1 or math.comb(len(xs) + n, n) * n <= MAX_ITEMS]
    atol = float(row["atol"])
    tests: Any = {"cases": [[encode(args)] for args in inputs], "oracle": oracle, "atol": atol or FLOAT_ATOL}
    if entry_point == "find_zero":
        tests = f"_INPUTS = {inputs!r}\n{_any_root(atol or 1e-4)}"
    elif compare := _compare(name, entry_point):
        tests = {**tests, "compare": compare}
    fields = {"entry_point": entry_point, "prompt": prompt}
    return Task(instruction=prompt, reference=oracle, tests=tests, fields=fields, name=name)


def _any_root(atol: float) -> str:
    """Test source for roots of polynomials, of which any is right."""
    return (
        "def check(candidate):\n    for (xs,) in _INPUTS:\n        root = candidate(list(xs))\n"
        f"        assert abs(sum(c * root**i for i, c in enumerate(xs))) <= {atol!r}\n"
    )


def _compare(name: str, entry_point: str) -> str:
    """How results are compared where equality does not judge: `compare` of `evoltune.sandbox`; else empty."""
    suite, _, number = name.partition("/")
    if suite != "Mbpp":
        return ""
    return "set" if int(number) in SET_EQUAL else "found" if entry_point in NOT_NONE else ""
