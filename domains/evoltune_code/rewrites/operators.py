"""The rewrite functions: batch, from_json, as_script, find_input, guard, generalise, and pair for two exercises.

    child = batch([seed], random.Random(1), context)       # Rewritten(task, solution), or why there is none

Each edits the reference: a function around it, or a constant of it that becomes a parameter. What the new exercise asks for follows
from the edit, and its expected values from running the new reference.
"""

import ast
import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

from evoltune.domain import Context, Rewritten
from evoltune.record import Record, Task
from evoltune_code.rewrites.exercise import (
    CASES,
    Draft,
    Exercise,
    accepted,
    asserts,
    floats_in,
    free_name,
    read_exercise,
    results_of,
    telling,
)

WRONG = {"str": (None, 7, ["a"]), "list": (None, 7, "ab"), "dict": (None, 7, ["a"]), "int": (None, "7", [7])}
"""Type of an argument -> values of other types."""
ARTICLES = {"str": "a str", "list": "a list", "dict": "a dict", "int": "an int"}
Edit = Callable[[Exercise, random.Random, Context], "Draft | str"]


def _one(edit: Edit, parents: Sequence[Record], rng: random.Random, context: Context) -> Rewritten | str:
    exercise = read_exercise(parents[0])
    draft = exercise if isinstance(exercise, str) else edit(exercise, rng, context)
    return draft if isinstance(draft, str) else accepted(draft, context)


def _lists(exercise: Exercise, rng: random.Random) -> list[list[Any]]:
    """Lists of calls, as the argument of a function for many: an empty one, single ones, and some of several."""
    items = [call[0] if exercise.required == len(exercise.parameters) == 1 else call for call in exercise.calls]
    several = [rng.sample(items, rng.randint(2, min(4, len(items)))) for _ in range(CASES)]
    return [[], *([item] for item in items), *several]


def batch(parents: Sequence[Record], rng: random.Random, context: Context) -> Rewritten | str:
    """The same for many inputs, in one of several ways of giving the results."""
    return _one(_batch, parents, rng, context)


def _batch(exercise: Exercise, rng: random.Random, context: Context) -> Draft | str:
    is_single = len(exercise.parameters) == 1
    star, item = ("", "argument") if is_single else ("*", "tuple of arguments")
    call = f"{exercise.name}({star}item)"
    suffix, asks, body = rng.choice((
        ("each", f"returns the list of what `{exercise.name}` returns for each of them, in order", f"return [{call} for item in items]"),
        ("distinct", f"returns the list of the different results of `{exercise.name}`, in the order in which they first occur",
         f"found = []\n    for item in items:\n        result = {call}\n        if result not in found:\n            found.append(result)\n    return found"),
        ("positions", f"returns, for each result of `{exercise.name}` in the order in which it first occurs, the tuple (result, list of the "
         f"positions in the list at which it occurs, counted from 0), all in one list",
         f"found = []\n    for position, item in enumerate(items):\n        result = {call}\n        for known, positions in found:\n"
         f"            if known == result:\n                positions.append(position)\n                break\n        else:\n"
         f"            found.append((result, [position]))\n    return found"),
    ))  # fmt: skip
    name = free_name(f"{exercise.name}_{suffix}", exercise.source)
    source = f"{exercise.source}\n\n\ndef {name}(items):\n    {body}"
    repeated = [[*items, *items[:1]] for items in _lists(exercise, rng)]
    pairs = results_of(source, name, [(items,) for items in (*_lists(exercise, rng), *repeated)], context)
    text = f"{exercise.text}\n\nAlso write `{name}(items)`, which takes a list with one {item} for each call and {asks}. An empty list gives []."
    approach = f"`{exercise.name}` solves one case, and `{name}` goes through the list."
    return _tested(text, source, name, pairs, approach, rng)


def _tested(
    text: str, source: str, name: str, pairs: Sequence[tuple[Any, Any]], approach: str, rng: random.Random
) -> Draft | str:
    if len({repr(result) for _, result in pairs}) < 3:
        return "too few different results"
    tests = asserts(name, telling(pairs, rng, CASES + 2))
    return Draft(text=text, source=source, name=name, tests=tests, approach=approach)


def from_json(parents: Sequence[Record], rng: random.Random, context: Context) -> Rewritten | str:
    """Another form of the input: the arguments come as JSON."""
    return _one(_from_json, parents, rng, context)


