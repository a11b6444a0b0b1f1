"""The Evol-Instruct loop against a teacher in this process: conservation, determinism, resuming, the retry pool."""

import asyncio
import random
from collections import Counter
from dataclasses import replace

import pytest

from evoltune import recipe as recipes
from evoltune.domain import Domain, Operator
from evoltune.errors import BudgetError, RecipeError, TeacherError
from evoltune.evolve.loop import evolve, evolve_step
from evoltune.evolve.prompts import says_equal
from evoltune.record import Answer, Record, Task, Verdict, record_to_json
from evoltune.run.store import Store
from evoltune.teacher.journal import journalled
from evoltune.teacher.protocol import GivenUpError, Reply

THINGS = "river castle violin engine forest planet bridge garden mirror ladder kettle".split()
WRITTEN = (Answer(text="A short answer.", model="seed"),)


def seed(i, answers=WRITTEN, **task):
    name = f"seed{i}"
    text = f"Describe the {THINGS[i % len(THINGS)]} of town {i} in plain language."
    return Record(domain="towns", task=Task(instruction=text, name=name, **task), answers=answers)


def same(task, candidate, context):
    return Verdict(status="unverifiable")


TOWNS = Domain(
    name="towns",
    seeds=lambda: [seed(i) for i in range(6)],
    operators=(
        Operator(name="harder", template="Rewrite with one more demand:\n{instruction}"),
        Operator(name="rarer", template="Rewrite for a rarer case:\n{instruction}", kind="breadth"),
    ),
    verify=same,
    answer_prompt="Answer:\n{instruction}",
    evidence={"check": "List one fact about: {instruction}"},
)


class Author:
    """Answers by purpose and seed alone; replies arrive in an order that differs from run to run."""

    def __init__(self, script=None, die_after=None):
        self.asked, self.in_flight, self.most = [], 0, 0
        self.script, self.die_after = script or {}, die_after

    async def complete(self, request):
        if self.die_after is not None and len(self.asked) >= self.die_after:
            raise TeacherError("http://nowhere: gone")
        self.asked.append(request)
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        await asyncio.sleep(random.random() * 0.002)
        self.in_flight -= 1
        texts = self.script.get(request.purpose, self.texts)(request)
        if isinstance(texts, Exception):
            raise texts
        return Reply(texts=tuple(texts))

    @staticmethod
    def texts(request):
        rng = random.Random(request.seed)
        if request.purpose == "evolve":
            words = " ".join(rng.sample(THINGS, 6))
            explain = f"Explain how the {words} belong together, step by step."
            return [rng.choice([explain, "", "#Rewritten Prompt#: no"])]
        if request.purpose == "equal":
            return [rng.choice(["Equal", "Not equal", "Not equal."])]
        return [f"It depends on {rng.choice(THINGS)} number {rng.randrange(99)}." for _ in range(request.n)]


def recipe(**evolution):
    seeds = evolution.pop("seeds", recipes.Seeds())
    budget = evolution.pop("budget", recipes.Budget())
    return recipes.Recipe(
        domain="towns",
        seeds=seeds,
        teacher=recipes.Teacher(model="author", concurrency=4, budget=budget),
        evolve=recipes.Evolve(**{"rounds": 3, **evolution}),
    )


def grown(folder, rules=None, domain=TOWNS, author=None, **options):
    rules = rules or recipe()
    author = author or Author()
    with Store.open(folder) as store:
        step = evolve(rules, domain, store, teacher=journalled(author, store), **options)
        ledger = store.check_ledger(step)
        rows = [record_to_json(r) for r in store.kept(step)]
    return rows, ledger, author


def test_every_planned_draw_ends_as_one_decision(tmp_path):
    rows, ledger, _ = grown(tmp_path, recipe(rounds=3, variants=2))
    assert ledger["in"] == 6 + 6 * 3 * 2
    assert ledger["pending"] == 0
    assert {"no text", "prompt residue", "no information gain"} <= set(ledger)
    assert len(rows) == ledger["kept"] > 6


def test_seeds_are_kept_as_they_are(tmp_path):
    rows, _, _ = grown(tmp_path, recipe(rounds=0))
    assert [r["answers"][0]["model"] for r in rows] == ["seed"] * 6


