"""Children of the solution-first operators, solved again from their text alone: by the templates of the seeds and SymPy.

The operators read the equations of a worked solution. This check reads none: it finds the template that a story was made from,
and solves the template's own steps as a system.
"""

import ast
import random
import re
from fractions import Fraction
from functools import cache

import pytest
import sympy

from evoltune.domain import Rewritten, load_domain
from evoltune.evolve.rules.registry import rejection_reason
from evoltune.evolve.solving import completed
from evoltune.record import Answer, Record, Task, Verdict
from evoltune_math.operators import SOLUTION_FIRST
from evoltune_math.rewrites.problem import Problem, read_problem
from evoltune_math.seeds import FOLDER, seeds
from evoltune_math.seeds.generate import ORDINALS, parse_templates

OPERATORS = {name: (function, kind) for name, function, kind in SOLUTION_FIRST}
SMALLER = {"cents": ("dollars", 100), "seconds": ("minutes", 60), "minutes": ("hours", 60), "centimetres": ("metres", 100),
           "metres": ("kilometres", 1000), "grams": ("kilos", 1000), "millilitres": ("litres", 1000)}  # fmt: skip
SIGNS = {"Multiply": "*", "Divide": "/", "Add": "+", "Subtract": "-"}
WORDS = "|".join(ORDINALS.values())


@cache
def templates():
    """(expression over a story, template) of each, and of each with one sentence left out: then its numbers are zero."""
    found = []
    for template in parse_templates((FOLDER / "seed_templates.txt").read_text("utf-8")):
        sentences = re.findall(r"[^.?!]+[.?!]*\s*", template.text)
        texts = [template.text, *("".join(sentences[:i] + sentences[i + 1 :]) for i in range(1, len(sentences) - 1))]
        found += [(re.compile(pattern(text, template.numbers)), template) for text in texts]
    return found


def pattern(text, slots):
    seen = set()

    def named(match):
        name = match[1]
        first, _ = name not in seen, seen.add(name)
        if name in slots:
            return rf"(?P<{name}>\d+|[xn])" if first else rf"(?P={name})"
        return f"(?P<third>{WORDS})" if name == "third" else r"[A-Za-z]+"

    parts = re.split(r"(\{\w+\})", text)
    return "".join(re.sub(r"\{(\w+)\}", named, p) if p.startswith("{") else re.escape(p) for p in parts)


def solved(story, **unknowns):
    """The value of a story, from its template's steps; x and n are symbols or given."""
    values = []
    for expression, template in templates():
        if not (match := expression.fullmatch(story.strip())):
            continue
        slots = dict.fromkeys(template.numbers, sympy.Integer(0))
        for name, text in match.groupdict().items():
            if name == "third":
                slots["k"] = sympy.Integer({word: n for n, word in ORDINALS.items()}[text])
            else:
                slots[name] = unknowns.get(text) if text in "xn" else sympy.Integer(text)
        results = []
        for left, sign, right in template.steps:
            a, b = (
                results[int(o[1:]) - 1] if o[0] == "$" else slots[o] if o in slots else sympy.Integer(o)
                for o in (left, right)
            )
            results.append({"+": a + b, "-": a - b, "*": a * b, "/": a / b}[sign])
        values.append(results[-1])
    assert len(set(values)) == 1, f"{len(values)} templates fit {story!r}"
    return values[0]


