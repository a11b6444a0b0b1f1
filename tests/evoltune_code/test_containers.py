"""Code in sessions, notebooks, HTML, tool calls and diffs: checked by running it, with a right and a wrong version."""

import contextlib
import html
import io
import json
import sys
import time
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.record import Task
from evoltune_code.assembly import assemble
from evoltune_code.containers import contained
from evoltune_code.extraction import extract
from evoltune_code.foreign_extraction import extract as extract_other

RIGHT = "def inc(x):\n    if 0 < x < 9:\n        return x + 1\n    return x & 1 and x + 1\n"
WRONG = RIGHT.replace("+", "-")
TESTS = "assert inc(1) == 2\nassert inc(-5) == -4\n"
END = "\n\nThat is all.\n"


def task(tests=TESTS, entry_point="inc", prompt=""):
    return Task(instruction="", tests=tests, fields={"entry_point": entry_point, "prompt": prompt})


def holds(response, tests=TESTS, entry_point="inc", prompt=""):
    found = extract(task(tests, entry_point, prompt), response)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(f"{assemble(prompt, entry_point, found or '')}\n{tests}", {"__name__": "extracted"})
    except (AssertionError, NameError, SyntaxError, ImportError):
        return False
    return True


def typed(code, first=">>> ", other="... "):
    """As the interpreter shows what is typed: an empty second prompt ends a block."""
    lines = code.rstrip("\n").split("\n")
    return "".join((other if i else first) + line + "\n" for i, line in enumerate(lines)) + other.rstrip() + "\n"


def notebook(*cells, language="python"):
    rows = [
        {"cell_type": kind, "metadata": {}, "source": source.splitlines(keepends=True), **({} if kind == "markdown" else {"outputs": [], "execution_count": 1})}
        for kind, source in cells
    ]  # fmt: skip
    metadata = {"kernelspec": {"display_name": "x", "language": language, "name": "x"}}
    return json.dumps({"cells": rows, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}, indent=1)


def added(code, name="inc.py", lines=None):
    body = code.rstrip("\n").split("\n")
    header = f"--- /dev/null\n+++ b/{name}\n@@ -0,0 +1,{lines or len(body)} @@\n"
    return header + "".join(f"+{line}\n" for line in body)


def highlighted(code):
    return html.escape(code).replace("def", '<span class="k">def</span>').replace("return", "<b>return</b>")


PARTS = {
    "session": lambda code: typed(code) + ">>> inc(1)\n2\n",
    "session in a fence": lambda code: f"```python\n{typed(code)}>>> inc(1)\n2\n```\n",
    "session in a pycon fence": lambda code: f"```pycon\n{typed(code)}```\n",
    "indented session": lambda code: "".join(f"    {line}\n" for line in typed(code).splitlines()) + "\n",
    "quoted session": lambda code: "".join(f"> {line}\n" for line in typed(code).splitlines()) + "\n",
    "IPython": lambda code: typed(code, "In [3]: ", "   ...: ") + "\nIn [4]: inc(1)\nOut[4]: 2\n",
    "IDLE": lambda code: f">>> {code}\n>>> inc(1)\n2\n",
    "the first prompt on every line": lambda code: typed(code, ">>> ", ">>> ").removesuffix(">>>\n") + ">>> inc(1)\n2\n",
    "no blank behind the prompt": lambda code: typed(code, ">>>") + ">>> inc(1)\n2\n",
    "session in HTML": lambda code: f"<pre>{html.escape(typed(code))}</pre>\n",
    "pre": lambda code: f"<pre>{html.escape(code)}</pre>\n",
    "pre and code": lambda code: f'<pre><code class="language-python">{html.escape(code)}</code></pre>\n',
    "pre and code on lines of their own": lambda code: f"<pre>\n<code class='hljs python'>\n{html.escape(code)}\n</code>\n</pre>\n",
    "pre with a language": lambda code: f'<PRE lang="python">\n{html.escape(code)}</PRE>\n',
    "code": lambda code: f"<p><code>{html.escape(code)}</code></p>\n",
    "highlighted": lambda code: f'<div class="highlight"><pre>{highlighted(code)}</pre></div>\n',
    "line breaks": lambda code: "<pre>" + html.escape(code).replace("\n", "<br>").replace(" ", "&nbsp;") + "</pre>\n",
    "nothing escaped": lambda code: f"<pre><code>{code}</code></pre>\n",
}  # fmt: skip
TYPED = {*list(PARTS)[: list(PARTS).index("pre")]}
"""Where several statements are several inputs."""
WHOLE = {
    "notebook": lambda code: notebook(("markdown", "# Solution\n"), ("code", code), ("code", "inc(1)")),
    "notebook on one line": lambda code: json.dumps(json.loads(notebook(("code", code)))),
    "notebook in a fence": lambda code: f"Save it:\n```json\n{notebook(('code', code))}\n```\nDone.",
    "notebook behind prose": lambda code: "The notebook:\n\n" + notebook(("code", code)),
    "notebook with magics": lambda code: notebook(("code", "%matplotlib inline\n!pip install x\n" + code), ("code", "%%bash\nls\n")),
    "notebook that writes a file": lambda code: notebook(("code", "%%writefile inc.py\n" + code)),
    "tool call": lambda code: f"<|python_tag|>{code}<|eom_id|>",
    "tool call behind prose": lambda code: f"I run it.\n<|python_tag|>{code}",
    "tool call in JSON": lambda code: "<|python_tag|>" + json.dumps({"name": "python", "parameters": {"code": code}}) + "<|eom_id|>",
    "diff": added,
    "diff of git in a fence": lambda code: f"```diff\ndiff --git a/inc.py b/inc.py\nnew file mode 100644\nindex 0000000..e69de29\n{added(code)}```\n",
    "diff with a wrong count": lambda code: f"```diff\n{added(code, lines=99)}```\n",
    "diff with its test": lambda code: added(code) + added("from inc import inc\n\ndef test_inc():\n    assert inc(1) == 2", "test_inc.py"),
}  # fmt: skip
ENTRY_POINTS = pytest.mark.parametrize("entry_point", ["inc", ""])