def test_data_do_not_depend_on_the_order_of_replies(tmp_path):
    first, one, _ = grown(tmp_path / "a", recipe(variants=2))
    second, two, _ = grown(tmp_path / "b", recipe(variants=2))
    assert first == second
    assert one == two


def test_another_recipe_seed_draws_other_data(tmp_path):
    first, _, _ = grown(tmp_path / "a")
    second, _, _ = grown(
        tmp_path / "b", recipes.Recipe(domain="towns", seed=7, evolve=recipes.Evolve(rounds=3))
    )
    assert {r["task"]["instruction"] for r in first} != {r["task"]["instruction"] for r in second}


def test_a_second_run_asks_nothing_and_changes_nothing(tmp_path):
    first, ledger, _ = grown(tmp_path)
    again, same_ledger, author = grown(tmp_path)
    assert author.asked == []
    assert (again, same_ledger) == (first, ledger)


@pytest.mark.parametrize("after", [0, 1, 5, 13, 30])
def test_a_teacher_that_dies_leaves_a_run_that_can_go_on(tmp_path, after):
    whole, ledger, unbroken = grown(tmp_path / "whole")
    with pytest.raises(TeacherError, match="gone"):
        grown(tmp_path / "broken", author=Author(die_after=after))
    rows, again, author = grown(tmp_path / "broken")
    assert rows == whole
    assert again == ledger
    assert len(author.asked) + after == len(unbroken.asked)


def test_rounds_can_be_run_one_by_one(tmp_path):
    whole, _, _ = grown(tmp_path / "whole")
    for k in (1, 2, 3):
        rows, ledger, _ = grown(tmp_path / "steps", max_round=k)
        assert ledger["in"] == 6 + 6 * k
    assert rows == whole


def test_a_failed_draw_leaves_the_head_for_the_next_round(tmp_path):
    drawn = Counter()

    def second_time_lucky(request):
        drawn[request.messages] += 1
        thing = str(request.messages).split("the ")[-1]
        return [
            ""
            if sum(n for m, n in drawn.items() if m[-1][1][-40:] == request.messages[-1][1][-40:]) < 2
            else f"Explain {thing} and its seven lanterns."
        ]

    author = Author({"evolve": second_time_lucky, "equal": lambda r: ["Not equal"]})
    rows, ledger, _ = grown(tmp_path, recipe(rounds=2), author=author)
    children = [r for r in rows if r["parents"]]
    assert ledger["no text"] == 6
    assert len(children) == 6
    assert {r["round"] for r in children} == {2}


def test_an_equal_child_is_dropped_before_its_answer_is_paid(tmp_path):
    author = Author(
        {
            "evolve": lambda r: [f"Explain the mirror of number {r.seed} carefully and fully."],
            "equal": lambda r: ["Equal"],
        }
    )
    _, ledger, _ = grown(tmp_path, recipe(rounds=1), author=author)
    assert ledger["no information gain"] == 6
    assert Counter(r.purpose for r in author.asked) == {"evolve": 6, "equal": 6}


def test_cheap_rules_save_the_judgement(tmp_path):
    author = Author({"evolve": lambda r: ["#Rewritten Prompt#: Describe a castle."]})
    _, ledger, _ = grown(tmp_path, recipe(rounds=1), author=author)
    assert ledger["prompt residue"] == 6
    assert {r.purpose for r in author.asked} == {"evolve"}


def test_a_struck_answer_stays_with_its_reason_beside_a_good_one(tmp_path):
    author = Author({
        "evolve": lambda r: [f"Explain the garden of {r.seed} with great care please."],
        "equal": lambda r: ["Not equal"],
        "answer": lambda r: ["Sorry, I do not know.", "A garden has beds and paths."],
    })  # fmt: skip
    rows, _, _ = grown(tmp_path, recipe(rounds=1, answers=2), author=author)
    child = next(r for r in rows if r["parents"])
    assert [a["verdict"] and a["verdict"]["reason"] for a in child["answers"]] == ["sorry", None]
    assert child["evidence"]["check"]


