"""The variants of a dataset that an ablation trains on."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from evoltune.curate.ablations import AXES, MIN_ROWS, Pool, variants
from evoltune.errors import DataError
from evoltune.record import Answer, Record, Task, Verdict

PASS, FAIL = Verdict(status="pass"), Verdict(status="fail")


def record(i, skill="sums", round=0, verdict=PASS):
    words = {"sums": "add apples and pears", "shapes": "draw squares near circles", "time": "count hours until noon"}[
        skill
    ]
    answers = (
        Answer(text=f"first {i}", model="teacher", verdict=FAIL),
        Answer(text=f"second {i}", model="teacher", verdict=verdict),
    )
    task = Task(instruction=f"{words} number {i * 37}", name=f"{skill}-{i}", fields={"skill": skill})
    return Record(domain="toy", task=task, answers=answers, round=round)


POOL = Pool(
    kept=[record(i, skill, round=i % 3) for skill, n in (("sums", 60), ("shapes", 30), ("time", 12)) for i in range(n)],
    rejected=[record(i + 1000, verdict=FAIL) for i in range(40)],
)


@pytest.mark.parametrize("axis", sorted(set(AXES) - {"quantity", "evolution"}))
def test_the_variants_of_an_axis_are_of_equal_size(axis):
    found = variants(POOL, axis, 40, 0)
    assert len(found) >= 2 and len({len(rows) for rows in found.values()}) == 1
    assert all(len({r.id for r in rows}) == len(rows) >= MIN_ROWS for rows in found.values())


def test_quantity_doubles_and_its_small_sets_lie_within_the_large():
    found = variants(POOL, "quantity", 80, 0)
    assert [len(rows) for rows in found.values()] == [10, 20, 40, 80]
    sets = [{r.id for r in rows} for rows in found.values()]
    assert all(small <= large for small, large in pairwise(sets))


def test_the_unfiltered_side_keeps_the_first_answer_whatever_the_verifier_said():
    found = variants(POOL, "quality", 50, 0)
    assert all([a.text.split()[0] for a in r.answers] == ["first"] for r in found["unfiltered"])
    assert all(r.answers[0].verdict is None for r in found["unfiltered"])
    rejected = {r.id for r in POOL.rejected}
    assert any(r.id in rejected for r in found["unfiltered"]) and not any(r.id in rejected for r in found["kept"])


def test_one_cluster_is_of_one_kind_and_the_spread_set_is_not():
    found = variants(POOL, "diversity", 20, 0)
    kinds = {label: {r.task.fields["skill"] for r in rows} for label, rows in found.items()}
    assert len(kinds["one cluster"]) == 1 and kinds["spread out"] == {"sums", "shapes", "time"}


def test_rounds_accumulate_and_skills_stand_alone():
    rounds = variants(POOL, "round-mix", 30, 0)
    assert {r.round for r in rounds["seeds"]} == {0} and {r.round for r in rounds["rounds 0 to 2"]} == {0, 1, 2}
    assert set(variants(POOL, "task-mix", 30, 0)) == {"mixed", "only sums", "only shapes", "only time"}


def test_variants_depend_on_the_seed_and_not_on_the_order_of_the_pool():
    shuffled = list(POOL.kept)
    random.Random(1).shuffle(shuffled)
    again = Pool(kept=shuffled, rejected=POOL.rejected[::-1])
    assert all(variants(POOL, axis, 20, 4) == variants(again, axis, 20, 4) for axis in set(AXES) - {"evolution"})
    pool, _ = grown()
    again = replace(pool, kept=pool.kept[::-1], verified=pool.verified[::-1], rejected=pool.rejected[::-1])
    assert variants(pool, "evolution", 6, 4) == variants(again, "evolution", 6, 4) != variants(pool, "evolution", 6, 5)
    assert variants(POOL, "quality", 20, 4) != variants(POOL, "quality", 20, 5)


@pytest.mark.parametrize("axis", sorted(AXES))
def test_a_pool_too_small_for_an_axis_is_refused_by_name(axis):
    with pytest.raises(DataError, match=f"the axis '{axis}' needs two variants"):
        variants(Pool(kept=[record(1), record(2)]), axis, 10, 0)


def evolved(name, parents, model="teacher", verdict=PASS):
    answers = (Answer(text=f"{name} is so", model=model, verdict=verdict),)
    task = Task(instruction=f"about {name}", name=name)
    return Record(
        domain="toy", task=task, parents=tuple(p.id for p in parents), operator="o", answers=answers, round=len(parents)
    )


def grown():
    """20 seeds; of each of the first 12 a prompt and a function made a child, and of each even one of these the verifier refused the
    prompt's; one child has two seeds as parents."""
    seeds = [record(i) for i in range(20)]
    taught = [evolved(f"taught {i}", [s], verdict=PASS if i % 2 else FAIL) for i, s in enumerate(seeds[:12])]
    computed = [evolved(f"computed {i}", [s], "rewrite") for i, s in enumerate(seeds[:12])]
    fused = evolved("fused", [seeds[0], seeds[1]], "rewrite")
    roots = {r.id: frozenset(r.parents) for r in (*taught, *computed, fused)}
    verified = [*seeds, *taught[1::2], *computed, fused]
    return Pool(kept=verified[:-8], rejected=taught[::2], verified=verified, roots=roots), fused


def test_evolution_is_compared_from_the_same_seeds_with_what_was_made_of_these_alone():
    pool, fused = grown()
    everything = {r.id: r for r in (*pool.verified, *pool.rejected)}
    for seed in range(5):
        found = variants(pool, "evolution", 6, seed)
        assert list(found) == [
            "seeds only",
            "evolved, unverified",
            "evolved, verified",
            "verified and selected",
            "solution first",
        ]
        seeds = {r.id for r in found["seeds only"]}
        assert len(seeds) == 6 and all(not everything[i].parents for i in seeds)
        for rows in found.values():
            assert all(r.id in seeds or pool.roots[r.id] <= seeds for r in rows)
        made = {label: [r for r in rows if r.parents] for label, rows in found.items()}
        assert len(made["evolved, unverified"]) == 6 and all(
            not a.verdict for r in made["evolved, unverified"] for a in r.answers
        )
        assert {r.id for r in made["evolved, verified"]} < {r.id for r in made["evolved, unverified"]}
        assert {r.answers[0].model for r in made["solution first"]} == {"rewrite"}
        assert (fused.id in {r.id for r in made["solution first"]}) == (set(fused.parents) <= seeds)


def test_evolution_needs_rows_that_were_evolved():
    with pytest.raises(DataError, match="'evolution' needs two variants"):
        variants(POOL, "evolution", 0, 0)
