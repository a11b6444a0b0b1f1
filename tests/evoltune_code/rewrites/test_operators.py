"""Children of the solution-first operators, checked in a plain interpreter, without the sandbox that made their tests.

Each child's reference is run on its tests there, and each expected value is computed a second time from the parents' functions
alone, in another formulation than the child's reference.
"""

import json
import random
import subprocess
import sys
from functools import partial

import pytest
from msgspec.structs import replace
from towns import grown, recipe

from evoltune.cluster.engine import open_pool
from evoltune.domain import Rewritten, load_domain, policy_of
from evoltune.evolve.rewriting import context_of, run_jobs
from evoltune.evolve.rules.registry import rejection_reason
from evoltune.evolve.solving import completed
from evoltune.recipe import Seeds, Verification
from evoltune.record import Answer, Record, Task
from evoltune.sandbox.worker_protocol import WorkerConfig
from evoltune_code.operators import SOLUTION_FIRST
from evoltune_code.rewrites.exercise import read_exercise
from evoltune_code.rewrites.operators import faithful
from evoltune_code.seeds import seeds

OPERATORS = {name: (function, kind) for name, function, kind in SOLUTION_FIRST}
CHECK = r'''
import ast, io, json, re, sys

def calls(tests, name):
    for node in ast.parse(tests).body:
        if isinstance(node, ast.Assert):
            call, expected = node.test.left, node.test.comparators[0]
            assert call.func.id == name
            yield [ast.literal_eval(a) for a in call.args], ast.literal_eval(expected)

def function(source, name):
    space = {"__name__": "parent"}
    exec(source, space)
    return space[name]

def again(child, args):
    """What the child should give, from the parents' functions."""
    operator, names, sources = child["operator"], child["names"], child["sources"]
    f = function(sources[0], names[0])
    one = lambda item: f(item) if child["parameters"] == 1 else f(*item)
    if operator == "batch":
        results = list(map(one, args[0]))
        if child["name"].endswith("_each"):
            return results
        first = [r for i, r in enumerate(results) if results.index(r) == i]
        return first if "_distinct" in child["name"] else [(r, [i for i, x in enumerate(results) if x == r]) for r in first]
    if operator == "from_json":
        return f(**json.loads(args[0]))
    if operator == "find_input":
        return next(iter([c for c in args[1] if one(c) == args[0]]), None)
    if operator == "guard":
        return f(*args)
    if operator == "generalise":
        number = re.search(r"default (\d+): it stands", child["text"])[1]
        required = len(args) - 1 if len(args) > child["parameters"] else len(args)
        new = str(args[required]) if required < len(args) else number
        body = re.sub(rf"(?<!\d){number}(?!\d)", new, sources[0])
        return function(body, names[0])(*args[:required])
    if operator == "pair":
        return f(*args[0]), function(sources[1], names[1])(*args[1])

def script(child, given, wanted):
    f = function(child["sources"][0], child["names"][0])
    lines = [json.dumps(f(*json.loads(line)), sort_keys=True) for line in given.splitlines() if line.strip()]
    assert "".join(line + "\n" for line in lines) == wanted, (lines, wanted)
    sys.stdin, out, sys.stdout = io.StringIO(given), sys.stdout, io.StringIO()
    try:
        exec(child["source"], {"__name__": "__main__"})
        assert sys.stdout.getvalue() == wanted
    finally:
        sys.stdout = out

faults = []
for child in json.load(sys.stdin):
    try:
        if child["operator"] == "as_script":
            for given, wanted in child["tests"]["stdio"]:
                script(child, given, wanted)
            continue
        space = {"__name__": "child"}
        exec(child["source"], space)
        exec(child["tests"], space)
        cases = list(calls(child["tests"], child["name"]))
        assert len(cases) >= 3
        for args, expected in cases:
            assert again(child, args) == expected, (args, expected)
    except BaseException as error:
        faults.append(f"{child['operator']} {child['name']}: {type(error).__name__}: {error}")
print(json.dumps(faults))
'''