def _from_json(exercise: Exercise, rng: random.Random, context: Context) -> Draft | str:
    name = free_name(f"{exercise.name}_from_json", exercise.source)
    source = (
        f"{_with_imports(exercise.source, 'import json')}\n\n\ndef {name}(text):\n    arguments = json.loads(text)\n"
        f"    return {exercise.name}(**arguments)"
    )
    named = [dict(zip(exercise.parameters, call, strict=False)) for call in exercise.calls]
    texts = [json.dumps(arguments, ensure_ascii=False) for arguments in named if _is_json(arguments)]
    pairs = results_of(source, name, [(text,) for text in texts], context)
    keys = ", ".join(f"{p!r}" for p in exercise.parameters)
    text = (
        f"{exercise.text}\n\nAlso write `{name}(text)`: the text is a JSON object whose keys are the names of the arguments ({keys}); "
        f"it returns what `{exercise.name}` returns for them. Arguments with a default may be missing."
    )
    approach = f"`{name}` reads the object and passes its entries on as keyword arguments."
    return _tested(text, source, name, pairs, approach, rng)


def _with_imports(source: str, *wanted: str) -> str:
    """The source with imports before it, those that it has aside."""
    lines = "".join(f"{line}\n" for line in wanted if line not in source.splitlines())
    return lines + ("" if source.startswith(("import ", "from ")) or not lines else "\n\n") + source


def _is_json(value: Any) -> bool:
    """Whether a value comes back from JSON as it was, floats of few digits aside."""
    try:
        return bool(json.loads(json.dumps(value)) == value) and all(round(x, 6) == x for x in floats_in(value))
    except (TypeError, ValueError):
        return False


def as_script(parents: Sequence[Record], rng: random.Random, context: Context) -> Rewritten | str:
    """Another form altogether: a script that reads calls from standard input and prints the results."""
    return _one(_as_script, parents, rng, context)


def _as_script(exercise: Exercise, rng: random.Random, context: Context) -> Draft | str:
    calls = [call for call in exercise.calls if _is_json(list(call))]
    pairs = [pair for pair in results_of(exercise.source, exercise.name, calls, context) if _is_json(pair[1])]
    if any(floats_in(result) for _, result in pairs):
        return "a result is a float, which another right solution may print otherwise"
    if len({repr(result) for _, result in pairs}) < 3:
        return "too few different results"
    source = (
        f"{_with_imports(exercise.source, 'import json', 'import sys')}\n\n\nfor line in sys.stdin:\n    if line.strip():\n"
        f"        print(json.dumps({exercise.name}(*json.loads(line)), sort_keys=True))"
    )
    stdio = []
    for count in (1, 2, 3, len(pairs)):
        chosen = rng.sample(pairs, min(count, len(pairs)))
        asked = "\n".join(json.dumps(list(args)) for args, _ in chosen)
        stdio.append([f"{asked}\n", "".join(json.dumps(result, sort_keys=True) + "\n" for _, result in chosen)])
    text = (
        f"{exercise.text}\n\nPut it into a Python script: each line of standard input that is not blank is a JSON array with the arguments of "
        f"one call of `{exercise.name}`, in order. For each, print the result as JSON on a line of its own, as json.dumps(result, "
        f"sort_keys=True) writes it."
    )
    approach = f"The script reads standard input line by line and calls `{exercise.name}` with each array."
    return Draft(text=text, source=source, name="", tests={"stdio": [*stdio, ["", ""]]}, approach=approach)


def find_input(parents: Sequence[Record], rng: random.Random, context: Context) -> Rewritten | str:
    """The inverse, where it can be checked: which of some inputs gives a result."""
    return _one(_find_input, parents, rng, context)


