"""The selection stage: modes, balance, quotas; independent of order."""

from hypothesis import given, settings
from hypothesis import strategies as st

from evoltune.curate.select import select
from evoltune.recipe import Curate, Recipe
from evoltune.record import Answer, Drop, Record, Task, Verdict

KETTLE = "The kettle boils water. " * 60
TOPICS = {
    "cooking": "recipe oven flour butter sugar bake simmer pan spice broth",
    "astronomy": "planet orbit telescope comet galaxy eclipse star moon dust gravity",
    "gardening": "soil tulip prune compost seedling hedge lawn rake bulb frost",
    "law": "contract court clause appeal statute witness judge verdict tenant notice",
}


def record(text, *, answer="x" * 100, status="pass", round=0, name="", **fields):
    verdict = Verdict(status=status)
    answers = (Answer(text=answer, model="seed", verdict=verdict),)
    return Record(domain="toy", task=Task(instruction=text, name=name, fields=fields), answers=answers, round=round)


def planted(per_topic=30, heavy=300):
    """One topic floods the set; the others are rare."""
    rows = []
    for topic, text in TOPICS.items():
        tokens = text.split()
        for i in range(heavy if topic == "cooking" else per_topic):
            picked = [tokens[(i * k + k) % 10] for k in (1, 3, 7)]
            rows.append(record(f"Explain {' and '.join(picked)} in case {i}", name=f"{topic}-{i}", source=topic))
    return rows


def chosen(rows, **options):
    recipe = Recipe(domain="toy", curate=Curate(**options))
    return [r for r in select(recipe)(rows) if isinstance(r, Record)]


def test_planted_clusters_are_all_covered_where_a_uniform_draw_follows_the_flood():
    rows = planted()
    diverse = chosen(rows, size=40, mode="quality_diversity")
    uniform = chosen(rows, size=40)
    share = {
        name: sum(r.task.fields["source"] == "cooking" for r in some) / 40
        for name, some in (("d", diverse), ("u", uniform))
    }
    assert len(diverse) == len(uniform) == 40
    assert {r.task.fields["source"] for r in diverse} == set(TOPICS)
    assert share["d"] < 0.6 < share["u"]


def test_balance_gives_every_round_an_equal_share_as_far_as_rows_reach():
    rows = [
        record(f"question {i} of round {n}", round=n, name=f"{n}-{i}")
        for n, count in enumerate((100, 40, 5))
        for i in range(count)
    ]
    picked = chosen(rows, size=60, balance="round")
    assert [sum(r.round == n for r in picked) for n in range(3)] == [28, 27, 5]


def test_balance_by_kind_of_reasoning_counts_rows_without_one_as_a_kind():
    kinds = ["lateral"] * 30 + ["critical"] * 30 + [""] * 30
    rows = [
        record(f"question {i}", name=str(i), **({"reasoning": kind} if kind else {})) for i, kind in enumerate(kinds)
    ]
    picked = chosen(rows, size=12, balance="reasoning")
    assert sorted(r.task.fields.get("reasoning", "") for r in picked) == [""] * 4 + ["critical"] * 4 + ["lateral"] * 4


def test_quotas_name_the_rows_of_each_source():
    picked = chosen(planted(), size=50, quotas={"law": 7, "cooking": 3, "nowhere": 9})
    assert sorted(r.task.fields["source"] for r in picked) == ["cooking"] * 3 + ["law"] * 7


@given(st.randoms(use_true_random=False))
@settings(max_examples=10, deadline=None)
def test_the_choice_does_not_depend_on_the_order_of_rows_and_none_vanishes(random):
    rows = planted(per_topic=8, heavy=30)
    shuffled = rows[:]
    random.shuffle(shuffled)
    recipe = Recipe(domain="toy", curate=Curate(size=12, mode="quality_diversity", balance="skill"))
    one, two = list(select(recipe)(rows)), list(select(recipe)(shuffled))
    assert one == two and len(one) == len(rows)
    assert sum(isinstance(r, Drop) for r in one) == len(rows) - 12


LONG = "The kettle boils water. " * 60


def test_lima_mode_counts_every_refusal_and_takes_a_thousand_by_default():
    rows = [record(f"how to {i}", answer=LONG + f" Case {i}.", name=str(i)) for i in range(5)] + [
        record("x", answer="hm")
    ]
    out = list(select(Recipe(domain="toy", curate=Curate(mode="lima")))(rows))
    assert sum(isinstance(r, Record) for r in out) == 5
    assert [r.reason for r in out if isinstance(r, Drop)] == ["lima: too short"]