@ENTRY_POINTS
@pytest.mark.parametrize("name", PARTS | WHOLE)
def test_the_function_is_found_in_each_container(name, entry_point):
    wrap = (PARTS | WHOLE)[name]
    assert holds(wrap(RIGHT), entry_point=entry_point)
    assert not holds(wrap(WRONG), entry_point=entry_point)
    assert holds(
        wrap("import math\n\n" + RIGHT.replace("0 <", "math.floor(0) <")) if name not in TYPED else wrap(RIGHT)
    )


@pytest.mark.parametrize(("first", "second"), product(PARTS, PARTS))
def test_the_last_version_counts_in_whatever_it_stands(first, second):
    for code, draft in ((RIGHT, WRONG), (WRONG, RIGHT)):
        response = f"First:\n\n{PARTS[first](draft)}\nBetter:\n\n{PARTS[second](code)}{END}"
        assert holds(response) is (code is RIGHT)


@pytest.mark.parametrize("name", PARTS)
def test_a_fenced_answer_beside_a_container_is_found_as_ever(name):
    for response in (
        f"```python\n{RIGHT}```\nTry it:\n\n{PARTS[name](WRONG)}",
        f"{PARTS[name](WRONG)}\n```python\n{RIGHT}```\n",
    ):
        assert extract(task(), response) == RIGHT.rstrip("\n")


@ENTRY_POINTS
@pytest.mark.parametrize(
    "response",
    [
        ">>> from math import floor\n>>> STEP = floor(1.5)\n>>> def inc(x):\n...     return x + STEP\n>>> print(inc(1))\n2\n",
        typed("class Adder:\n    step = 1") + typed("def inc(x):\n    return x + Adder.step") + ">>> inc('a')\nTraceback (most recent call last):\nTypeError\n",
        typed("@print\ndef other(): pass") + typed(RIGHT) + ">>> inc(input())\n",
        typed("def inc(x)\n    return x - 1") + "SyntaxError: invalid syntax\n" + typed(RIGHT),
        ">>> inc = lambda x: x + 1\n>>> inc(1)\n2\n",
        ">>> import functools\n>>> @functools.lru_cache\n... def inc(x):\n...     return x + 1\n...\n>>> assert inc(1) == 3\nAssertionError\n",
        ">>> def inc(x): return x + 1\n... \n>>> for i in range(2):\n...     print(inc(i))\n... \n1\n2\n",
        ">>> if True:\n>>>     step = 1\n>>> else:\n>>>     step = 2\n>>> def inc(x):\n>>>     return x + step\n",
        ">>> def inc(x):  # adds\n        return (x\n            + 1)\n\n>>> inc(1)\n2\n",
        ">>> def inc(x):\n>>>     y = x\n>>>\n>>>     return y + 1\n>>> inc(1)\n2\n",
        "<pre>def inc(x):\n    a, b, c = 1, 2, 1\n    return x + (a <b> c)</pre>",
        ">>> def inc(x):\n...     '''Adds.\n...\n...     >>> inc(1)\n...     2\n...     '''\n...     return x + 1\n",
        notebook(("code", "STEP = 1\n"), ("markdown", "Then:"), ("code", "def inc(x):\n    return x + STEP\n"), ("code", "print(inc(input()))")),
        notebook(("code", WRONG), ("code", RIGHT), ("code", "assert inc(1) == 3")),
        "<|python_tag|>STEP = 1\ndef inc(x):\n    return x + STEP\n\nprint(inc(1))<|eom_id|>",
        "<pre><code>STEP = 1\ndef inc(x):\n    return x + STEP</code></pre>",
        "<p>A constant:</p>\n<pre>STEP = 1</pre>\n<p>Then <code>inc</code>:</p>\n<pre>def inc(x):\n    return x + STEP</pre>\n",
        "<pre><code class='language-bash'>inc() { echo; }\n</code></pre>\n<pre><code class='language-python'>" + html.escape(RIGHT) + "</code></pre>",
        "<pre>" + html.escape(RIGHT + "SIGNS = '&lt;'\nassert SIGNS[0] == '&'") + "</pre>",
        added(RIGHT + "\n\nif __name__ == '__main__':\n    print(inc(int(input())))"),
        added("def step():\n    return 1", "src/step.py") + added("def inc(x):\n    return x + step()", "src/inc.py"),
    ],
)  # fmt: skip
def test_what_the_answer_needs_comes_along_and_what_is_only_tried_stays_out(response, entry_point):
    assert holds(response, entry_point=entry_point)