def _find_input(exercise: Exercise, rng: random.Random, context: Context) -> Draft | str:
    is_single = len(exercise.parameters) == 1
    star, item = ("", "argument") if is_single else ("*", "tuple of arguments")
    name = free_name(f"find_{exercise.name}_input", exercise.source)
    source = (
        f"{exercise.source}\n\n\ndef {name}(result, candidates):\n    for candidate in candidates:\n"
        f"        if {exercise.name}({star}candidate) == result:\n            return candidate\n    return None"
    )
    known = results_of(exercise.source, exercise.name, exercise.calls, context)
    items = [args[0] if is_single else tuple(args) for args, _ in known]
    results = [result for _, result in known]
    if not results:
        return "too few different results"
    inputs: list[tuple[Any, ...]] = []
    for result in results:
        shuffled = list(items)
        rng.shuffle(shuffled)
        inputs += [(result, shuffled), (result, [i for i, r in zip(items, results, strict=True) if r != result][:3])]
    text = (
        f"{exercise.text}\n\nAlso write the inverse by search, `{name}(result, candidates)`: `candidates` is a list with one {item} for each "
        f"possible input; it returns the first of them for which `{exercise.name}` gives `result`, and None if there is none."
    )
    pairs = results_of(source, name, inputs, context)
    if any(found is not None and found not in candidates for (_, candidates), found in pairs):
        return "the function changes its arguments"  # what it found is then no longer what it was given
    return _tested(text, source, name, pairs, f"`{name}` tries the candidates in order.", rng)


def guard(parents: Sequence[Record], rng: random.Random, context: Context) -> Rewritten | str:
    """One more constraint: what is not of the right type is refused."""
    return _one(_guard, parents, rng, context)


def _guard(exercise: Exercise, rng: random.Random, context: Context) -> Draft | str:
    places = [
        (i, type(exercise.calls[0][i]).__name__)
        for i in range(exercise.required)
        if len({type(call[i]) for call in exercise.calls}) == 1 and type(exercise.calls[0][i]).__name__ in WRONG
    ]
    if not places:
        return "no argument has one plain type"
    place, kind = rng.choice(places)
    parameter, name = exercise.parameters[place], free_name(f"checked_{exercise.name}", exercise.source)
    passed = ", ".join(exercise.parameters[: exercise.required])
    source = (
        f"{exercise.source}\n\n\ndef {name}({passed}):\n    if not isinstance({parameter}, {kind}):\n"
        f"        raise TypeError('{parameter} must be {ARTICLES[kind]}')\n    return {exercise.name}({passed})"
    )
    calls = [call[: exercise.required] for call in exercise.calls]
    pairs = results_of(source, name, calls, context)
    draft_text = f"{exercise.text}\n\nAlso write `{name}({passed})`, which does the same but raises TypeError if `{parameter}` is not {ARTICLES[kind]}."
    draft = _tested(
        draft_text, source, name, pairs, f"`{name}` looks at the type before it calls `{exercise.name}`.", rng
    )
    if isinstance(draft, str):
        return draft
    good = list(calls[0])
    arguments = ", ".join("bad" if i == place else repr(value) for i, value in enumerate(good))
    tests = (
        f"{draft.tests}for bad in {WRONG[kind]!r}:\n    try:\n        {name}({arguments})\n    except TypeError:\n        continue\n"
        f'    assert False, "a wrong type was accepted"\n'
    )
    return Draft(text=draft.text, source=source, name=name, tests=tests, approach=draft.approach)


def generalise(parents: Sequence[Record], rng: random.Random, context: Context) -> Rewritten | str:
    """A number of the text becomes a parameter."""
    return _one(_generalise, parents, rng, context)


def _generalise(exercise: Exercise, rng: random.Random, context: Context) -> Draft | str:
    tree = ast.parse(exercise.source)
    function = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == exercise.name)
    numbers = [n for n in ast.walk(function) if isinstance(n, ast.Constant) and type(n.value) is int and n.value > 1]
    once = [n for n in numbers if sum(type(m.value) is int and m.value == n.value for m in numbers) == 1]
    # A default is one already; members of a row, as of coins, belong together.
    rows = [n for n in ast.walk(function) if isinstance(n, ast.List | ast.Tuple | ast.Set | ast.Dict)]
    bound = {id(n) for part in (*function.args.defaults, *rows) for n in (part, *ast.iter_child_nodes(part))}
    named = [n for n in once if id(n) not in bound and _mentions(exercise.text, int(str(n.value))) == 1]
    if not named or len(exercise.parameters) > 4:
        return "no number of the text is one constant of the reference"
    chosen = rng.choice(named)
    value = int(str(chosen.value))
    if _mentions(repr(exercise.calls), value):  # the inputs were made for this number
        return "no number of the text is one constant of the reference"
    parameter = next(p for p in ("k", "amount", "parameter") if p not in _names(tree))
    others = sorted({value + 1, value + 3, 2 * value, max(1, value - 1)} - {value})
    source = _parametrised(exercise, chosen, parameter, value)
    positional = [call for call in exercise.calls if len(call) <= exercise.required]
    if source is None or not positional or exercise.required < len(exercise.parameters):
        return "no number of the text is one constant of the reference"
    inputs = [*positional, *((*call, other) for call in positional for other in others)]
    pairs = results_of(source, exercise.name, inputs, context)
    changed = {repr(result) for args, result in pairs if len(args) > exercise.required} - {
        repr(result) for args, result in pairs if len(args) == exercise.required
    }
    if not changed:
        return "another number makes no difference on the inputs of the tests"
    text = (
        f"{exercise.text}\n\nThe function takes one more argument, `{parameter}`, with the default {value}: it stands in place of the number "
        f"{value} in the text above."
    )
    return _tested(text, source, exercise.name, pairs, f"The number {value} becomes the argument `{parameter}`.", rng)