@pytest.fixture(scope="module")
def context():
    pool = open_pool(WorkerConfig(domain=""), 2)
    yield context_of(partial(run_jobs, pool), policy_of(load_domain("code"), {}))
    pool.close()


def usable():
    return [seed for seed in seeds() if not isinstance(read_exercise(seed), str)]


def children(context, count, seed):
    """(operator, parents, child) for so many children, in equal parts as far as the operators go."""
    rng, pool, found, tries = random.Random(seed), usable(), [], 0
    while len(found) < count and tries < 20 * count:
        name = list(OPERATORS)[tries % len(OPERATORS)]
        function, kind = OPERATORS[name]
        parents = rng.sample(pool, 2 if kind == "fuse" else 1)
        child = function(parents, random.Random(rng.random()), context)
        if isinstance(child, Rewritten):
            found.append((name, parents, child))
        tries += 1
    return found


def described(name, parents, child):
    exercise = read_exercise(parents[0])
    return {
        "operator": name, "name": child.task.fields["entry_point"], "source": child.task.reference, "tests": child.task.tests,
        "sources": [p.task.reference for p in parents], "names": [p.task.fields["entry_point"] for p in parents],
        "parameters": len(exercise.parameters), "text": child.task.instruction,
    }  # fmt: skip


def check(context, count, seed):
    found = children(context, count, seed)
    rows = json.dumps([described(*child) for child in found])
    done = subprocess.run([sys.executable, "-c", CHECK], input=rows, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    faults = json.loads(done.stdout)
    print(f"{len(found) - len(faults)} of {len(found)} children valid")
    assert len(found) == count and faults == []
    return found


def test_every_operator_makes_valid_children_that_no_rule_strikes(context):
    found = check(context, 14, 1)
    assert {name for name, _, _ in found} >= {"batch", "from_json", "as_script", "find_input", "guard", "pair"}
    domain = load_domain("code")
    for name, parents, child in found:
        reasons = [rejection_reason(domain, parents[0].task, child.task, t) for t in (None, child.solution)]
        assert reasons == ["", ""], name
        assert domain.extract(child.task, child.solution).strip() == child.task.reference.strip()


@pytest.mark.slow
def test_three_hundred_children_are_valid(context):
    check(context, 300, 2)


def test_every_operator_makes_something_of_the_seeds(context):
    function, _ = OPERATORS["generalise"]
    assert any(isinstance(function([seed], random.Random(1), context), Rewritten) for seed in usable())


def test_a_member_of_a_row_is_no_number_of_its_own():
    """Of the coins 50, 20 and 5 none can be another: what takes the largest first would no longer be least."""
    source = "def coins(sum):\n    used = 0\n    for coin in (50, 20, 5):\n        used, sum = used + sum // coin, sum % coin\n    return used"
    tests = "assert coins(85) == 4\nassert coins(10) == 2\nassert coins(95) == 5\nassert coins(0) == 0"
    task = Task(
        instruction="How many coins of 50, 20 and 5 make the sum, at least?",
        reference=source,
        tests=tests,
        fields={"entry_point": "coins"},
    )
    answer = Answer(text=source, model="seed")
    made = OPERATORS["generalise"][0]([Record(domain="code", task=task, answers=(answer,))], random.Random(1), None)
    assert made == "no number of the text is one constant of the reference"


def test_the_same_parents_and_numbers_give_the_same_child(context):
    seed = usable()[0]
    first, second = (OPERATORS["batch"][0]([seed], random.Random(4), context) for _ in range(2))
    assert isinstance(first, Rewritten) and first == second


def test_a_child_can_be_a_parent(context):
    child = OPERATORS["batch"][0]([usable()[0]], random.Random(4), context)
    answers = (Answer(text=child.solution, model="rewrite"),)
    parent = Record(domain="code", task=child.task, answers=answers)
    assert isinstance(OPERATORS["guard"][0]([parent], random.Random(1), context), Rewritten)


CLAMP = "def clamp(x, low, high):\n    {}\n"
BODIES = ["return max(low, min(x, high))", "return sorted((low, x, high))[1]", "return low if x < low else high if x > high else x",
          "return x"]  # fmt: skip
WRITTEN = "".join(f"assert clamp({x}, 1, 10) == {min(max(x, 1), 10)}\n" for x in (0, 1, 5, 7, 10, 12))


@pytest.mark.parametrize(
    ("bodies", "tests", "by"),
    [(BODIES[:1], WRITTEN, "tests+mutants"), (BODIES, "assert clamp(5, 1, 10) == 5\nassert clamp(0, 1, 10) == 1", "agreement+mutants")],
)  # fmt: skip
def test_an_exercise_with_neither_tests_nor_reference_can_be_edited_once_an_answer_is_verified(
    context, bodies, tests, by
):
    domain, task = load_domain("code"), Task(instruction="Write `clamp(x, low, high)`, for example clamp(12, 1, 10).")
    answers = [f"```python\n{CLAMP.format(body)}```" for body in bodies]
    verdicts = domain.confirm(task, [domain.extract(task, a) for a in answers], {"tests": (tests,)}, context)
    assert verdicts[0].status == "pass" and verdicts[0].evidence["verified_by"] == by
    done = completed(domain, task, [Answer(text=answers[0], model="m", verdict=verdicts[0])])
    assert done.reference.strip() == CLAMP.format(bodies[0]).strip() and done.fields == {"entry_point": "clamp"}
    parent = Record(domain="code", task=done, answers=(Answer(text=answers[0], model="m"),))
    child = OPERATORS["batch"][0]([parent], random.Random(4), context)
    assert isinstance(child, Rewritten) and domain.verify(child.task, child.task.reference, context).status == "pass"


SQUARE = "def square(n):\n    return n * n\n"


@pytest.mark.parametrize(
    ("source", "tests", "reason"),
    [
        (SQUARE, "assert square(2) == 4\nassert square(3) == 9", "too few calls"),
        (SQUARE, None, "no reference solution with a function and tests"),
        ("class Square:\n    pass\n", "assert Square(1)", "no plain function"),
        ("def square(*n):\n    return n\n", "assert square(1)", "no plain arguments"),
        ("def square(n):\n    yield n\n", "assert square(1)", "no plain function"),
    ],
)
def test_what_cannot_be_edited_is_refused(source, tests, reason):
    name = "Square" if source.startswith("class") else "square"
    task = Task(instruction="Write it.", reference=source, tests=tests, fields={"entry_point": name})
    assert reason in read_exercise(Record(domain="code", task=task))


def test_results_that_another_solution_may_round_are_no_tests(context):
    thirds = "def third(n):\n    return n / 3\n"
    task = Task(
        instruction="Write `third(n)`.", reference=thirds, fields={"entry_point": "third"},
        tests="assert third(1)\nassert third(2)\nassert third(4)\nassert third(5)\n",
    )  # fmt: skip
    assert (
        OPERATORS["batch"][0]([Record(domain="code", task=task)], random.Random(1), context)
        == "too few different results"
    )


HALVES = "def half(n):\n    return n / 2\n"
HALVED = "assert half(2) == 1\nassert half(4) == 2\nassert half(6) == 3\nassert half(7) == 3.5\n"


def test_a_script_prints_no_floats_which_a_right_one_may_print_as_integers(context):
    parent = Record(domain="code", task=Task(instruction="Write `half(n)`.", reference=HALVES, tests=HALVED))
    assert "float" in OPERATORS["as_script"][0]([parent], random.Random(1), context)
    assert isinstance(OPERATORS["batch"][0]([parent], random.Random(1), context), Rewritten)


@pytest.mark.parametrize(
    ("tests", "reference", "name"),
    [
        (HALVED, HALVES, "half"),
        (HALVED.splitlines(), HALVES, "half"),
        (HALVED, f"def other(n):\n    return n\n{HALVES}", "half"),
        ({"cases": [[[2], 1.0], [[4], 2.0], [[6], 3.0]]}, HALVES, "half"),
        (HALVED + "assert other(1) == 1\n", f"def other(n):\n    return n\n{HALVES}", ""),
    ],
)
def test_the_function_that_the_tests_call_is_the_entry_point_where_none_is_named(tests, reference, name):
    read = read_exercise(Record(domain="code", task=Task(instruction="Write it.", reference=reference, tests=tests)))
    assert read == "the tests do not show which function they are for" if not name else read.name == name


def test_a_seed_of_a_task_a_solution_and_tests_is_edited_where_the_solution_passes(tmp_path):
    rows, tasks = tmp_path / "seeds.jsonl", {"Write `half(n)`.": "n / 2", "Write `half(n)` anew.": "n"}
    answers = {text: f"def half(n):\n    return {body}\n" for text, body in tasks.items()}
    found = [{"instruction": t, "output": a, "tests": HALVED} for t, a in answers.items()]
    refuted = {"reference": "def half(n):\n    return n * 2\n", "entry_point": "half"}
    rows.write_text(
        "".join(json.dumps(row) + "\n" for row in [*found, {**found[1], "instruction": "Halve n.", **refuted}])
    )
    made = recipe(domain="code", seeds=Seeds(path=str(rows)), rounds=1, operators={"batch": 1.0})
    kept, ledger, _ = grown(tmp_path / "run", replace(made, verify=Verification(workers=1)), load_domain("code"))
    assert [row["task"]["instruction"][:17] for row in kept if row["parents"]] == ["Write `half(n)`.\n"]
    assert ledger["no rewrite: no reference solution with a function and tests"] == 2


def test_tests_that_kill_no_mutant_are_refused(context):
    """Inputs on which a fault of the reference cannot be seen."""
    source = (
        "def f(n):\n    if n > 1000:\n        a = n + 1\n        b = a * 2\n        c = b - 7\n        d = c * a\n"
        "        return a + b + c + d\n    return n\n"
    )
    tests = "assert f(1) == 1\nassert f(2) == 2\nassert f(3) == 3\n"
    task = Task(instruction="Write `f(n)`.", reference=source, tests=tests, fields={"entry_point": "f"})
    assert (
        OPERATORS["guard"][0]([Record(domain="code", task=task)], random.Random(1), context)
        == "the tests kill too few mutants"
    )


@pytest.mark.parametrize(
    ("wording", "why"),
    [
        ('Write `f(a)` for "x" and give `g` 3 times.', ""),
        ('Write `f(a)` for "x" three times, then `g`.', "a number is missing"),
        ('Write f for "x" 3 times, then `g`.', "a name is missing"),
        ("Write `f(a)` 3 times, then `g`.", "a text in quotes is missing"),
    ],
)
def test_a_wording_is_checked_against_names_numbers_and_texts(wording, why):
    assert faithful(Task(instruction='Write `f(a)`. Call `g` 3 times with "x".'), wording) == why


def sorting(text="Write `f(xs)` that sorts the list xs and returns it."):
    source = "def f(xs):\n    xs.sort()\n    return xs\n"
    tests = "assert f([3, 1, 2]) == [1, 2, 3]\nassert f([]) == []\nassert f([2, 2, 1]) == [1, 2, 2]\nassert f([5, 4]) == [4, 5]\n"
    return Record(
        domain="code", task=Task(instruction=text, reference=source, tests=tests, fields={"entry_point": "f"})
    )


def test_what_a_function_changes_itself_is_not_searched_for(context):
    find = OPERATORS["find_input"][0]
    assert find([sorting()], random.Random(1), context) == "the function changes its arguments"
