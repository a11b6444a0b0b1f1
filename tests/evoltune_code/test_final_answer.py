"""Which code of a response counts: checked by running it, with a right and a wrong version of one function in every arrangement."""

import contextlib
import decimal
import io
import json
import sys

import pytest

from evoltune.record import Task
from evoltune_code.assembly import assemble
from evoltune_code.extraction import extract

RIGHT, WRONG = "def inc(x):\n    return x + 1\n", "def inc(x):\n    return x - 1\n"
TESTS = "assert inc(1) == 2\nassert inc(-5) == -4\n"
LONG_USE = "for value in range(9):\n    result = inc(value)\n    print('a longer block', value, result)\n"


def fenced(code, info="python"):
    return f"```{info}\n{code}```\n"


def holds(response, tests=TESTS, entry_point="inc", prompt=""):
    """Whether the candidate of a response passes the tests, run together by the interpreter."""
    found = extract(Task(instruction="", tests=tests, fields={"entry_point": entry_point, "prompt": prompt}), response)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(f"{assemble(prompt, entry_point, found or '')}\n{tests}", {"__name__": "extracted"})
    except (AssertionError, NameError, SyntaxError):
        return False
    return True


DRAFT_THEN_ANSWER = [
    "{a}Corrected:\n{b}",
    "<think>\n{a}</think>\n{b}",
    "{a}Is that right? No.\n</think>\n{b}",
    "[THINK]{a}[/THINK]{b}",
    "<think>\n```python\ndef inc(\n</think>\n{b}",
    "First version:\n\n{a}\nThat is wrong (it is off by two). Then:\n\n{b}\nDone.",
]


@pytest.mark.parametrize("frame", DRAFT_THEN_ANSWER)
@pytest.mark.parametrize("first", [fenced, str, lambda code: fenced(code, "")])
@pytest.mark.parametrize("second", [fenced, str])
def test_the_last_version_counts_and_drafts_do_not(frame, first, second):
    assert holds(frame.format(a=first(WRONG), b=second(RIGHT)))
    assert not holds(frame.format(a=first(RIGHT), b=second(WRONG)))


@pytest.mark.parametrize("entry_point", ["inc", ""])
@pytest.mark.parametrize(
    "last",
    ["def inc(x)\n    return x + 1\n", "def inc(x):\n    return (x + 1\n    # done\n", "inc = lambda x: x +\n#\n"],
)
@pytest.mark.parametrize("frame", [fenced, lambda code: fenced(code, ""), lambda code: code + "\nDone.\n"])
def test_a_last_version_that_does_not_compile_is_the_answer(frame, last, entry_point):
    assert not holds(frame(RIGHT) + "\nBetter, as it is shorter:\n\n" + frame(last), entry_point=entry_point)
    assert holds(frame(last) + "\nBetter, as it compiles:\n\n" + fenced(RIGHT), entry_point=entry_point)


