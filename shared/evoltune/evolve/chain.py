"""Chains: one per seed, round after round, no barrier between them.

A draw asks for one child of a chain's head; the first surviving child becomes the next head, and a failed draw leaves the
head in place to be drawn again next round (the paper's pool, 2304.12244 section 3.3). Invariant: every planned draw ends
as exactly one decided record, and which one depends on seeds, never on the order in which replies arrive.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from evoltune.domain import Domain, Operator
from evoltune.errors import EvoltuneError
from evoltune.evolve.prompts import DIFFICULTY, EQUAL, says_equal
from evoltune.evolve.rules.copying import echoes_operator
from evoltune.evolve.rules.registry import rejection_reason
from evoltune.recipe import Recipe
from evoltune.record import Answer, Drop, Record, Task, Verdict, digest
from evoltune.run.store import Step, Store
from evoltune.teacher.protocol import GivenUpError, Message, Reply, Teacher, ask, draw_seed
from evoltune.text.slots import fill_slots

T = TypeVar("T")
TAGS = ("skill", "reasoning", "licence", "source")
"""`Task.fields` that a child takes over from its parent."""
JUDGEMENT_TOKENS = 16
COMMIT, COMMIT_S = 64, 1.0
"""Decisions are committed this many at a time, or when the last commit is this old."""


class Stopped(Exception):
    """The run is ending; nothing more is asked."""


class Pending(Exception):
    """The reply is not there yet; the chain goes on when it is."""


@dataclass(frozen=True, kw_only=True)
class Loop:
    """What all chains of a run share."""

    recipe: Recipe
    domain: Domain
    operators: tuple[Operator, ...]
    teacher: Teacher
    store: Store
    step: Step
    advance: Callable[[], None]
    """Called once per decided draw."""
    planned: Callable[[int], None] = lambda more: None
    """Raises the number of records that this step will decide."""
    resumed: bool = True
    """Some draws may be decided already."""
    errors: list[EvoltuneError] = field(default_factory=list)
    """The first one ends the run, after every call in flight has been journalled."""
    heads: list[str] = field(default_factory=list)
    """Ids of the chains' heads when fusion begins: the partners."""
    waiting: dict[str, Record | Drop] = field(default_factory=dict)
    """Decisions that share the next transaction; losing them costs no call, the journal has every reply."""
    commits: list[float] = field(default_factory=lambda: [0.0])
    """When decisions were last committed."""

    async def ask(self, record: Record, purpose: str, prompt: str, *, round: int, n: int = 1, sample: int = 0,
                  judgement: bool = False) -> Reply:  # fmt: skip
        """One teacher call about a record, its earlier turns before the prompt."""
        if self.errors:
            raise Stopped
        config = self.recipe.teacher
        messages: list[Message] = [*record.task.history, ("user", prompt)]
        request = ask(
            config,
            messages,
            purpose=purpose,
            seed=draw_seed(self.recipe.seed, record.id, round, purpose, sample),
            n=n,
            record=record.id,
            temperature=0.0 if judgement else None,
            max_tokens=JUDGEMENT_TOKENS if judgement else None,
        )
        reply = await self.teacher.complete(request)
        return reply if isinstance(reply, Reply) else Reply(texts=tuple(reply))

    def known(self, record: Record) -> str | None:
        """What an earlier session decided: a reason, "" for kept, None for nothing; a fresh run need not look."""
        return self.store.decided(self.step, record.id) if self.resumed else None

    def decided(self, record: Record) -> str | None:
        """The same, decisions of this session included."""
        if (result := self.waiting.get(record.id)) is not None:
            return result.reason if isinstance(result, Drop) else ""
        return self.store.decided(self.step, record.id)

    def decide(self, result: Record | Drop) -> Record | None:
        """Writes a decision down, soon; the record when it was kept."""
        record, kept = (result.record, None) if isinstance(result, Drop) else (result, result)
        self.waiting.setdefault(record.id, result)
        if len(self.waiting) >= COMMIT or time.monotonic() - self.commits[0] > COMMIT_S:
            self.commit()
        return kept

    def commit(self) -> None:
        """Writes down what waits, in one transaction."""
        results = list(self.waiting.values())
        self.waiting.clear()
        self.commits[0] = time.monotonic()
        if results:
            self.store.decide(self.step, results)


