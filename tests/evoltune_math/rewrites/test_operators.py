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
from evoltune_math.rewrites.operators import faithful
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
    ("text", "solution", "kept"),
    [
        ("A spider has 8 legs. How many legs do 6 spiders have?", "6 * 8 = 48", "8 legs"),
        (
            "A bee has 6 legs and a crab has 10. How many legs have 4 bees and 3 crabs?",
            "4 * 6 = 24\n3 * 10 = 30\n24 + 30 = 54",
            "has 10.",
        ),
        ("Ann, Bo and Cy share 30 nuts among the 3 of them. How many nuts does each get?", "30 / 3 = 10", "the 3 of"),
        (
            "Zoe is on floor 9 and goes 4 floors down. Which floor is that, if floors have whole numbers?",
            "9 - 4 = 5",
            "floor 9",
        ),
        ("A 5-day ticket costs $40. How many dollars is that a day?", "40 / 5 = 8", "5-day"),
        (
            "Bo pays for 3 pens at £2 each with a £10 note. How much change does he get?",
            "3 * 2 = 6\n10 - 6 = 4",
            "£10 note",
        ),
        ("Bo pays 13 dollars with a 20 dollar bill. How much change does he get?", "20 - 13 = 7", "20 dollar bill"),
        ("Di has 7 coins of 50 cents. How many cents is that?", "7 * 50 = 350", "coins of 50 cents"),
        (
            "Water boils at 100 degrees. It has 64 degrees now. By how many degrees is it too cold?",
            "100 - 64 = 36",
            "at 100 degrees",
        ),
        ("A leap year has 366 days. It rained on 120 of them. How many days were dry?", "366 - 120 = 246", "has 366"),
        ("A chessboard has 64 squares. 21 of them are taken. How many are free?", "64 - 21 = 43", "has 64"),
    ],
)
def test_a_number_that_cannot_be_another_stays(text, solution, kept):
    parent = solved_by(text, solution)
    assert isinstance(read_problem(parent.task, parent.answers[0].text), Problem)
    children = [OPERATORS["renumber"][0]([parent], random.Random(i), None) for i in range(8)]
    assert all(not isinstance(child, Rewritten) or kept in child.task.instruction for child in children)


def solved_by(text, solution):
    """A problem with its steps; the last one ends in the reference."""
    reference = solution.rpartition(" ")[2]
    answer = Answer(text=f"{solution}\n#### {reference}", model="seed")
    return Record(domain="math", task=Task(instruction=text, reference=reference), answers=(answer,))


@pytest.mark.parametrize(
    ("text", "solution"),
    [
        ("One angle of a triangle has 50 degrees and another angle 60. All angles make 180 degrees. How large is the third?", "50 + 60 = 110\n180 - 110 = 70"),
        ("A triangle has sides of 6 cm, 8 cm and 10 cm. What is its perimeter?", "6 + 8 = 14\n14 + 10 = 24"),
    ],
)  # fmt: skip
def test_what_a_law_binds_gets_no_other_numbers(text, solution):
    parent = solved_by(text, solution)
    assert OPERATORS["renumber"][0]([parent], random.Random(1), None) == "no other numbers fit"


def test_minus_and_times_may_be_signs_of_print():
    parent = solved_by(
        "16 rows have 4 chairs each. 11 chairs broke. How many chairs are whole?", "16 × 4 = 64 chairs. 64 − 11 = 53"
    )
    child = OPERATORS["renumber"][0]([parent], random.Random(1), None)
    rows, each, broken = (int(n) for n in re.findall(r"\d+", child.task.instruction))
    assert child.task.reference == str(rows * each - broken)


@pytest.mark.parametrize(
    ("text", "solution", "left_out"),
    [
        ("A bus has 4 rows of 5 seats. Then 7 seats are added. How many seats has it?", "4 * 5 = 20\n20 + 7 = 27", "Then"),
        ("Bo has 9 hens. He sells 3 hens. How many hens are left?", "9 - 3 = 6", ""),
        ("A van carries 4 crates of 30 kg. The empty van weighs 900 kg. How many kilograms does the full van weigh?", "4 * 30 = 120\n900 + 120 = 1020", ""),
        ("Bo is 12 years old. How old is he in 5 years? Subtract 4 from that answer. What is the result?", "12 + 5 = 17\n17 - 4 = 13", ""),
    ],
)  # fmt: skip
def test_a_sentence_is_left_out_only_where_the_question_stays_the_same(text, solution, left_out):
    parent = solved_by(text, solution)
    children = [OPERATORS["shorten"][0]([parent], random.Random(i), None) for i in range(4)]
    assert all(
        isinstance(c, Rewritten) and left_out not in c.task.instruction if left_out else isinstance(c, str)
        for c in children
    )