@pytest.mark.parametrize("entry_point", ["inc", ""])
@pytest.mark.parametrize(
    "response",
    [
        fenced(RIGHT) + "Use it:\n" + fenced(LONG_USE),
        fenced(RIGHT) + "Output:\n" + fenced("1\n2\n", ""),
        "Here is the code: ```python\n" + RIGHT + "```\nIt adds one.",
        "Here is the code: ```python\n" + RIGHT + "``` It adds one, and that is all.",
        fenced(RIGHT, "") + "Use it:\n" + fenced("print(inc(1))\n"),
        fenced(RIGHT, "text") + "Output:\n" + fenced("1\n2\n", "text"),
        fenced(RIGHT, "tool_code"),
        "````markdown\n# Solution\n" + fenced(RIGHT) + "````",
        fenced("# Solution\n" + fenced(RIGHT), "md"),
        RIGHT + "<|EOT|>\n" + WRONG,
        RIGHT + "\n<|file_sep|>test.py\n" + WRONG,
        RIGHT + "</answer>",
        "[BEGIN]\n" + RIGHT + "[DONE]\n" + WRONG,
        RIGHT + "```\nExample:\n" + fenced("print(inc(1))\n"),
        fenced(RIGHT, "python:inc.py") + fenced(RIGHT.replace("x", "y"), 'python title="inc.py"'),
        fenced(RIGHT, "inc.py"),
        fenced(RIGHT, " Python 3.11"),
        "> ```python\n> def inc(x):\n>     return x + 1\n> ```\n",
        "```python\ndef inc(x):\n    return x + 1```\nDone.",
        '```python\ndef inc(x):\n    """Don\'t #fail.\n```\ninc(1)\n```\n    """\n    return x + 1\n```\nok',
        RIGHT + "\nExample:\n\n" + fenced(">>> inc(1)\n2\n", ""),
        "Solution (constant time):\n\n" + RIGHT + "\nExample: inc(1) returns 2\ninc(1) -> 2\n",
        "## Solution\n\n" + RIGHT + "\n## Complexity\n\nO(1)\n",
        RIGHT + "\nprint(inc(1))\n\nOutput\n2\n",
        "if you like, try this.\n\n" + RIGHT + "\nwith that, you are done.",
        "Here:\n\n    def inc(x):\n        return x + 1\n\nDone.",
        "<|channel|>final<|message|>" + fenced(RIGHT) + "<|return|>",
        fenced(RIGHT) + "<|eot_id|>" + fenced(WRONG),
        fenced(RIGHT) + "Faster:\n```python\ndef inc(x, step=1):\n    if step ==",
        fenced(RIGHT) + "Its signature:\n" + fenced("def inc(x):\n    # adds one\n"),
        RIGHT + "\ndef inc(x) adds one to its argument.\n",
    ],
)
def test_the_function_is_found_in_any_frame(response, entry_point):
    assert holds(response, entry_point=entry_point)


@pytest.mark.parametrize(
    ("other", "body"),
    [
        ("STEP = 1\n", "STEP"),
        ("STEP: int = 1\n", "STEP"),
        ("ZERO, STEP = 0, 1\n", "STEP"),
        ("table = {}\nfor i in range(3):\n    table[i] = 1\nprint(table)\n", "table[1]"),
        ("from math import *\n", "int(pi / pi)"),
        ("import math\nRATIO = math.pi / math.pi\n", "int(RATIO)"),
        (
            "from decimal import getcontext\ngetcontext().prec = 1\n",
            "len(str(__import__('decimal').Decimal(1) / 3)) - 2",
        ),
        ("n = int(input())\nSTEP = 1\nprint(n)\n", "STEP"),
        ("class Adder:\n    step = 1\nassert Adder.step == 2\n", "Adder().step"),
        ("count = 0\n", "(globals().get('count', 9) + 1)"),
        ("def one():\n    return 1\n" + WRONG, "one()"),
    ],
)
def test_what_the_answer_needs_of_another_block_comes_along(other, body):
    use = "    global count\n" if "count" in body else ""
    with decimal.localcontext():  # the block may set a precision, which must not reach other tests
        assert holds(fenced(other) + "Then:\n" + fenced(f"def inc(x):\n{use}    return x + {body}\n"))


def test_a_limit_that_another_block_sets_is_set():
    code = extract(
        Task(instruction="", fields={"entry_point": "depth"}),
        fenced("import sys\nsys.setrecursionlimit(20000)\n")
        + fenced("def depth(n):\n    return n and 1 + depth(n - 1)\n"),
    )
    assert code is not None and code.startswith("import sys\nsys.setrecursionlimit(20000)")


@pytest.mark.parametrize(
    "response", [fenced(RIGHT.replace("inc", "increment")), "<think>\n" + fenced(RIGHT), "I cannot."]
)
def test_no_answer_is_made_up(response):
    assert not holds(response)


PROGRAM = "print(sum(map(int, input().split())))\n"


