"""Tests as known sets keep them, read as what they are: APPS and TACO, LiveCodeBench, a method of LeetCode's `Solution`.

    recognised('{"inputs": ["4\\n"], "outputs": ["16\\n"]}', "")
        # ({"stdio": [["4\\n", "16\\n"]]}, "")
    recognised({"inputs": [[[2, 7], 9]], "outputs": [[[0, 1]]], "fn_name": "twoSum"}, "")
        # ({"cases": [...], "lists": True}, "twoSum")

Invariant: tests that are Python source, or in a form of the sandbox's, come back as they are; JSON text is read first, and keys
that hold nothing (Arrow fills missing ones with None) are as if they were not there.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from evoltune.sandbox.values import encode

METHOD = re.compile(r"^[A-Za-z_]\w*\(\)\.([A-Za-z_]\w*)$")
"""An entry point such as `Solution().twoSum`."""
ENTRY = "_entry_point"
"""The name under which a program offers such a method."""


class UnreadableFormError(ValueError):
    """Tests of which no form is known; the text says what is missing."""


def recognised(tests: Any, entry_point: str) -> tuple[Any, str]:
    """The tests in a form of the sandbox's, and the function under test. Raises UnreadableFormError."""
    tests = _parsed(tests)
    if isinstance(tests, Mapping):
        tests = {key: value for key, value in tests.items() if value is not None}
        for inputs, outputs in (("inputs", "outputs"), ("input", "output")):
            if inputs in tests and outputs in tests:
                pairs = _listed(tests[inputs]), _listed(tests[outputs])
                called = str(tests.get("fn_name") or "")
                if called and pairs[0] and all(isinstance(v, str) for values in pairs for v in values):
                    texts, results = _even(*pairs)
                    arguments = [[_value(line) for line in text.splitlines() if line.strip()] for text in texts]
                    return _calls(arguments, [*map(_value, results)], called, wrapped=False)
                return _pairs(*pairs, called or entry_point)
        return tests, entry_point
    if isinstance(tests, list) and tests and all(isinstance(t, Mapping) and {"input", "output"} <= {*t} for t in tests):
        if any(t.get("testtype") == "functional" for t in tests):
            arguments = [[json.loads(line) for line in str(t["input"]).splitlines() if line.strip()] for t in tests]
            return _calls(arguments, [json.loads(str(t["output"])) for t in tests], entry_point, wrapped=False)
        return _pairs([t["input"] for t in tests], [t["output"] for t in tests], entry_point)
    return tests, entry_point


def with_method(program: str, entry_point: str) -> tuple[str, str]:
    """A program that offers a method (`Solution().twoSum`) as a function, and the function's name."""
    if not METHOD.match(entry_point):
        return program, entry_point
    return f"{program}\n\n{ENTRY} = {entry_point}\n", ENTRY


def method_of(program: str, name: str) -> str:
    """`Solution().name` where the program defines it in a class Solution and nowhere else; else the name."""
    in_class = re.search(rf"^class Solution\b.*?^[ \t]+(?:async )?def {re.escape(name)}\(", program, re.M | re.S)
    top_level = re.search(rf"^(?:(?:async )?def|class) {re.escape(name)}\b|^{re.escape(name)}\s*=", program, re.M)
    return f"Solution().{name}" if name and in_class and not top_level else name


def top_level_name(entry_point: str, text: str) -> str:
    """The name that a program must define at its top level for this entry point: the class, where it is a method."""
    return method_of(text, entry_point).partition("(")[0]


def _parsed(tests: Any) -> Any:
    """JSON text that holds an object or a list of tests; anything else as it is."""
    if not isinstance(tests, str) or tests.lstrip()[:1] not in ("{", "["):
        return tests
    try:
        found = json.loads(tests)
    except ValueError:
        return tests
    listed = isinstance(found, list) and found and all(isinstance(t, str | dict) for t in found)
    return found if isinstance(found, dict) or listed else tests


def _listed(values: Any) -> list[Any]:
    return list(values) if isinstance(values, list | tuple) else [values]


def _value(text: str) -> Any:
    """What a line of arguments or a result says in JSON; any other text is itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _even(inputs: list[Any], outputs: list[Any]) -> tuple[list[Any], list[Any]]:
    if len(inputs) != len(outputs) or not inputs:
        raise UnreadableFormError(f"{len(inputs)} inputs and {len(outputs)} outputs: as many of both are needed")
    return inputs, outputs


def _pairs(inputs: list[Any], outputs: list[Any], name: str) -> tuple[Any, str]:
    _even(inputs, outputs)
    if name and not all(isinstance(i, str) for i in inputs):
        return _calls([_listed(i) for i in inputs], outputs, name, wrapped=True)
    if not all(isinstance(v, str) or _lines(v) for v in (*inputs, *outputs)):
        raise UnreadableFormError("the inputs are arguments, but no function is named (fn_name or entry_point)")
    return {"stdio": [[_text(i), _text(o)] for i, o in zip(inputs, outputs, strict=True)]}, name


def _lines(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(line, str) for line in value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "\n".join(value)


def _calls(arguments: list[list[Any]], results: list[Any], name: str, wrapped: bool) -> tuple[Any, str]:
    """Calls of a function. `wrapped`: APPS wraps a result in a list, or does not; both are right, as in its own harness."""
    if not name:
        raise UnreadableFormError("the tests call a function that nothing names (entry_point)")
    rows = []
    for args, result in zip(arguments, results, strict=True):
        inner = [encode(result[0])] if wrapped and isinstance(result, list) and len(result) == 1 else []
        rows.append([encode(args), encode(result), *inner])
    return {"cases": rows, "lists": True}, name
