"""What all chains of one evolve stage share: how they call the teacher, and how their decisions are written down.

    reply = await evolution.ask(record, "answer", prompt, round=record.round)
    evolution.decide(Drop(record=record, reason="no text"))

Invariant: nothing that is not committed costs a call: the journal holds every reply, so the decisions of a batch that was
lost are made again from it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from evoltune import recipe as recipes
from evoltune.domain import Domain, Operator
from evoltune.errors import DomainError, EvoltuneError
from evoltune.evolve.rewriting import Rewriter
from evoltune.evolve.verifying import AnswerVerifier
from evoltune.recipe import Recipe
from evoltune.record import Drop, Record
from evoltune.run.queries import decided_draws
from evoltune.run.store import Step, Store
from evoltune.teacher.judgements import Judgements
from evoltune.teacher.notices import say
from evoltune.teacher.protocol import GivenUpError, Message, Reply, Teacher, draw_seed, make_request  # fmt: skip

T = TypeVar("T")
JUDGEMENT_TOKENS = 16
"""Note of a run whose teacher needed more than these for a judgement."""
COMMIT_SIZE, COMMIT_INTERVAL_S = 64, 1.0
"""Decisions are committed this many at a time, or when the last commit is this old."""


class RunEnding(Exception):
    """A call failed for good and the run ends: nothing more is asked."""


class ReplyPending(Exception):
    """The reply is not there yet: a batch file will bring it."""


@dataclass(kw_only=True)
class Evolution:
    """One evolve stage at work."""

    recipe: Recipe
    domain: Domain
    operators: tuple[Operator, ...]
    teacher: Teacher
    sampler: Teacher
    """Whose answers measure how hard a task is."""
    store: Store
    step: Step
    rewriter: Rewriter
    verifier: AnswerVerifier
    draw_done: Callable[[], None]
    """Called once for each decided draw."""
    is_resumed: bool = True
    """Some draws may have been decided in an earlier session."""
    planned: int = 0
    """Records that this step will decide: the "in" of the ledger."""
    errors: list[EvoltuneError] = field(default_factory=list)
    """The first one ends the run, after every call in flight has been journalled."""
    fusion_partners: list[str] = field(default_factory=list)
    """Ids of the chains' heads when fusion begins."""
    _decided_draws: set[tuple[str, int, int]] | None = None
    _said: set[str] = field(default_factory=set)
    _uncommitted: dict[str, Record | Drop] = field(default_factory=dict)
    _committed_at: float = 0.0

    @cached_property
    def judgements(self) -> Judgements:
        """The teacher's short replies."""
        return Judgements(self.teacher, self.recipe.teacher, self.store)

    async def ask(self, record: Record, purpose: str, prompt: str, *, round: int, n: int = 1, sample: int = 0,
                  is_judgement: bool = False, after: Sequence[Message] = ()) -> Reply:  # fmt: skip
        """One teacher call about a record, with the record's earlier turns, and those of `after`, before the prompt."""
        if self.errors:
            raise RunEnding
        messages: list[Message] = [*record.task.history, *after, ("user", prompt)]
        request = make_request(
            self.recipe.teacher, messages, purpose=purpose, n=n, record=record.id,
            seed=draw_seed(self.recipe.seed, record.id, round, purpose, sample),
            temperature=0.0 if is_judgement else None, max_tokens=JUDGEMENT_TOKENS if is_judgement else None,
        )  # fmt: skip
        if is_judgement:
            return await self.judgements.complete(request)
        reply = await self.teacher.complete(request)
        self._say_thoughts_without_answers(reply)
        return reply

    def _say_thoughts_without_answers(self, reply: Reply) -> None:
        """Says once, for each of both causes, that a model thinks and then says nothing."""
        silent = [i for i, text in enumerate(reply.texts) if not text.strip()]
        if any(i in reply.truncated for i in silent):
            self._say_once(
                f"a reply ended at the token limit inside its reasoning: raise teacher.max_tokens "
                f"({self.recipe.teacher.max_tokens}), or lower the effort (teacher.extra_body: {{reasoning_effort: low}})"
            )
        elif any(reply.thought(i) for i in silent):
            self._say_once(
                "a reply has reasoning and no answer: the server may take the answer for a part of it; ask the model not to "
                "think (teacher.extra_body: {reasoning_effort: none}, or {chat_template_kwargs: {enable_thinking: false}})"
            )

    def _say_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            say(line)

    async def sample(self, record: Record, prompt: str, k: int, settings: recipes.Teacher) -> Reply:
        """`k` answers of the sampler to a record."""
        if self.errors:
            raise RunEnding
        seed = draw_seed(self.recipe.seed, record.id, record.round, "pass_rate", 0)
        messages: list[Message] = [*record.task.history, ("user", prompt)]
        request = make_request(settings, messages, purpose="pass_rate", n=k, record=record.id, seed=seed)
        return await self.sampler.complete(request)

    def give_up(self, record: Record, error: GivenUpError) -> Drop:
        """The drop of a record for which the teacher could not serve a call; the server's words are kept for `explain`."""
        if error.detail:
            self.store.note(f"why:{self.step.key}:{record.id}", {"teacher": error.detail})
        return Drop(record=record, reason=f"teacher gave up: {error.reason}")

    def plan(self, more: int) -> None:
        """Raises the number of records that this step will decide."""
        self.planned += more
        self.store.plan(self.step, self.planned)

    def decided_earlier(self, record: Record) -> str | None:
        """What an earlier session decided: a drop's reason, "" for kept, None for nothing. A fresh run need not look."""
        return self.store.decided(self.step, record.id) if self.is_resumed else None

    def expect_no_other(self, blank: Record) -> None:
        """Raises DomainError where an earlier session decided another child of the same draw: the rewrite function is then no function
        of the parents and the random numbers it gets, and the ledger would count the draw twice."""
        if not self.is_resumed:
            return
        if self._decided_draws is None:
            self._decided_draws = set(decided_draws(self.store, self.step))
        if (blank.parents[0], blank.round, blank.draw) in self._decided_draws:
            raise DomainError(
                f"domain {self.domain.name!r}: the rewrite function of operator {blank.operator!r} made another child of the same parents "
                "than before the run was stopped: let all its chance come from `rng`, not from the clock, `random` or the order of a "
                "set; then run into a new folder"
            )

    def decided(self, record: Record) -> str | None:
        """The same, including the decisions of this session."""
        if (result := self._uncommitted.get(record.id)) is not None:
            return result.reason if isinstance(result, Drop) else ""
        return self.store.decided(self.step, record.id)

    def as_decided(self, record: Record) -> Record:
        """The record with its answers, as this or an earlier session decided it; itself where nothing is decided."""
        if (result := self._uncommitted.get(record.id)) is not None:
            return result.record if isinstance(result, Drop) else result
        known = self.store.decided(self.step, record.id) is not None
        return self.store.record(record.id, self.step) if known else record

    def decide(self, result: Record | Drop) -> Record | None:
        """Records a decision, to be committed soon; returns the record when it was kept."""
        record, kept = (result.record, None) if isinstance(result, Drop) else (result, result)
        self._uncommitted.setdefault(record.id, result)
        if len(self._uncommitted) >= COMMIT_SIZE or time.monotonic() - self._committed_at > COMMIT_INTERVAL_S:
            self.commit()
        return kept

    def commit(self) -> None:
        """Commits all decisions so far in one transaction."""
        results = list(self._uncommitted.values())
        self._uncommitted.clear()
        self._committed_at = time.monotonic()
        if results:
            self.store.decide(self.step, results)


async def gather_all(calls: Iterable[Awaitable[T]]) -> list[T]:
    """All results in order. A failure is raised only when every call has returned, so that each reply is journalled."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    failures = [r for r in results if isinstance(r, BaseException)]
    if failures:
        raise next((f for f in failures if isinstance(f, EvoltuneError)), failures[0])
    return [r for r in results if not isinstance(r, BaseException)]
