"""Operator yield."""

from dataclasses import replace

import pytest
from towns import towns

from evoltune import recipe as recipes
from evoltune.domain import Operator
from evoltune.evolve.loop import draws_step, evolve
from evoltune.evolve.yields import operator_yield
from evoltune.record import Drop, Verdict
from evoltune.run.store import Step, Store, Usage
from evoltune.teacher.journal import Journalled
from evoltune.teacher.protocol import Reply


class Author:
    """Rated higher by each round; the operator `bad` is always eliminated."""

    async def complete(self, request):
        prompt = request.messages[-1][1]
        usage = Usage(prompt_tokens=100, completion_tokens=50)
        texts = {
            "evolve": "sorry, #Rewritten Prompt#"
            if prompt.startswith("Bad")
            else f"Explain bridge {request.seed} of the old town in detail.",
            "equal": "Not equal",
            "difficulty": str(1 + len(request.record) % 3 + 4),
            "answer": f"Bridge {request.seed % 97} is made of stone.",
        }
        return Reply(texts=(texts[request.purpose],), usage=usage)


TOWNS = towns(
    40,
    operators=(
        Operator(name="good", template="Good:\n{instruction}"),
        Operator(name="bad", template="Bad:\n{instruction}"),
    ),
)


def grown(folder, **evolution):
    recipe = recipes.Recipe(
        domain="towns",
        teacher=recipes.Teacher(price=recipes.Price(prompt=1.0, completion=2.0)),
        evolve=recipes.Evolve(rounds=2, difficulty=True, **evolution),
    )
    store = Store.open(folder)
    last = evolve(recipe, TOWNS, store, teacher=Journalled(Author(), store, recipe.teacher.price))
    return recipe, store, last


def test_each_operator_shows_its_rates_and_costs(tmp_path):
    recipe, store, _ = grown(tmp_path)
    with store:
        step = draws_step(recipe, TOWNS)
        verify = Step(name="verify", version="1", before=step)
        for i, record in enumerate(store.todo(verify)):
            store.decide(verify, [record if i % 2 else Drop(record=record, reason="fail")])
        table = {y.operator: y for y in operator_yield(store, step, verify)}
        spent = store.spent()
    assert set(table) == {"good", "bad"}
    assert table["good"].draws + table["bad"].draws == 80
    assert table["bad"].kept == table["bad"].verified == 0
    assert table["good"].kept == table["good"].draws
    assert 0.2 < table["good"].verified / table["good"].judged < 0.8
    assert table["bad"].reasons == {"prompt residue": table["bad"].draws}
    seeds_rated = 40 * 200e-6
    assert sum(y.usd for y in table.values()) + seeds_rated == pytest.approx(sum(p["usd"] for p in spent.values()))
    assert sum(y.calls for y in table.values()) + 40 == pytest.approx(sum(p["calls"] for p in spent.values()), abs=1)
    assert table["good"].difficulty is not None and table["good"].lift == 0.0


def test_a_measured_difficulty_goes_before_a_rating(tmp_path):
    """Seeds pass three times of four, children once: 1 + 9 x 0.75 against 1 + 9 x 0.25."""
    recipe, store, _ = grown(tmp_path)
    with store:
        step = draws_step(recipe, TOWNS)
        store.begin(verify := Step(name="verify", version="1", before=step))
        for record in store.todo(verify):
            rate = {"passes": 1 if record.parents else 3, "of": 4, "interval": [0, 1]}
            verdict = Verdict(status="pass", evidence={"pass_rate": rate})
            store.decide(
                verify,
                [replace(record, answers=(replace(record.answers[0], verdict=verdict),)) if record.answers else record],
            )
        table = {y.operator: y for y in operator_yield(store, step, verify)}
    assert table["good"].difficulty == pytest.approx(7.75)
    assert 0 < table["good"].lift < 4.5, "children of children gained nothing"