def test_a_call_that_was_given_up_is_a_drop_with_a_reason_also_after_resuming(tmp_path):
    refuse = Author({"evolve": lambda r: GivenUpError("HTTP 400", "too long")})
    _, ledger, _ = grown(tmp_path, recipe(rounds=1), author=refuse)
    assert ledger["teacher gave up: HTTP 400"] == 6
    _, again, author = grown(tmp_path, recipe(rounds=1))
    assert again == ledger
    assert author.asked == []


def test_fusion_begins_late_and_has_two_parents(tmp_path):
    domain = replace(
        TOWNS,
        operators=(
            *TOWNS.operators,
            Operator(name="join", template="Join {instruction} AND {other}", kind="fuse", weight=9.0),
        ),
    )
    rows, ledger, author = grown(tmp_path / "a", recipe(rounds=4, fuse_after=3), domain)
    fused = [r for r in rows if r["operator"] == "join"]
    assert fused
    assert all(len(r["parents"]) == 2 and r["round"] >= 3 for r in fused)
    assert all("{other}" not in str(r.messages) for r in author.asked)
    again, _, _ = grown(tmp_path / "b", recipe(rounds=4, fuse_after=3), domain)
    assert again == rows
    assert ledger["in"] == 6 + 24


def test_earlier_turns_and_tags_pass_to_the_child(tmp_path):
    start = seed(
        1, history=(("user", "Hello."), ("assistant", "Hi.")), fields={"skill": "writing", "secret": 1}
    )
    rows, _, author = grown(tmp_path, recipe(rounds=3), replace(TOWNS, seeds=lambda: [start]))
    children = [r for r in rows if r["parents"]]
    assert children
    assert all(r["task"]["fields"] == {"skill": "writing"} for r in children)
    assert all(r.messages[0] == ("user", "Hello.") for r in author.asked)


def test_unanswered_seeds_are_answered_when_the_recipe_says_so(tmp_path):
    domain = replace(TOWNS, seeds=lambda: [seed(i, answers=()) for i in range(3)])
    rows, ledger, author = grown(tmp_path, recipe(rounds=0, answer_seeds=True), domain)
    assert [r["answers"][0]["model"] for r in rows] == ["author"] * 3
    assert ledger == {"in": 3, "kept": 3, "pending": 0}
    assert {r.purpose for r in author.asked} == {"answer"}


def test_concurrency_is_bounded_by_the_number_of_chains(tmp_path):
    domain = replace(TOWNS, seeds=lambda: [seed(i) for i in range(40)], evidence={})
    _, _, author = grown(tmp_path, recipe(rounds=1), domain)
    assert author.most <= 6  # 4 calls and a quarter more chains, plus one


def test_recipe_weights_draw_only_what_they_name(tmp_path):
    rows, _, _ = grown(tmp_path, recipe(operators={"rarer": 2.0}))
    assert {r["operator"] for r in rows} == {"", "rarer"}


def test_an_unknown_operator_is_named_with_the_nearest(tmp_path):
    with pytest.raises(RecipeError, match="did you mean 'harder'"):
        grown(tmp_path, recipe(operators={"harde": 1.0}))


def test_the_step_changes_with_what_decisions_depend_on_but_not_with_rounds():
    base = evolve_step(recipe(), TOWNS).version
    assert evolve_step(recipe(rounds=9), TOWNS).version == base
    assert evolve_step(recipe(answers=2), TOWNS).version != base
    assert (
        evolve_step(recipes.Recipe(domain="towns", seed=1, evolve=recipes.Evolve(rounds=3)), TOWNS).version
        != base
    )


def test_a_budget_stops_the_run_and_a_higher_one_goes_on(tmp_path):
    from evoltune.teacher.budget import BudgetMeter, budgeted

    rules = recipe(budget=recipes.Budget(calls=10))
    author = Author()
    with Store.open(tmp_path) as store:
        meter = BudgetMeter(rules.teacher.budget, rules.teacher.price, store)
        with pytest.raises(BudgetError, match="calls: 10 of 10"):
            evolve(rules, TOWNS, store, teacher=journalled(budgeted(author, meter), store))
    assert len(author.asked) == 10
    whole, _, _ = grown(tmp_path / "whole")
    rows, _, _ = grown(tmp_path)
    assert rows == whole