async def grow(loop: Loop, heads: Iterable[Record], rounds: range, workers: int) -> list[str]:
    """Runs a chain from each head; returns the ids of the new heads, in the order of the old ones.

    Raises the first EvoltuneError after all calls in flight have come home.
    """
    queue: Iterator[tuple[int, Record]] = enumerate(heads)
    ends: dict[int, str] = {}

    async def work() -> None:
        for i, head in queue:
            try:
                ends[i] = await chain(loop, head, rounds)
            except EvoltuneError as error:
                loop.errors.append(error)
            except (Stopped, Pending):
                pass
            if loop.errors:
                return

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(work())
    finally:
        loop.commit()
    if loop.errors:
        raise loop.errors[0]
    return [ends[i] for i in sorted(ends)]


async def chain(loop: Loop, head: Record, rounds: range) -> str:
    """One seed's rounds. Returns the id of the last head."""
    if not head.parents and loop.decided(head) is None:
        loop.decide(await _finished_seed(loop, head))
    for round in rounds:
        variants = loop.recipe.evolve.variants
        if variants == 1:
            children = [await draw(loop, head, round, 0)]
        else:
            children = await every(draw(loop, head, round, i) for i in range(variants))
        head = next((child for child in children if child), head)
    return head.id


async def every(calls: Iterable[Awaitable[T]]) -> list[T]:
    """All results in order; a failure is raised only when everything in flight has come home and is journalled."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    failures = [r for r in results if isinstance(r, BaseException)]
    if failures:
        raise next((f for f in failures if isinstance(f, EvoltuneError)), failures[0])
    return [r for r in results if not isinstance(r, BaseException)]


def needs_teacher(recipe: Recipe, seed: Record) -> bool:
    """Whether a seed waits for an answer (`evolve.answer_seeds`) or for its difficulty, the table's round 0."""
    return recipe.evolve.difficulty or (recipe.evolve.answer_seeds and not seed.answers)


async def _finished_seed(loop: Loop, seed: Record) -> Record | Drop:
    result: Record | Drop = seed
    if loop.recipe.evolve.answer_seeds and not seed.answers:
        result = await answered(loop, seed)
    if isinstance(result, Drop) or not loop.recipe.evolve.difficulty:
        return result
    try:
        reply = await _difficulty(loop, result)
    except GivenUpError:
        return result  # a seed is kept without its rating
    return replace(result, evidence={**result.evidence, "difficulty": reply.texts})


async def answered(loop: Loop, seed: Record) -> Record | Drop:
    """A seed that came without an answer, with the teacher's (`evolve.answer_seeds`, bootstrapped seeds)."""
    try:
        answers = await _answers(loop, seed)
    except GivenUpError as error:
        return Drop(record=seed, reason=f"teacher gave up: {error.reason}")
    seed = replace(seed, answers=answers)
    if all(a.verdict for a in answers):
        return Drop(record=seed, reason=_first_reason(answers))
    return seed


async def draw(loop: Loop, head: Record, round: int, number: int) -> Record | None:
    """One child of `head`: the record when it survived, else None. Decides exactly one record."""
    rng = random.Random(digest([loop.recipe.seed, head.id, round, number]))
    operator, other = _operator(loop, head, round, rng)
    empty = Record(
        domain=loop.domain.name,
        task=Task(instruction=""),
        parents=(head.id, other.id) if other else (head.id,),
        operator=operator.name,
        round=round,
        draw=number,
    )
    if loop.known(empty) is not None:  # no text, or given up, in an earlier session
        loop.advance()
        return None
    prompt = fill_slots(
        operator.template, instruction=head.task.instruction, other=other.task.instruction if other else ""
    )
    child = empty
    try:
        reply = await loop.ask(head, "evolve", prompt, round=round, sample=number)
        text = reply.texts[0].strip()
        child = _child(head, empty, text) if text else empty
        known = loop.known(child)
        if known is not None:
            kept = None if known else child
        else:
            kept = loop.decide(await _judged(loop, head, child, operator, cut=bool(reply.cut)))
    except GivenUpError as error:
        kept = loop.decide(Drop(record=child, reason=f"teacher gave up: {error.reason}"))
    loop.advance()
    return kept