def test_a_number_of_a_chain_keeps_its_rank():
    """Nobody who does both can be counted more often than those who do one."""
    first = solved_by(
        "Two numbers add up to 50. One is 14 more than the other. What is the larger?", "50 + 14 = 64\n64 / 2 = 32"
    )
    second = solved_by(
        "Of 40 pupils 18 swim, 17 run and 7 do both. How many do neither?", "18 + 17 = 35\n35 - 7 = 28\n40 - 28 = 12"
    )
    texts = [getattr(OPERATORS["chain"][0]([first, second], random.Random(i), None), "task", None) for i in range(12)]
    assert all("n do both" not in task.instruction for task in texts if task)


def test_kilometres_become_metres():
    parent = solved_by("Nina runs 4 km today and 7 km tomorrow. How many kilometres is that?", "4 + 7 = 11")
    child = OPERATORS["convert"][0]([parent], random.Random(1), None)
    assert child.task.reference == "11000" and "How many metres" in child.task.instruction


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
        ("Kate owns 7 badges and gets 17 from Mei. What is her number of badges?", "numbers in another order"),
        ("Kate owns 17 badges and gets 7 from Mei.", "asks nothing"),
        ("Kate owns 17 badges and gets 7 from Mei. What is n?", "another unknown"),
    ],
)
def test_a_wording_is_checked_against_the_facts(wording, why):
    assert faithful(next(iter(seeds())).task, wording) == why


def test_a_wording_keeps_the_place_of_the_unknown():
    task = Task(
        instruction="A hall has 24 rows of x seats. How many seats has it? If the answer to this question is 312, what is x?"
    )
    assert not faithful(
        task,
        "There are 24 rows with x seats each. How many seats are there? If the answer is 312, what is the value of x?",
    )
    assert faithful(
        task,
        "There are x rows with 24 seats each. How many seats are there? If the answer is 312, what is the value of x?",
    )


@pytest.mark.parametrize("reference", ["48", None])
def test_a_problem_without_a_worked_solution_can_be_edited_once_the_teachers_is_verified(reference):
    text = "Ann has 12 red pens and 4 boxes of 9 blue pens each. How many pens does she have?"
    answer = Answer(text="4 * 9 = 36\n12 + 36 = 48\n#### 48", model="m", verdict=Verdict(status="pass"))
    task = completed(load_domain("math"), Task(instruction=text, reference=reference), [answer])
    child = OPERATORS["renumber"][0]([Record(domain="math", task=task, answers=(answer,))], random.Random(1), None)
    assert task.reference == "48" and isinstance(child, Rewritten)
    red, boxes, blue = (int(n) for n in re.findall(r"\d+", child.task.instruction))
    assert int(child.task.reference) == red + boxes * blue


def test_a_factor_of_nothing_cannot_be_asked_back():
    task = Task(instruction="Tom has 0 boxes with 5 pens each. How many pens does Tom have?", reference="0")
    seed = Record(domain="math", task=task, answers=(Answer(text="0 * 5 = 0\n#### 0", model="seed"),))
    assert isinstance(OPERATORS["invert"][0]([seed], random.Random(1), None), str)


@pytest.mark.parametrize(
    ("wording", "why"),
    [
        ("Tom has 26 pens, then buys 98 more pens. How many pens has he now?", ""),
        ("Tom has 26% pens, then buys 98 more pens. How many pens has he now?", "a sign that changes a number"),
        ("Tom has 26 pens, then buys -98 more pens. How many pens has he now?", "a sign that changes a number"),
        ("Tom has 26 pens, then buys 98\u00b2 more pens. How many pens has he now?", "a sign that changes a number"),
        (
            "Tom has 26 pens, then buys 98 more and loses \u00bd. How many pens has he now?",
            "a sign that changes a number",
        ),
        ("Tom has 26 pens, then buys 98 more. How many pens has he now? How many did he buy?", "asks more"),
    ],
)
def test_a_wording_puts_no_sign_to_a_number_and_asks_no_second_question(wording, why):
    task = Task(instruction="Tom has 26 pens. He buys 98 more pens. How many pens has he now?", reference="124")
    assert faithful(task, wording) == why