@pytest.mark.parametrize(
    "response",
    [
        fenced("import sys\nnumbers = sys.stdin.read().split()\nprint(len(numbers) * 1000, 'a longer first attempt')\n")
        + fenced(PROGRAM),
        fenced("def total(xs):\n    return sum(xs)\n") + fenced("print(total(map(int, input().split())))\n"),
        fenced("def main():\n    print(sum(map(int, input().split())))\n") + "Call it:\n" + fenced("main()\n"),
        fenced(PROGRAM) + "For 1 2 3 it computes:\n" + fenced("print(1 + 2 + 3, 'only an example of what happens')\n"),
        fenced(PROGRAM, "") + "Input:\n" + fenced("1 2 3\n", "") + "Output:\n" + fenced("6\n", ""),
        "Here you go:\n\n" + PROGRAM + "\nIt sums up.\n",
        "First:\n\nn = int(input())\nprint(n)\n\nThat reads one number only. Better:\n\n" + PROGRAM,
    ],
)
def test_a_program_is_the_last_that_reads_its_input(response, monkeypatch):
    code = extract(Task(instruction="", tests={"stdio": [["1 2 3\n", "6\n"]]}), response)
    output = io.StringIO()
    monkeypatch.setattr(sys, "stdin", io.StringIO("1 2 3\n"))
    with contextlib.redirect_stdout(output):
        exec(code or "", {"__name__": "__main__"})
    assert output.getvalue() == "6\n"


@pytest.mark.parametrize(
    ("language", "tag", "right", "wrong", "other"),
    [
        ("javascript", "js", "function inc(x) {\n  return x + 1;\n}", "function inc(x) {\n  // a long comment\n  return x;\n}", "console.log(inc(1), inc(2), inc(3));"),
        ("TypeScript", "ts", "const inc = (x: number): number => x + 1;", "const inc = (x: number): number => x; // no", "console.log(inc(1));"),
        ("C", "c", "int inc(int x) { return x + 1; }", "int inc(int x)\n{\n    return x; /* a long comment */\n}", "int y = inc(1);"),
        ("C++", "c++17", "long inc(long x) { return x + 1; }", "long inc(long x) {\n    // a long comment\n    return x;\n}", "long y = inc(1);"),
        ("sh", "bash", "inc() {\n  echo $(($1 + 1))\n}", "inc() {\n  # a long comment\n  echo $1\n}", "inc 1; inc 2; inc 3; inc 4; inc 5"),
        ("java", "java", "static int inc(int x) { return x + 1; }", "static int inc(int x) {\n    // long\n    return x;\n}", "int y = inc(1);"),
        ("golang", "go", "func inc(x int) int { return x + 1 }", "func inc(x int) int {\n\t// a long comment\n\treturn x\n}", "y := inc(1)"),
        ("Rust", "rs", "fn inc(x: i32) -> i32 { x + 1 }", "fn inc(x: i32) -> i32 {\n    // a long comment\n    x\n}", "let y = inc(1);"),
    ],
)  # fmt: skip
def test_in_every_language_the_last_definition_counts(language, tag, right, wrong, other):
    task = Task(instruction="", fields={"entry_point": "inc", "language": language})
    for response in (
        f"```{tag}\n{right}\n```\n",
        f"```{tag}\n{wrong}\n```\nCorrected:\n```{tag}\n{right}\n```\nUse:\n```{tag}\n{other}\n```\n",
        f"<think>\n```{tag}\n{wrong}\n```\n</think>\n```{tag}\n{right}\n```",
        f"```{tag}\n{right}\n```<|im_end|>",
        f"{right}\n```\nIt adds one.",
        f"Here is the code:\n\n{right}\n\nIt adds one to x.",
    ):
        assert (extract(task, response) or "").strip() == right


def test_includes_and_functions_of_other_blocks_come_along():
    response = "```cpp\n#include <vector>\nusing namespace std;\n```\n```cpp\nint one() { return 1; }\n```\n```cpp\nint inc(int x) { return x + one(); }\n```\n"
    code = extract(Task(instruction="", fields={"entry_point": "inc", "language": "cpp"}), response) or ""
    assert code.index("#include") < code.index("int one") < code.index("int inc")


@pytest.mark.parametrize("frame", ["{}", "```json\n{}\n```", "<think>no</think>\n{}\n"])
def test_the_code_of_an_answer_in_json_counts(frame):
    for code in (RIGHT, WRONG):
        wrapped = frame.format(json.dumps({"explanation": "adds", "code": code, "complexity": "O(1)"}))
        assert holds(wrapped) is (code is RIGHT)
    assert not holds(frame.format(json.dumps({"code": RIGHT, "solution": WRONG})))


@pytest.mark.parametrize("mark", ["<|", "<|im_e", "  <|endoftext"])
def test_an_end_mark_that_is_cut_off_is_no_code(mark):
    assert holds(fenced(RIGHT).rstrip() + mark) and holds(RIGHT + mark)