def _child(head: Record, empty: Record, text: str) -> Record:
    """The draw with its text; earlier turns and tags come from the head."""
    tags = {k: v for k, v in head.task.fields.items() if k in TAGS}
    return replace(empty, task=Task(instruction=text, fields=tags, history=head.task.history))


def _operator(loop: Loop, head: Record, round: int, rng: random.Random) -> tuple[Operator, Record | None]:
    after = loop.recipe.evolve.fuse_after
    fusing = bool(after) and round >= after and len(loop.heads) > 1
    allowed = [o for o in loop.operators if fusing or o.kind != "fuse"]
    operator = rng.choices(allowed, [o.weight for o in allowed])[0]
    if operator.kind != "fuse":
        return operator, None
    partner = rng.choice(loop.heads)
    while partner == head.id:
        partner = rng.choice(loop.heads)
    return operator, loop.store.record(partner)


async def _judged(loop: Loop, head: Record, child: Record, operator: Operator, *, cut: bool) -> Record | Drop:
    """Elimination in order of price: rules on the text, the teacher's "equal?", then the answers."""
    recipe, task = loop.recipe, child.task
    if not task.instruction:
        return Drop(record=child, reason="no text")
    reason = "truncated" if cut else rejection_reason(loop.domain, head.task, task, None)
    if not reason and echoes_operator(operator.template, head.task, task):
        reason = "prompt residue"
    if reason:
        return Drop(record=child, reason=reason)
    if recipe.evolve.equal_check:
        question = fill_slots(EQUAL, parent=head.task.instruction, instruction=task.instruction)
        judgement = await loop.ask(child, "equal", question, round=child.round, judgement=True)
        if says_equal(judgement.texts[0]):
            return Drop(record=child, reason="no information gain")
    answers = await _answers(loop, child, parent=head.task)
    child = replace(child, answers=answers)
    if all(a.verdict for a in answers):
        return Drop(record=child, reason=_first_reason(answers))
    return replace(child, evidence=await evidence_of(loop, child))


async def _answers(loop: Loop, record: Record, parent: Task | None = None) -> tuple[Answer, ...]:
    prompt = fill_slots(loop.domain.answer_prompt, instruction=record.task.instruction)
    reply = await loop.ask(record, "answer", prompt, round=record.round, n=loop.recipe.evolve.answers)

    def judged(i: int, text: str) -> Answer:
        reason = "truncated" if i in reply.cut else rejection_reason(loop.domain, parent, record.task, text)
        verdict = Verdict(status="fail", reason=reason) if reason else None
        return Answer(text=text, model=loop.recipe.teacher.model, verdict=verdict)

    return tuple(judged(i, text) for i, text in enumerate(reply.texts))


def _first_reason(answers: Sequence[Answer]) -> str:
    return next((a.verdict.reason for a in answers if a.verdict), "no answer")


async def evidence_of(loop: Loop, child: Record) -> dict[str, tuple[str, ...]]:
    """What `Domain.evidence` asks for, and the difficulty; all at once."""
    asked: dict[str, Awaitable[Reply]] = {
        name: loop.ask(
            child, name, fill_slots(template, instruction=child.task.instruction), round=child.round
        )
        for name, template in loop.domain.evidence.items()
    }
    if loop.recipe.evolve.difficulty:
        asked["difficulty"] = _difficulty(loop, child)
    replies = await every(asked.values())
    return {name: reply.texts for name, reply in zip(asked, replies, strict=True)}


def _difficulty(loop: Loop, record: Record) -> Awaitable[Reply]:
    question = fill_slots(DIFFICULTY, instruction=record.task.instruction)
    return loop.ask(record, "difficulty", question, round=record.round, judgement=True)
