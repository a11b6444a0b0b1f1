"""Measured difficulty: answers that are sampled for a task, so that verify can count how many pass.

    evolve: {pass_rate: {k: 16, model: base}}       # base: the model that is trained; teacher; or a server's URL

The samples are calls like all others: journalled, in the budget, never paid twice. Tasks with neither a reference nor tests are not
sampled, because nothing could judge the samples.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import msgspec

from evoltune.evolve.evolution import Evolution
from evoltune.recipe import Endpoint, Price, Recipe, Teacher
from evoltune.record import Record
from evoltune.run.store import Store
from evoltune.teacher import protocol
from evoltune.teacher.stack import open_teacher
from evoltune.text.prompts import fill_slots
from evoltune.verification.records import SAMPLES


def sampler_of(recipe: Recipe) -> Teacher:
    """The settings of the model whose answers are sampled."""
    teacher, wanted = recipe.teacher, recipe.evolve.pass_rate
    if wanted is None or wanted.model == "teacher":
        return teacher
    if wanted.model == "base":
        base = recipe.train.model_name_or_path
        return msgspec.structs.replace(teacher, kind="transformers", model=base, endpoints=(), engine={}, price=Price())
    return behind_url(teacher, wanted.model, wanted.name)


def behind_url(teacher: Teacher, url: str, name: str) -> Teacher:
    """The teacher's settings for another model, behind a server's URL; `name` empty: of the same name."""
    endpoint = Endpoint(url=url)
    return msgspec.structs.replace(teacher, kind="http", model=name or teacher.model, endpoints=(endpoint,), engine={})


@asynccontextmanager
async def open_sampler(recipe: Recipe, store: Store, teacher: protocol.Teacher) -> AsyncIterator[protocol.Teacher]:
    """The model whose answers are sampled: the recipe's teacher that is open already, or one of its own."""
    if sampler_of(recipe) == recipe.teacher:
        yield teacher
        return
    async with open_teacher(sampler_of(recipe), store, beside=teacher) as sampler:
        yield sampler


async def with_samples(evolution: Evolution, record: Record) -> Record:
    """The record with sampled answers as evidence, where the recipe asks and something can judge them."""
    wanted, task = evolution.recipe.evolve.pass_rate, record.task
    if wanted is None or not (task.reference or task.tests):
        return record
    prompt = fill_slots(evolution.domain.answer_prompt, instruction=task.instruction)
    try:
        reply = await evolution.sample(record, prompt, wanted.k, sampler_of(evolution.recipe))
    except protocol.GivenUpError:
        return record
    return replace(record, evidence={**record.evidence, SAMPLES: reply.texts})
