"""Decontamination by text: n-grams, Jaccard, containment, paraphrase."""

import pytest
from small_domains import MIXED, SMALL_DOMAINS, texts_of

from evoltune.curate.decontaminate import text_hits
from evoltune.curate.paraphrase import features, numbers
from evoltune.curate.text_matches import build_index, find_hits
from evoltune.recipe import Curate
from evoltune.record import Answer, Record, Task, Verdict

PROBLEM = Task(
    name="shop/1",
    instruction="Mara sells 17 jars of honey on Monday and 29 jars on Tuesday at 6 dollars per jar, then pays 45 dollars "
    "for her stall. How many dollars does Mara have left?",
    reference="231",
)


CODE = Task(
    name="code/1",
    instruction='def longest_run(values):\n    """ Return the length of the longest run of equal neighbours in the list.\n'
    '    >>> longest_run([1, 1, 2])\n    2\n    """\n',
    reference="    best = run = 0\n    last = None\n    for v in values:\n        run = run + 1 if v == last else 1\n"
    "        last = v\n        best = max(best, run)\n    return best\n",
)


FILLER = [
    Task(
        name=f"fill/{i}",
        instruction=f"A {thing} costs {i + 3} coins and a {other} costs {i * 7 + 5} coins. What do both cost?",
    )
    for i, (thing, other) in enumerate(
        zip(["lamp", "chair", "table", "clock"], ["book", "pencil", "plate", "rug"], strict=True)
    )
]


SUITES = {"shop": (PROBLEM, *FILLER), "code": (CODE,)}


def record(text, answer="ok", **more):
    answers = (Answer(text=answer, model="seed", verdict=Verdict(status="pass")),)
    return Record(domain="toy", task=Task(instruction=text, **more), answers=answers)


def methods(text, others=(), **options):
    return {(h.task, h.method) for h in find_hits(build_index(SUITES, Curate(**options)), text, others)}


def test_a_copied_problem_is_found_by_n_gram_and_by_jaccard():
    assert {("shop/1", "13-gram"), ("shop/1", "jaccard")} <= methods(PROBLEM.instruction.upper())


def test_a_problem_inside_a_longer_row_is_found_by_containment():
    padding = (
        "Write a story about a market in the mountains, with three talking goats and an honest baker. It begins at dawn, "
        "when frost still lies upon every roof, and it must end before anybody has bought so much as an onion. Use this: "
    )
    found = methods(padding + PROBLEM.instruction, ngrams=())
    assert found == {("shop/1", "containment")}


def test_a_short_problem_is_not_taken_for_contained():
    short = {"s": (Task(instruction="What is the sum of two and three?", name="s/1"),)}
    row = "What is the sum of two and three? Explain to a child, with apples, why adding in any order gives the same."
    assert find_hits(build_index(short, Curate(ngrams=(), paraphrase=False)), row) == []


def test_n_grams_look_into_answers_and_references_too():
    index = build_index(SUITES, Curate())
    hidden = record("Tell me about honey.", answer=f"Here is one: {PROBLEM.instruction}")
    assert {h.method for h in text_hits(index, hidden)} == {"13-gram"}
    assert text_hits(index, record("Tell me about honey.")) == []


def test_a_problem_shorter_than_the_n_gram_is_matched_word_for_word():
    short = {"s": (Task(instruction="Name the capital of France.", name="s/1"),)}
    index = build_index(short, Curate(contamination_jaccard=1, paraphrase=False))
    assert [h.method for h in find_hits(index, "name the capital of FRANCE")] == ["exact"]
    assert find_hits(index, "name the capital of Spain") == []


def test_a_reworded_problem_with_the_same_numbers_is_a_paraphrase():
    text = (
        "On Monday Mara manages to sell 17 honey jars, and twenty-nine jars more on Tuesday. Every jar brings her 6 dollars, "
        "but the stall costs 45 dollars. What amount of dollars is left for Mara?"
    )
    assert methods(text) == {("shop/1", "paraphrase")}
    assert methods(text, paraphrase=False) == set()


def test_the_same_wording_with_other_numbers_is_no_paraphrase():
    text = "A lamp costs 31 coins and a book costs 58 coins. How much money would someone need for the two of them?"
    assert methods(text) == set()


