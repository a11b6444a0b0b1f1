"""What a kept instruction still needs from the teacher: answers, the domain's evidence, a difficulty.

Invariant: an answer that a rule strikes stays with its reason as a `fail` verdict; a record all of whose answers are struck
is dropped for the first reason.
"""

from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import replace

from evoltune.evolve.evolution import Evolution, gather_all
from evoltune.evolve.pass_rate import with_samples
from evoltune.evolve.rules.registry import rejection_reason
from evoltune.evolve.tries import with_tries
from evoltune.recipe import Recipe
from evoltune.record import Answer, Drop, Record, Task, Verdict
from evoltune.teacher.protocol import GivenUpError, Reply
from evoltune.text.prompts import fill_slots, read_prompt

DIFFICULTY = read_prompt("evoltune.evolve", "difficulty")


async def with_answers(evolution: Evolution, record: Record, parent: Task | None = None) -> Record | Drop:
    """The record with `evolve.answers` answers, each judged by the rules."""
    prompt = fill_slots(evolution.domain.answer_prompt, instruction=record.task.instruction)
    reply = await evolution.ask(record, "answer", prompt, round=record.round, n=evolution.recipe.evolve.answers)

    def screened(i: int, text: str) -> Answer:
        is_cut = i in reply.truncated
        reason = "truncated" if is_cut else rejection_reason(evolution.domain, parent, record.task, text)
        verdict = Verdict(status="fail", reason=reason) if reason else None
        return Answer(text=text, model=evolution.recipe.teacher.model, verdict=verdict)

    answers = tuple(screened(i, text) for i, text in enumerate(reply.texts))
    record = replace(record, answers=answers)
    if evolution.recipe.evolve.keep_reasoning and reply.thoughts:
        record = replace(record, evidence={**record.evidence, "reasoning": reply.thoughts})
    if all(a.verdict for a in answers):
        reason = next((a.verdict.reason for a in answers if a.verdict), "no answer")
        return Drop(record=record, reason=reason)
    return record


async def with_evidence(evolution: Evolution, record: Record) -> Record:
    """The record with what `Domain.evidence` asks for, and with its difficulty; all are asked at once."""
    asked: dict[str, Awaitable[Reply]] = {
        name: evolution.ask(record, name, fill_slots(template, instruction=record.task.instruction), round=record.round)
        for name, template in evolution.domain.evidence.items()
    }
    if evolution.recipe.evolve.difficulty:
        asked["difficulty"] = _difficulty(evolution, record)
    replies = await gather_all(asked.values())
    found = {name: reply.texts for name, reply in zip(asked, replies, strict=True)}
    return await _with_verified(evolution, replace(record, evidence={**record.evidence, **found}))


async def with_more(evolution: Evolution, record: Record, parent: Task) -> Record:
    """A child with a solution of its own, and what the recipe asks for besides: the teacher's answers, a difficulty.

    Evidence is not asked for: the child has a reference to be verified against. Neither a rule that strikes the teacher's
    answers nor a call that fails costs the child.
    """
    own = record.answers
    if evolution.recipe.evolve.answer_rewrites:
        with suppress(GivenUpError):
            answered = await with_answers(evolution, record, parent=parent)
            record = answered.record if isinstance(answered, Drop) else answered
            thoughts = record.evidence.get("reasoning")
            evidence = (
                {**record.evidence, "reasoning": (*("" for _ in own), *thoughts)} if thoughts else record.evidence
            )
            record = replace(record, answers=(*own, *record.answers), evidence=evidence)
    if evolution.recipe.evolve.difficulty:
        with suppress(GivenUpError):
            reply = await _difficulty(evolution, record)
            record = replace(record, evidence={**record.evidence, "difficulty": reply.texts})
    return await _with_verified(evolution, record)


def needs_teacher(recipe: Recipe, seed: Record) -> bool:
    """Whether a seed needs an answer (`evolve.answer_seeds`), or a difficulty: round 0 of that table."""
    measures = recipe.evolve.difficulty or recipe.evolve.pass_rate is not None
    return measures or (recipe.evolve.answer_seeds and not seed.answers)


async def complete_seed(evolution: Evolution, seed: Record) -> Record | Drop:
    """A seed of the recipe with what it needs from the teacher; without a difficulty where that call fails."""
    try:
        result: Record | Drop = seed
        if evolution.recipe.evolve.answer_seeds and not seed.answers:
            result = await with_answers(evolution, seed)
    except GivenUpError as error:
        return evolution.give_up(seed, error)
    if isinstance(result, Drop):
        return result
    if result is not seed and not (seed.task.reference or seed.task.tests):  # then agreement has to judge the answers
        try:
            return await with_evidence(evolution, result)
        except GivenUpError as error:
            return evolution.give_up(result, error)
    if evolution.recipe.evolve.difficulty:
        with suppress(GivenUpError):
            reply = await _difficulty(evolution, result)
            result = replace(result, evidence={**result.evidence, "difficulty": reply.texts})
    return await _with_verified(evolution, result)


async def decide_new_seed(evolution: Evolution, record: Record) -> Record | None:
    """Answers and evidence of a bootstrapped seed. Decides it; returns it when it was kept."""
    known = evolution.decided(record)
    if known is not None:
        return None if known else record
    try:
        result = await with_answers(evolution, record)
        if isinstance(result, Record):
            result = await with_evidence(evolution, result)
    except GivenUpError as error:
        result = evolution.give_up(record, error)
    return evolution.decide(result)


async def _with_verified(evolution: Evolution, record: Record) -> Record:
    """The record with what needs a verdict: further tries until an answer passes, and samples of its difficulty."""
    return await with_samples(evolution, await with_tries(evolution, record))


def _difficulty(evolution: Evolution, record: Record) -> Awaitable[Reply]:
    prompt = fill_slots(DIFFICULTY, instruction=record.task.instruction)
    return evolution.ask(record, "difficulty", prompt, round=record.round, is_judgement=True)