def answer_of(text):
    """The answers that a child's text allows."""
    x = sympy.Symbol("x", positive=True)
    if match := re.fullmatch(r"(.*) If the answer to this question is (\S+), what is the value of x\?", text):
        return sympy.solve(solved(match[1], x=x) - sympy.Rational(match[2]), x)
    if match := re.fullmatch(
        r"(.*) (Multiply|Divide|Add|Subtract) (?:that answer by )?(\d+)?.*What is the result\?", text
    ):
        number = match[3] or re.search(r"(?:Add|Subtract) (\d+) (?:to|from) that answer", text)[1]
        return [sympy.sympify(f"({solved(match[1])}) {SIGNS[match[2]]} {number}")]
    if match := re.fullmatch(
        r"(.*) If each of these (\w+) is sold for \$(\d+), how many dollars is that in all\?", text
    ):
        assert match[2] in match[1].rpartition("How many")[2]
        return [solved(match[1]) * int(match[3])]
    if match := re.fullmatch(
        r"(.*) Work this out twice: first as it stands, then with (.*)\. What is the sum of the two results\?", text
    ):
        story = match[1]
        changes = dict(reversed(pair.split(" instead of ")) for pair in match[2].split(" and "))
        assert all(len(re.findall(rf"(?<!\d){re.escape(old)}(?!\d)", story)) == 1 for old in changes)
        second = re.sub(r"\$?\d+%?", lambda m: changes.get(m[0], m[0]), story)
        assert second != story
        return [solved(story) + solved(second)]
    if match := re.fullmatch(r"Let n be the answer to this question: (.*)\nUse n in this one: (.*)", text):
        return [solved(match[2], n=solved(match[1]))]
    if match := re.fullmatch(r"(.*) Keep that answer\.\n(.*) Keep that answer, too\.\n(.*)", text):
        a, b = solved(match[1]), solved(match[2])
        return [a + b] if match[3] == "What is the sum of the two answers?" else [abs(a - b)]
    return [in_a_smaller_unit(text)]


def in_a_smaller_unit(text):
    try:
        return solved(text)
    except AssertionError:
        head, _, question = text.rpartition("How many ")
        unit = re.match(r"[a-z]+", question)[0]
        larger, factor = SMALLER[unit]
        return solved(f"{head}How many {larger}{question.removeprefix(unit)}") * factor


def computed(expression):
    """The value of `a + b * c` by Python's own grammar."""

    def value(node):
        match node:
            case ast.BinOp(left=left, op=op, right=right):
                a, b = value(left), value(right)
                signs = {
                    ast.Add: lambda: a + b,
                    ast.Sub: lambda: a - b,
                    ast.Mult: lambda: a * b,
                    ast.Div: lambda: a / b,
                }
                return signs[type(op)]()
            case ast.Constant(value=number):
                return Fraction(str(number))
        raise AssertionError(ast.dump(node))

    return value(ast.parse(expression, mode="eval").body)