def test_self_instruct_grows_the_seeds_to_the_size_asked_for(tmp_path):
    def ten_tasks(request):
        rng = random.Random(request.seed)
        made = (" ".join("".join(rng.sample("abdeiklmnorstu", 5)) for _ in range(12)) for _ in range(10))
        return ["\n".join(f"{i}. Write about {words}." for i, words in enumerate(made, 1))]

    rules = recipe(rounds=1, seeds=recipes.Seeds(bootstrap="self_instruct", bootstrap_size=20))
    rows, ledger, author = grown(tmp_path / "a", rules, author=Author({"self_instruct": ten_tasks}))
    made = [r for r in rows if r["operator"] == "self_instruct"]
    assert len(made) == 14
    assert all(r["round"] == 0 and len(r["parents"]) >= 6 and r["answers"] for r in made)
    assert ledger["in"] == 6 + sum(r.purpose == "self_instruct" for r in author.asked) * 10 + 20
    again, _, _ = grown(tmp_path / "b", rules, author=Author({"self_instruct": ten_tasks}))
    assert again == rows
    resumed, same_ledger, silent = grown(tmp_path / "a", rules)
    assert (resumed, same_ledger, silent.asked) == (rows, ledger, [])


def test_self_instruct_refuses_near_copies_and_ends_when_nothing_new_comes(tmp_path):
    copies = Author(
        {
            "self_instruct": lambda r: [
                "1. Describe the castle of town 1 in plain language.\n2. Describe the castle of town 1 in simple language."
            ]
        }
    )
    rules = recipe(rounds=0, seeds=recipes.Seeds(bootstrap="self_instruct", bootstrap_size=50))
    rows, ledger, _ = grown(tmp_path, rules, author=copies)
    assert len(rows) == 6
    assert ledger["too similar"] == 2 * ledger["no text"] / 8


def test_snippets_of_source_files_become_seeds(tmp_path):
    sources = tmp_path / "sources"
    sources.mkdir()
    for i in range(3):
        (sources / f"f{i}.py").write_text(
            f"def area{i}(width, height):\n    total = width * height + {i}\n    return total\n" * 4
        )
    (sources / "blob.bin").write_bytes(bytes(range(256)))
    author = Author(
        {"snippet": lambda r: [f"Write a function that adds {r.seed} to the product of two numbers."]}
    )
    rows, ledger, author = grown(
        tmp_path / "run", recipe(rounds=1, seeds=recipes.Seeds(snippets=str(sources))), author=author
    )
    made = [r for r in rows if r["operator"] == "snippet"]
    assert len(made) == 3
    assert made[0]["task"]["name"].startswith("f") and "total" in str(made[0]["evidence"]["snippet"])
    assert ledger["in"] == 6 + 3 + 9


@pytest.mark.parametrize(
    ("reply", "equal"),
    [("Equal", True), ("equal.", True), ("**Equal**", True), ("Not equal", False), ("They are not equal", False), ("NOT EQUAL.", False),
     ("They aren't equal", False), ("Unequal", False), ("", False), ("I cannot say", False)],
)  # fmt: skip
def test_only_a_clear_equal_drops_a_child(reply, equal):
    assert says_equal(reply) is equal


def test_difficulty_is_asked_for_when_the_recipe_says_so(tmp_path):
    author = Author(
        {
            "evolve": lambda r: [f"Explain the garden of {r.seed} with great care please."],
            "equal": lambda r: ["Not equal"],
            "difficulty": lambda r: ["8"],
        }
    )
    rows, _, _ = grown(tmp_path, recipe(rounds=1, difficulty=True), author=author)
    assert all(
        r["evidence"]["difficulty"] == ["8"] or r["evidence"]["difficulty"] == ("8",)
        for r in rows
        if r["parents"]
    )


def test_chains_can_grow_from_some_of_the_seeds_and_the_others_stay(tmp_path):
    rows, ledger, _ = grown(tmp_path, recipe(rounds=2, chains=2))
    assert ledger["in"] == 6 + 2 * 2
    assert sum(not r["parents"] for r in rows) == 6
    domain = replace(TOWNS, seeds=lambda: [seed(i, answers=()) for i in range(6)])
    rows, ledger, _ = grown(tmp_path / "b", recipe(rounds=1, chains=2, answer_seeds=True), domain)
    assert ledger["in"] == 6 + 2
    assert all(r["answers"] for r in rows)