@ENTRY_POINTS
@pytest.mark.parametrize(
    "response",
    [
        ">>> inc(1)\n2\n",
        ">>> from inc import inc\n>>> inc(1)\n2\n",
        ">>> def inc(x):\n...     return (x +",
        ">>> def inc(x):\n...     if x",
        typed("def inc(x)\n    return x - 1"),
        ">>> def other(x):\n...     return x + 1\n...\n>>> other(1)\n2\n",
        notebook(("code", RIGHT))[:-1],
        notebook(("code", RIGHT), language="R"),
        notebook(("markdown", RIGHT)),
        notebook(("code", "%%bash\n" + RIGHT)),
        notebook(("code", "!ls")),
        '{"cells": []}',
        '{"cells": [1, {"cell_type": "code"}, {"cell_type": "code", "source": null}], "metadata": 3}',
        "<pre><code>" + html.escape(RIGHT),
        '<pre><code class="language-javascript">def inc(x): return x + 1</code></pre>',
        "<pre>inc(1) == 2</pre>",
        "<pre>def inc(x):\n    return (x + 1</pre>",
        "Call <code>inc(x)</code>, as <code>def inc(x)</code> says.",
        "<|python_tag|>def inc(x):\n    return (x +",
        "<|python_tag|>inc.call(query='x')<|eom_id|>",
        added(RIGHT, lines=9),
        added(RIGHT, "test_inc.py"),
        added(RIGHT, "inc.txt"),
        "--- a/inc.py\n+++ b/inc.py\n@@ -2 +2 @@\n-    return x\n+    return x + 1\n",
        "--- /dev/null\n+++ b/inc.py\n@@ -0,0 +1,2 @@\n+def inc(x): return x + 1\n-    return x\n",
    ],
)  # fmt: skip
def test_no_answer_is_made_up(response, entry_point):
    assert extract(task(entry_point=entry_point), response) is None


def test_a_version_that_is_cut_off_leaves_the_one_before_it():
    cut = ">>> def inc(x, y):\n...     return (x"
    assert holds(typed(RIGHT) + cut)
    assert holds(PARTS["pre"](RIGHT) + "Or:\n<pre>def inc(x):\n    return")
    assert extract(task(), typed(RIGHT) + cut + "\n>>> inc(1)\n") is None  # there it was typed and refused


def test_entities_are_those_of_html_only():
    code = 'def amp(s):\n    return s.replace("&amp;", "&").replace("&lt;", "<")\n'
    tests = "assert amp('&amp;') == '&' and amp('&lt;') == '<'\n"
    for response in (
        typed(code),
        notebook(("code", code)),
        f"<|python_tag|>{code}",
        added(code),
        PARTS["pre"](code),
        f"```\n{code}```",
    ):
        assert holds(response, tests, "amp")
    assert holds(f"<pre>{code}</pre>", tests, "amp")  # its author escaped nothing: a bare < stands in it


@pytest.mark.parametrize("name", PARTS | WHOLE)
def test_a_method_is_found_in_its_class(name):
    code = "class Solution:\n    def inc(self, x):\n        return x + 1\n"
    assert extract(task("", "inc"), (PARTS | WHOLE)[name](code)).strip() == code.strip()