def children(count, seed):
    rng, pool, found = random.Random(seed), list(seeds()), []
    each = -(-count // len(OPERATORS))
    for name, (function, kind) in OPERATORS.items():
        made = 0
        while made < each:
            parents = rng.sample(pool, 2 if kind == "fuse" else 1)
            child = function(parents, random.Random(rng.random()), None)
            if isinstance(child, Rewritten):
                made += 1
                found.append((name, child))
    return found[:count] if count < len(found) else found


def fault(child):
    """What is wrong with a child, or ""."""
    try:
        found = answer_of(child.task.instruction)
    except AssertionError as error:
        return f"cannot be solved from its text: {error}"
    reference = Fraction(child.task.reference)
    if [Fraction(int(v.p), int(v.q)) for v in found] != [reference]:
        return f"its text gives {found}, its reference is {reference}"
    if reference <= 0 or reference.denominator != 1:
        return f"{reference} is no positive whole number"
    *lines, last = child.solution.splitlines()
    if last != f"#### {child.task.reference}":
        return f"the solution ends in {last!r}"
    for line in lines:
        left, _, right = line.partition(" = ")
        if computed(left) != Fraction(right) or Fraction(right) <= 0:
            return f"{line!r} is wrong"
    return ""


def check(count, seed):
    found = children(count, seed)
    faults = [f"{name}: {why}: {child.task.instruction!r}" for name, child in found if (why := fault(child))]
    print(f"{len(found) - len(faults)} of {len(found)} children valid")
    assert len(found) >= count and faults == []


def test_every_operator_makes_valid_children():
    check(80, 1)


@pytest.mark.slow
def test_three_hundred_children_are_valid():
    check(300, 2)


@pytest.mark.slow
def test_three_thousand_children_are_valid():
    check(3_000, 3)


def test_no_child_is_struck_by_a_rule():
    domain = load_domain("math")
    for name, child in children(80, 6):
        reasons = [rejection_reason(domain, None, child.task, text) for text in (None, child.solution)]
        assert reasons == ["", ""], (name, child)


def test_children_of_children_are_valid_or_refused():
    """A second round reads what the first one wrote; what has two questions or an unknown is refused."""
    again = 0
    for name, child in children(80, 4):
        parent = Record(domain="math", task=child.task, answers=(Answer(text=child.solution, model="rewrite"),))
        grandchild = OPERATORS["renumber"][0]([parent], random.Random(5), None)
        if isinstance(grandchild, Rewritten):
            again += 1
            assert fault(grandchild) == "" or name in ("aggregate", "combine"), grandchild
    assert again > 20


@pytest.mark.parametrize(
    ("text", "solution", "reason"),
    [
        ("Tom has 5 pens and 5 cups. How many things has he?", "5 + 5 = 10\n#### 10", "may be more than one thing"),
        ("A team of 7 meets twice a week. How many meetings?", "2 * 7 = 14\n#### 14", "may be more than one thing"),
        ("Tom has 5 pens. He gets some more. How many has he?", "5 + 9 = 14\n#### 14", "comes from nowhere"),
        ("Tom has 5 pens and 3 cups. How many pens has he with 4 more?", "5 + 4 = 9\n#### 9", "does not use a number"),
        ("Tom has 5 pens and buys 3. How many pens has he?", "5 + 3 = 9\n#### 9", "no worked solution"),
        ("Tom has 5 pens and buys 3. How many pens has he?", "5 + 3 = 8\n#### 7", "does not end in the reference"),
        ("A shop opens at 5 pm and closes 3 hours later. When?", "5 + 3 = 8\n#### 8", "more than numbers"),
        ("Round 17 to the nearest 10 and add 3. What is it?", "17 + 3 = 20\n#### 20", "more than numbers"),
        ("What is x if 5 and 3 make x?", "5 + 3 = 8\n#### 8", "more than numbers"),
        ("Tom has 5 pens and buys 3. Name a prime.", "5 + 3 = 8\n#### 8", "more than numbers"),
    ],
)
def test_what_cannot_be_read_with_certainty_is_refused(text, solution, reason):
    found = read_problem(
        Task(instruction=text, reference="7" if "#### 7" in solution else solution[-2:].strip()), solution
    )
    if reason == "does not end in the reference":
        found = read_problem(Task(instruction=text, reference="8"), solution)
    assert isinstance(found, str) and reason in found


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("A spider has 8 legs. How many legs do 6 spiders have?", "8 legs"),
        ("Ann, Bo and Cy share 30 nuts among the 3 of them. How many nuts does each get?", "the 3 of"),
        ("Zoe is on floor 9 and goes 4 floors down. Which floor is that, if floors have whole numbers?", "floor 9"),
        ("A 5-day ticket costs $40. How many dollars is that a day?", "5-day"),
    ],
)
def test_a_number_that_cannot_be_another_stays(text, kept):
    solution = {
        "A s": "6 * 8 = 48\n#### 48",
        "Ann": "30 / 3 = 10\n#### 10",
        "Zoe": "9 - 4 = 5\n#### 5",
        "A 5": "40 / 5 = 8\n#### 8",
    }
    answer = solution[text[:3]]
    parent = Record(
        domain="math", task=Task(instruction=text, reference=answer.rpartition(" ")[2]),
        answers=(Answer(text=answer, model="seed"),),
    )  # fmt: skip
    assert isinstance(read_problem(parent.task, answer), Problem)
    for i in range(20):
        child = OPERATORS["renumber"][0]([parent], random.Random(i), None)
        assert not isinstance(child, Rewritten) or kept in child.task.instruction