def test_a_renamed_program_with_a_reworded_docstring_is_a_paraphrase():
    answer = (
        'def max_streak(items):\n    """ Give the length of the longest run of equal neighbours within a list.\n    """\n'
        "    top = streak = 0\n    prev = None\n    for x in items:\n        streak = streak + 1 if x == prev else 1\n"
        "        prev = x\n        top = max(top, streak)\n    return top\n"
    )
    assert ("code/1", "paraphrase") in methods("Find the longest run of equal neighbours in a list.", [answer])
    other = "def area(r):\n    return 3.14 * r * r\n"
    assert methods("Compute the area of a circle.", [other]) == set()


def test_number_words_are_numbers():
    assert numbers("twenty boxes, 1,500 pens, half a dozen and 2.5 kg") == {20.0, 1500.0, 0.5, 12.0, 2.5}
    assert features("```python\nprint(1)\n```\nAdd two").numbers == {2.0}


def found_in_small_domain(name, rows):
    tasks, seeds, _ = texts_of(name)
    index = build_index({"s": [Task(instruction=t, name=str(i)) for i, t in enumerate(tasks)]}, Curate(), seeds)
    return [{h.task for h in find_hits(index, row)} for row in rows]


@pytest.mark.parametrize("name", SMALL_DOMAINS)
def test_a_seed_that_shares_only_the_frame_of_its_domain_is_kept_and_a_copy_is_found(name):
    tasks, seeds, reworded = texts_of(name)
    struck = sum(map(bool, found_in_small_domain(name, seeds)))
    assert struck <= 1, "1 of 60 in all five; 30 of 60 before frames were known"
    copies = [
        *tasks,
        *(f"Please help me. {task} Explain each step." for task in tasks),
        *(task.upper() for task in tasks),
    ]
    assert all(str(i % len(tasks)) in hits for i, hits in enumerate(found_in_small_domain(name, copies)))
    assert any(str(i) in hits for i, hits in enumerate(found_in_small_domain(name, reworded)))


def hits_of(tasks, seeds, rows):
    index = build_index({"s": [Task(instruction=t, name=str(i)) for i, t in enumerate(tasks)]}, Curate(), seeds)
    return [{h.task for h in find_hits(index, row)} for row in rows]


@pytest.mark.parametrize("name", MIXED)
def test_a_seed_of_the_same_template_with_other_names_or_numbers_is_kept_and_a_copy_is_found(name):
    tasks, seeds = MIXED[name]
    struck = [seed for seed, hits in zip(seeds, hits_of(tasks, seeds, seeds), strict=True) if hits]
    assert struck == [], "31 of 48 before templates were known"
    copies = [*tasks, *map(str.upper, tasks), *(f"Please help me. {task} Explain each step." for task in tasks)]
    assert all(str(i % len(tasks)) in hits for i, hits in enumerate(hits_of(tasks, seeds, copies[: 2 * len(tasks)])))
    assert hits_of(tasks, [], copies) == hits_of(tasks, seeds, copies), (
        "what holds the task's own words is judged as before"
    )


def test_a_sign_of_operation_that_differs_makes_another_task():
    tasks = ["Give the negation of p & q."]
    seeds = ["Give the negation of p | q.", "Give the negation of p -> q."]
    assert hits_of(tasks, seeds, [*seeds, "Give the negation of p ∧ q!"]) == [set(), set(), {"0"}]


def test_seeds_that_are_rewordings_of_a_suite_make_no_frame_of_its_problems():
    people, places = ["Ada", "Ben", "Cleo", "Dan", "Eve", "Finn"], ["mill", "weir", "barn", "moor", "quay"]
    problems = [
        f"{a} met {b} by the {c} and counted {7 * i + 3 * j} geese there."
        for i, a in enumerate(people)
        for j, (b, c) in enumerate(zip(["Kim", "Lea", "Max", "Nia", "Oda"], places, strict=True))
    ]
    seeds = [
        f"{opening} {problem}" for problem in problems for opening in ("So", "Well,", "Then", "Once,", "Now", "Later")
    ]
    index = build_index({"s": [Task(instruction=p, name=str(i)) for i, p in enumerate(problems)]}, Curate(), seeds)
    assert all(str(i // 6) in {h.task for h in find_hits(index, seed)} for i, seed in enumerate(seeds))
