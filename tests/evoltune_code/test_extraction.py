"""From a response to a candidate, and from a candidate to a program."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.record import Task
from evoltune_code.assembly import assemble, preamble
from evoltune_code.extraction import extract, without_main
from evoltune_code.fences import blocks
from evoltune_code.syntax import syntax_error

PROMPT = (
    "from typing import List\n\n\ndef helper(x):\n    return x + 1\n\n\n"
    'def total(xs: List[int]) -> int:\n    """Sum."""\n'
)
SOLUTION = "def total(xs):\n    return sum(xs)"


def task(entry_point="total", prompt="", language=None):
    fields = {"entry_point": entry_point, "prompt": prompt}
    return Task(instruction="", fields=fields | ({"language": language} if language else {}))


def run(response, xs=(1, 2, 3), prompt="", entry_point="total"):
    code = extract(task(entry_point, prompt), response)
    assert code is not None
    space = {}
    exec(assemble(prompt, entry_point, code), space)
    return space[entry_point](list(xs))


@pytest.mark.parametrize(
    "response",
    [
        SOLUTION,
        f"```python\n{SOLUTION}\n```",
        f"Sure! Here it is:\n\n```python\n{SOLUTION}\n```\nIt adds them up.",
        f"Sure:\n```py\n{SOLUTION}",
        f"~~~\n{SOLUTION}\n~~~",
        f"1. Do this:\n   ```python\n   {SOLUTION.replace(chr(10), chr(10) + '   ')}\n   ```\nDone.",
        f"Here is the function you asked for.\n\n{SOLUTION}\n\nThis function returns the sum, as wanted.",
        f"```bash\npip install numpy\n```\n```python\n{SOLUTION}\n```\n```\n6\n```",
        f"First try:\n```python\ndef total(xs):\n    return 0\n```\nBetter:\n```python\n{SOLUTION}\n```",
        f"```python\n{SOLUTION}\n```\nUse it:\n```python\nprint(total([1, 2]))\n```",
        SOLUTION.replace("\n", "\r\n"),
        SOLUTION.replace("    ", "\t"),
        "\ufeff" + SOLUTION,
        SOLUTION + "\n\nif __name__ == '__main__':\n    total(int(input()))\n",
        "import math\ntotal = lambda xs: sum(xs)",
        f"```{{.python}}\n{SOLUTION}\n```<|im_end|>",
        '```python\ndef total(xs):\n    """\n    ```\n    total([1])\n    ```\n    """\n    return sum(xs)\n```',
    ],
)
def test_the_function_is_found_however_it_is_wrapped(response):
    assert run(response) == 6


@pytest.mark.parametrize(
    "completion",
    [
        "    return sum(xs)\n",
        "\n    # add them\n    return sum(xs)",
        "    from math import fsum\n    return int(fsum(xs))",
        "return sum(xs)",
        "result = 0\n    for x in xs:\n        result += x\n    return result",
        "def total(xs: List[int]) -> int:\n    return sum(xs)",
        "from __future__ import annotations\ndef total(xs: List[int]):\n    return sum(xs)",
        "```python\n    return sum(xs)\n```",
        "```python\nreturn sum(xs)\n```",
        "    return helper(sum(xs)) - 1",
        "def total(xs: List[int]) -> int:\n    return helper(sum(xs)) - 1",
    ],
)
def test_a_body_or_a_whole_function_completes_the_prompt_with_its_imports_and_helpers(completion):
    assert run(completion, prompt=PROMPT) == 6


@pytest.mark.parametrize("body", ["\tacc = 0\n\treturn acc", "    for x in xs:\n\tacc += x\n    return acc"])
def test_tabs_that_python_refuses_are_not_repaired(body):
    assert syntax_error(assemble(PROMPT, "total", body)) is not None


def test_a_prompt_without_its_last_newline_takes_a_body():
    assert run("    return sum(xs)\n", prompt=PROMPT.rstrip("\n")) == 6


def test_a_prompt_without_a_docstring_takes_a_whole_function_too():
    assert run(SOLUTION, prompt="import math\ndef total(xs):\n") == 6


def test_a_prompt_in_words_is_not_put_before_the_code():
    assert assemble("Please write a function that sums.", "total", SOLUTION) == SOLUTION


def test_helpers_and_imports_of_other_blocks_come_along():
    response = (
        "```python\nfrom math import fsum\n```\n```python\ndef plus(xs):\n    return fsum(xs)\n```\n"
        "```python\ndef total(xs):\n    return int(plus(xs))\n```"
    )
    assert run(response) == 6


@pytest.mark.parametrize(
    "response",
    ["", "   \n", "I'm sorry, I cannot do that.", "Sure", "```bash\nls\n```", "```\n>>> total([1])\n1\n```", "42"],
)
def test_a_response_without_code_gives_nothing(response):
    assert extract(task(), response) is None


def test_without_an_entry_point_the_last_program_that_compiles_wins():
    response = "```python\nprint(1)\n```\n```python\nimport sys\nprint(sys.stdin.read())\n```\n```python\nthis is no Python, but it is long enough\n```"
    assert extract(task(entry_point=""), response) == "import sys\nprint(sys.stdin.read())"


def test_a_script_keeps_its_main_part():
    script = "def main():\n    print(1)\n\nif __name__ == '__main__':\n    main()\n"
    assert extract(task(entry_point=""), script) == script


def test_broken_code_is_still_a_candidate_so_that_it_fails_with_its_line():
    code = extract(task(), "def total(xs):\n    return sum(xs\n")
    assert code is not None
    assert syntax_error(code)[0] == 2


@pytest.mark.parametrize(("language", "tag"), [("javascript", "js"), ("cpp", "c++"), ("bash", "sh"), ("rust", "rust")])
def test_other_languages_are_found_by_their_fence(language, tag):
    response = f"```python\nprint(1)\n```\n```{tag}\nthe code\n```"
    assert extract(task(language=language), response) == "the code"


def test_the_preamble_of_a_prompt_leaves_the_stub_out():
    assert "helper" in preamble(PROMPT, "total") and "def total" not in preamble(PROMPT, "total")


def test_only_the_main_tail_is_cut():
    assert without_main("x = 1\nif __name__ == '__main__':\n    y()\nz = 2") == "x = 1\n\n\nz = 2"


@pytest.mark.parametrize("source", ["\0", "x = '\ud800'", "(" * 5000, "x" * 1_000_001, "-" * 100_000 + "1"])
def test_hostile_sources_are_faults_and_not_crashes(source):
    assert syntax_error(source) is not None
    extract(task(), source)


@given(st.text(max_size=300))
def test_extraction_never_raises_and_gives_text_or_nothing(text):
    for prompt in ("", PROMPT):
        found = extract(task(prompt=prompt), text)
        assert found is None or isinstance(found, str)


@given(st.text(alphabet=st.characters(exclude_characters="`~\r", exclude_categories=["Cs"]), max_size=200))
def test_what_stands_in_one_fence_comes_back(text):
    assert [b.code for b in blocks(f"a\n```python\n{text}\n```\nb")] == [text]


@pytest.mark.parametrize("broken", ["x = ((((", "x = ----", '"""unterminated', "f(("])
def test_a_broken_statement_before_the_function_is_not_dropped_as_prose(broken):
    program = f"{broken}\ndef solve(a, b):\n    return a + b\n"
    found = extract(Task(instruction="", fields={"entry_point": "solve"}), program)
    assert found is not None and broken in found


def test_prose_before_a_bare_function_is_dropped():
    response = "Sure, here it is (with two arguments):\n\ndef solve(a, b):\n    return a + b\n"
    found = extract(Task(instruction="", fields={"entry_point": "solve"}), response)
    assert found is not None and found.startswith("def solve")


@pytest.mark.parametrize(
    "text", [" " * 200_000, "\n" * 200_000, "```json\n" + " " * 200_000, '{"' + " " * 200_000, '{"}' + "} " * 50_000]
)
def test_blanks_by_the_thousand_cost_nothing(text):
    assert extract(Task(instruction="", fields={"entry_point": "solve"}), text) in (None, text.strip(), "")
