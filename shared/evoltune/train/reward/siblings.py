"""Siblings, which were written from one parent in one round, compared by the recipe's teacher as a judge in both orders.

    rows = await judged_pairs(records, judge, recipe.teacher, seed=7)     # {chosen, rejected, method: "judge", group}

WizardMath has GPT-4 rank lists of six (2308.09583v3, section 3.2). Here the siblings of a family stand in a row drawn by the seed, and each
is compared with the next: two calls a comparison, at temperature 0. Invariants: a pair has a label only where both orders name the same
instruction; a reply that cannot be read is asked for again, and never guessed.
"""

import asyncio
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any

from evoltune.arena.replies import read_reply
from evoltune.arena.trust import winner_of
from evoltune.errors import EvoltuneError
from evoltune.generate.http import first_of
from evoltune.recipe import Recipe
from evoltune.recipe import Teacher as Settings
from evoltune.record import Record, digest
from evoltune.teacher.protocol import GivenUpError, Teacher, draw_seed, make_request
from evoltune.terminal import progress
from evoltune.text.prompts import fill_slots
from evoltune.train.reward.pairs import families, pair_row, root_of

ORDERS, TRIES, TOKENS = 2, 2, 300


@cache
def _template() -> str:
    return (files("evoltune.train.reward") / "prompts" / "better_instruction.txt").read_text(encoding="utf-8")


def most_calls(recipe: Recipe, draws: int) -> int:
    """The most calls that comparing siblings makes, for a recipe whose evolution draws so many rewrites."""
    settings = recipe.reward.instructions if recipe.reward else None
    if settings is None or settings.rows or "judged" not in settings.pairs:
        return 0
    return min(draws, settings.limit or draws) * ORDERS * TRIES


def in_rows(records: Iterable[Record], seed: int) -> Iterator[tuple[Record, Record]]:
    """Of each family of siblings every member with the next, in an order that the seed draws."""
    for family in families(records):
        ordered = sorted(family, key=lambda record: record.id)
        random.Random(f"{seed}/siblings/{ordered[0].id}").shuffle(ordered)
        yield from pairwise(ordered)


async def judged_pairs(
    records: Sequence[Record], judge: Teacher, settings: Settings, seed: int
) -> list[dict[str, Any]]:
    """The rows of those comparisons that both orders decide alike. Raises BudgetError where the teacher's budget is used up."""
    wanted = list(in_rows(records, seed))
    by_id = {record.id: record for record in records}
    with progress("comparing siblings", len(wanted)) as advance:

        async def one(a: Record, b: Record) -> dict[str, Any] | None:
            winner = await _better(judge, settings, a, b, seed)
            advance(1)
            if winner is None:
                return None
            loser = b if winner is a else a
            return pair_row(winner.task.instruction, loser.task.instruction, "judge", root_of(a, by_id))

        try:
            async with asyncio.TaskGroup() as group:
                started = [group.create_task(one(a, b)) for a, b in wanted]
        except* EvoltuneError as caught:
            raise first_of(caught) from None
    found = (task.result() for task in started)
    return [row for row in found if row is not None]


async def _better(judge: Teacher, settings: Settings, a: Record, b: Record, seed: int) -> Record | None:
    """The sibling that both orders prefer; None for a tie, for a judge that goes by the order, and for unreadable replies."""
    orders: list[Mapping[str, float]] = []
    for first, second in ((a, b), (b, a)):
        values = await _read(judge, settings, first, second, seed)
        if values is None:
            return None
        orders.append({first.id: values[0], second.id: values[1]})
    name = winner_of(orders, a.id, b.id) if all(values[a.id] != values[b.id] for values in orders) else ""
    return a if name == a.id else b if name else None


async def _read(
    judge: Teacher, settings: Settings, first: Record, second: Record, seed: int
) -> tuple[float, ...] | None:
    prompt = fill_slots(_template(), a=first.task.instruction, b=second.task.instruction)
    for sample in range(TRIES):
        request = make_request(
            settings, prompt, purpose="judge", seed=draw_seed(seed, digest([first.id, second.id]), 0, "siblings", sample),
            max_tokens=TOKENS, record=first.id, temperature=0.0 if sample == 0 else settings.temperature,
        )  # fmt: skip
        try:
            text = (await judge.complete(request)).texts[0]
        except GivenUpError:
            continue
        if (values := read_reply("preference", text, 2)) is not None:
            return values
    return None
