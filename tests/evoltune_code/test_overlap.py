"""Behavioural overlap: what a row's code does, not what it says."""

import ast
import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.record import Answer, Record, Task
from evoltune.verification.checker import open_checker
from evoltune_code import domain
from evoltune_code.overlap import codes, definitions
from evoltune_code.suite_probes import operations, variants

DATA = Path(os.environ.get("EVOLTUNE_DATA", "/nonexistent"))
SUITE = [
    Task(
        instruction="", name="toy/vowels", fields={"entry_point": "count_vowels"},
        reference="def count_vowels(text):\n    return sum(c in 'aeiou' for c in text.lower())\n",
        tests="def check(candidate):\n    assert candidate('Apfel') == 2\n    assert candidate('') == 0\n    assert candidate('sky') == 0\n",
    ),
    Task(
        instruction="", name="toy/add", fields={"entry_point": "add"}, reference="def add(x, y):\n    return x + y\n",
        tests="assert add(1, 2) == 3\nassert add(0, 5) == 5\n",
    ),
    Task(
        instruction="", name="toy/join", fields={"entry_point": "join"}, reference="def join(parts):\n    out = ''\n    for p in parts:\n        out += p\n    return out\n",
        tests="assert join(['x', 'y']) == 'xy'\nassert join([]) == ''\n",
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def checker():
    with open_checker("code", workers=1) as opened:
        yield opened


def row(code, name="row"):
    return Record(domain="code", task=Task(instruction="", name=name), answers=(Answer(text=code, model="m"),))


@pytest.mark.parametrize(
    "code",
    [
        "def f(s):\n    n = 0\n    for ch in s:\n        if ch in 'AEIOUaeiou':\n            n += 1\n    return n",
        "Here:\n```python\nclass Solution:\n    def vowels(self, s: str) -> int:\n        return len([c for c in s if c in 'AEIOUaeiou'])\n```",
        "import nosuchmodule\nimport sys\n\ndef g(s, vowels='aeiou'):\n    return sum(map(s.lower().count, vowels))\n\nprint(g(input()))\n",
        "def spin():\n    while True: pass\n\ndef slow(s):\n    while True: pass\n\ndef h(s):\n    return sum(c in 'aeiou' for c in s.lower())",
    ],
)
def test_a_problem_is_recognised_under_any_name_and_form(checker, code):
    assert list(checker.overlap([row(code)], SUITE, "behaviour")) == [["toy/vowels"]]


@pytest.mark.parametrize(
    "code",
    [
        "def f(s):\n    return len(s) // 2",
        "def f(s: list):\n    return 0",
        "no code at all",
        "def f(",
        "import os\ndef f(s):\n    os._exit(0)",
        "def helper(a, b):\n    return a + b\n\ndef main(xs):\n    return helper(xs[0], xs[1])",  # toy/add is trivial here
        "def f(parts):\n    return ''.join(p for p in parts if p.islower())",  # passes toy/join's weak tests
    ],
)
def test_other_code_is_no_hit(checker, code):
    assert list(checker.overlap([row(code)], SUITE, "behaviour")) == [[]]


def test_a_trivial_problem_counts_where_it_is_all_that_the_row_does(checker):
    assert list(checker.overlap([row("def plus(a, b):\n    return b + a")], SUITE, "behaviour")) == [["toy/add"]]


def test_definitions_leave_demo_code_out_and_survive_what_fails():
    program, functions = definitions(
        "import nosuch\nx = int(input())\n@nosuch.wrap\ndef f(a, b=1, *, c=2):\n    return a\nf(1)\nfor i in range(3): print(i)"
    )
    assert [(f.name, f.least, f.most) for f in functions] == [("f", 1, 2)]
    space = {}
    exec(program, space)
    assert space["f"](1) == 1 and "range" not in program


def test_all_blocks_of_an_answer_are_looked_at():
    text = "```python\ndef a(): pass\n```\nand\n```py\ndef b(): pass\n```\n```\nnot python (\n```"
    assert [f.name for code in codes(row(text)) for f in definitions(code)[1]] == ["a", "b"]


def test_operations_count_what_a_solution_does():
    assert operations("def f(x, y):\n    '''Doc.'''\n    return x + y", "f") == 1
    assert operations("def f(x):\n    return x", "f") == 0
    assert operations("def f(x):\n    return sum(i * i for i in range(x) if i % 2)", "f") > 4


@given(st.lists(st.lists(st.one_of(st.integers(), st.text(max_size=5), st.lists(st.booleans(), max_size=3)), min_size=1, max_size=3), min_size=1, max_size=3))  # fmt: skip
def test_variants_keep_types_and_are_the_same_each_time(calls):
    found = variants(calls, 6, "seed")
    assert found == variants(calls, 6, "seed")
    assert len({repr(v) for v in found}) == len(found) <= 6
    kinds = {tuple(sorted(type(a).__name__ for a in call)) for call in calls}
    assert {tuple(sorted(type(a).__name__ for a in v)) for v in found} <= kinds


# ---- against the real suites


def suite(name):
    path = DATA / domain.benchmarks[name].file
    if not path.exists():
        pytest.skip(f"no {path}: set EVOLTUNE_DATA")
    return list(domain.benchmarks[name].load(path))


class Restructure(ast.NodeTransformer):
    """New names for everything that a function binds, branches swapped, loop variables copied, docstrings gone."""

    def __init__(self, names):
        self.names = names

    def visit_Name(self, node):
        node.id = self.names.get(node.id, node.id)
        return node

    def visit_arg(self, node):
        node.arg, node.annotation = self.names.get(node.arg, node.arg), None
        return node

    def visit_FunctionDef(self, node):
        self.generic_visit(node)
        node.name, node.returns = self.names.get(node.name, node.name), None
        if isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant):
            node.body = node.body[1:] or [ast.Pass()]
        return node

    def visit_If(self, node):
        self.generic_visit(node)
        if not node.orelse:
            return node
        return ast.If(test=ast.UnaryOp(op=ast.Not(), operand=node.test), body=node.orelse, orelse=node.body)

    def visit_For(self, node):
        self.generic_visit(node)
        if isinstance(node.target, ast.Name):
            copied = ast.Assign(
                targets=[ast.Name(node.target.id, ast.Store())], value=ast.Name(node.target.id, ast.Load())
            )
            node.body = [copied, *node.body]
        return node


def disguised(source, number):
    tree, names = ast.parse(source), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            names.setdefault(node.name, f"routine_{number}_{len(names)}")
        elif isinstance(node, ast.arg):
            names.setdefault(node.arg, f"v{len(names)}")
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.setdefault(node.id, f"v{len(names)}")
    code = ast.unparse(ast.fix_missing_locations(Restructure(names).visit(tree)))
    return f"Here is a solution.\n```python\n{code}\n```\nIt works as asked."


# MBPP rows that solve a HumanEval problem in truth (read one by one), by the problem: they are hits, not false ones.
TRUE_HITS = {
    "HumanEval/13": "45 151 498 501 687", "HumanEval/59": "32", "HumanEval/57": "68", "HumanEval/61": "175 771",
    "HumanEval/35": "294 418 517", "HumanEval/26": "572", "HumanEval/34": "712 572", "HumanEval/90": "755",
    "HumanEval/45": "814", "HumanEval/55": "873 960", "HumanEval/28": "18 132", "HumanEval/22": "297",
    "HumanEval/58": "249", "HumanEval/52": "433", "HumanEval/31": "605", "HumanEval/27": "557",
    "HumanEval/23": "242 792 813", "HumanEval/53": "750 972", "HumanEval/41": "626",
}  # fmt: skip


def measured(copies, others):
    tasks = suite("humaneval")
    chosen = random.Random(1).sample(tasks, copies)
    mbpp = [row(t.reference, t.name) for t in (*suite("mbpp-all"), *suite("mbpp-sanitized"), *suite("mbpp-plus"))]
    mbpp = random.Random(2).sample(mbpp, others) if others < len(mbpp) else mbpp
    rows = [row(disguised(t.reference, i), t.name) for i, t in enumerate(chosen)] + mbpp
    with open_checker("code", workers=1 if copies < 100 else 0) as checker:
        found = list(checker.overlap(rows, tasks, "behaviour"))
    recall = sum(r.task.name in hits for r, hits in zip(rows[:copies], found, strict=False)) / copies
    false = [
        (r.task.name, name) for r, hits in zip(rows[copies:], found[copies:], strict=True) for name in hits
        if r.task.name.removeprefix("Mbpp/") not in TRUE_HITS.get(name, "").split()
    ]  # fmt: skip
    return recall, false


def test_disguised_copies_are_found_among_other_solutions():
    recall, false = measured(20, 20)
    assert recall >= 0.95 and false == []


@pytest.mark.slow
def test_of_a_hundred_disguised_copies_ninety_five_are_found_and_one_row_in_a_thousand_is_wrongly_hit():
    recall, false = measured(100, 10_000)
    print(f"recall {recall:.2f}, false hits {false}")
    assert recall >= 0.95 and len(false) <= 2