@pytest.mark.parametrize(
    ("text", "solution"),
    [
        ("Tom packs 12 eggs into boxes of 4. How many boxes does he need?", "12 / 4 = 3\n#### 3"),
        ("A pen costs $3. How many pens can Ann buy for $12?", "12 / 3 = 4\n#### 4"),
    ],
)
def test_a_count_that_may_be_rounded_is_not_inverted(text, solution):
    parent = Record(
        domain="math", task=Task(instruction=text, reference=solution.rpartition(" ")[2]),
        answers=(Answer(text=solution, model="seed"),),
    )  # fmt: skip
    assert isinstance(OPERATORS["invert"][0]([parent], random.Random(1), None), str)


WORDED = "In May Ann sold 48 pens and in June half as many, 48/2 = <<48/2=24>>24.\nThat makes 48+24 = <<48+24=72>>72 pens.\n#### 72"


def test_a_solution_in_words_keeps_its_words():
    parent = Record(
        domain="math", task=Task(instruction="Ann sold 48 pens in May and half as many in June. How many pens did she sell?", reference="72"),
        answers=(Answer(text=WORDED.replace("<<48/2=24>>", "").replace("<<48+24=72>>", ""), model="seed"),),
    )  # fmt: skip
    child = OPERATORS["renumber"][0]([parent], random.Random(3), None)
    new = int(re.search(r"\d+", child.task.instruction)[0])
    assert child.solution == (
        f"In May Ann sold {new} pens and in June half as many, {new}/2 = {new // 2}.\n"
        f"That makes {new}+{new // 2} = {new + new // 2} pens.\n#### {new + new // 2}"
    )


def test_an_answer_that_failed_is_not_edited():
    from evoltune.record import Verdict

    seed = next(iter(seeds()))
    failed = Answer(text=seed.answers[0].text, model="teacher", verdict=Verdict(status="fail"))
    parent = Record(domain="math", task=seed.task, answers=(failed,))
    assert OPERATORS["renumber"][0]([parent], random.Random(1), None) == "no worked solution"


@pytest.mark.parametrize(
    ("wording", "why"),
    [
        ("Kate owns 17 badges and gets 7 from Mei. What is her number of badges?", ""),
        ("Kate owns 17 badges and gets 8 from Mei. What is her number of badges?", "other numbers"),
        ("Kate owns 17 badges and gets 7 from Mei, 3 of them red. How many badges?", "other numbers"),
        ("Kate owns seventeen badges, and Mei gives her 7. How many are there?", ""),
        ("Kate owns 17 badges and gets 7 from Mei.", "asks nothing"),
        ("Kate owns 17 badges and gets 7 from Mei. What is n?", "another unknown"),
    ],
)
def test_a_wording_is_checked_against_the_facts(wording, why):
    from evoltune_math.rewrites.operators import faithful

    assert faithful(next(iter(seeds())).task, wording) == why


@pytest.mark.parametrize("reference", ["48", None])
def test_a_problem_without_a_worked_solution_can_be_edited_once_the_teachers_is_verified(reference):
    text = "Ann has 12 red pens and 4 boxes of 9 blue pens each. How many pens does she have?"
    answer = Answer(text="4 * 9 = 36\n12 + 36 = 48\n#### 48", model="m", verdict=Verdict(status="pass"))
    task = completed(load_domain("math"), Task(instruction=text, reference=reference), [answer])
    child = OPERATORS["renumber"][0]([Record(domain="math", task=task, answers=(answer,))], random.Random(1), None)
    assert task.reference == "48" and isinstance(child, Rewritten)
    red, boxes, blue = (int(n) for n in re.findall(r"\d+", child.task.instruction))
    assert int(child.task.reference) == red + boxes * blue