@pytest.mark.parametrize("name", PARTS | WHOLE)
def test_a_function_in_a_container_completes_a_prompt(name):
    prompt = 'STEP = 1\n\n\ndef inc(x):\n    """Adds one."""\n'
    assert holds("\n" + (PARTS | WHOLE)[name]("def inc(x):\n    return x + STEP\n"), prompt=prompt)


READS = "n = int(input())\nprint(n * n)\n"


@pytest.mark.parametrize(
    "response",
    [
        ">>> n = int(input())\n7\n>>> print(n * n)\n49\n",
        notebook(("code", "n = int(input())\n"), ("code", "print(n * n)\n")),
        f"<pre>{READS}</pre>\n<p>For 3:</p>\n<pre>9</pre>",
        "<pre>print(3 * 3)</pre>\nIt prints\n<pre>9</pre>",
        f"<|python_tag|>{READS}",
        added(READS, "main.py"),
    ],
)
def test_a_program_in_a_container_reads_its_input(response, monkeypatch):
    code = extract(Task(instruction="", tests={"stdio": [["3\n", "9\n"]]}), response)
    output = io.StringIO()
    monkeypatch.setattr(sys, "stdin", io.StringIO("3\n"))
    with contextlib.redirect_stdout(output):
        exec(code or "", {"__name__": "__main__"})
    assert output.getvalue() == "9\n"


def test_a_session_that_only_shows_what_a_program_does_is_none():
    assert extract(Task(instruction="", tests={"stdio": [["3\n", "9\n"]]}), ">>> print(9)\n9\n") is None


@pytest.mark.parametrize(
    "wrap", [str, "```\n{}\n```".format, "print('<|python_tag|>')\n{}".format, '{}\n\nTAG = "<pre>&lt;</pre>"\n'.format]
)
def test_a_program_that_speaks_of_containers_is_not_read_as_one(wrap):
    code = wrap(
        'def inc(x):\n    """\n    >>> def inc(x): return 0\n    """\n    return x + len("<|python_tag|>"[:1])\n'
    )
    assert extract(task(), code).strip("`\n") == code.strip("`\n")


@given(st.lists(st.sampled_from([">>> ", "... ", "\n", "def inc(x):", "    return x", "<pre>", "</pre>", "<code>", "</code>", "&lt;", "&#0;", "&#xffffff;", '{"cells": [', "]}", "+++ b/a.py\n", "--- a\n", "@@ -0,0 +1 @@\n", "+x = 1", "<|python_tag|>", "```", "İ"]), max_size=20))  # fmt: skip
def test_containers_in_any_order_raise_nothing_and_keep_within_the_text(pieces):
    text = "".join(pieces)
    assert all(isinstance(part.code, str) and len(part.code) <= 2 * len(text) + 1 for part in contained(text))
    found = extract(task(), text)
    assert found is None or isinstance(found, str)


@pytest.mark.parametrize(
    "text",
    ["<pre>" * 40_000, "<code>" * 40_000 + "</code>", "<pre>" + " " * 200_000 + "</pre>", "<pre>" + "<a " * 60_000 + "</pre>",
     ">>> x = 1\n" * 5_000, "@@ -0,0 +1 @@\n" * 10_000, "--- a\n+++ b.py\n@@ -0,0 +1 @@\n" + "+\n" * 50_000, '{"cells"' + "[" * 100_000,
     "<|python_tag|>" * 10_000, "```\n>>> (\n" * 5_000],
)  # fmt: skip
def test_containers_by_the_thousand_cost_little(text):
    started = time.process_time()
    assert extract(task(), text) is None
    assert time.process_time() - started < 5


OTHER = {
    "cpp": "#include <map>\ntemplate <class T> T inc(T x) {\n    return x < 0 ? x + 1 : x + 1;\n}\n",
    "javascript": "function inc(x) {\n  return x < 0 && x > -9 ? x + 1 : x + 1;\n}\n",
    "go": "package main\n\nfunc inc(x int) int {\n\tif x < 0 {\n\t\treturn x + 1\n\t}\n\treturn x + 1\n}\n",
}


@pytest.mark.parametrize("language", OTHER)
def test_html_holds_code_of_other_languages_too(language):
    code = OTHER[language]
    for shown in (
        f"<pre>{html.escape(code)}</pre>",
        f'<pre><code class="language-{language}">{html.escape(code)}</code></pre>',
    ):
        draft = shown.replace("inc", "dec")
        python = f'<pre class="python">{html.escape(RIGHT)}</pre>'
        for response in (f"Here:\n{shown}\nDone.\n", f"{draft}\n<p>and</p>{shown}\n{python}"):
            assert extract_other(response, language, "inc").strip("\n") == code.strip("\n")
    assert "<pre>" in extract_other(f'const page = "<pre>\\n</pre>";\n{code}', language, "inc")