def _mentions(text: str, number: int) -> int:
    """How often a text has a number, also inside another word or number."""
    return len(re.findall(str(number), text))


def _names(tree: ast.AST) -> set[str]:
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    return names | {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}


def _parametrised(exercise: Exercise, constant: ast.Constant, parameter: str, value: int) -> str | None:
    """The source with a constant replaced by a new last parameter that has the constant as default."""
    lines = exercise.source.splitlines()
    line, start, end = lines[constant.lineno - 1], constant.col_offset, constant.end_col_offset or 0
    raw = line.encode()
    if raw[start:end] != str(value).encode():
        return None
    lines[constant.lineno - 1] = (raw[:start] + parameter.encode() + raw[end:]).decode()
    header = re.compile(rf"^def {re.escape(exercise.name)}\(([^()]*)\)", re.M)
    source = "\n".join(lines)
    return (
        header.sub(lambda m: f"def {exercise.name}({m[1]}, {parameter}={value})", source, count=1)
        if header.search(source)
        else None
    )


def pair(parents: Sequence[Record], rng: random.Random, context: Context) -> Rewritten | str:
    """Two exercises at once: a function that needs both."""
    read = [read_exercise(parent) for parent in parents]
    first, second = read
    if isinstance(first, str) or isinstance(second, str):
        return next(r for r in read if isinstance(r, str))
    shared = _names_of(first.source) & _names_of(second.source)
    if shared or first.name == second.name:
        return "the two define the same name"
    name = free_name(f"{first.name}_and_{second.name}", f"{first.source}\n{second.source}")
    source = (
        f"{first.source}\n\n\n{second.source}\n\n\ndef {name}(first, second):\n"
        f"    return {first.name}(*first), {second.name}(*second)"
    )
    inputs = [(rng.choice(first.calls), rng.choice(second.calls)) for _ in range(2 * CASES)]
    pairs = results_of(source, name, inputs, context)
    text = (
        f"Write two functions and a third one that needs both.\n\n1. {first.text}\n\n2. {second.text}\n\n3. Write `{name}(first, second)`, where "
        f"`first` is a tuple with the arguments of `{first.name}` and `second` one with those of `{second.name}`. It returns the tuple of both "
        f"results."
    )
    draft = _tested(text, source, name, pairs, f"`{name}` unpacks both tuples and calls the two functions.", rng)
    return draft if isinstance(draft, str) else accepted(draft, context)


def _names_of(source: str) -> set[str]:
    """What a source defines at its top level, imports aside."""
    tree = ast.parse(source)
    imported = {a.asname or a.name for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom) for a in n.names}
    stored = {
        n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store) and n.col_offset == 0
    }
    defined = {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    return (stored | defined) - imported


def faithful(task: Task, wording: str) -> str:
    """What another wording of a rewritten exercise leaves out: its names, its numbers, the texts in quotes."""
    for pattern, what in ((r"`([^`]+)`", "a name"), (r"\d+(?:\.\d+)?", "a number"), (r'"([^"]+)"', "a text in quotes")):
        missing = set(re.findall(pattern, task.instruction)) - set(re.findall(pattern, wording))
        if missing:
            return f"{what} is missing"
    return ""
