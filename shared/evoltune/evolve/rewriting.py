"""Solution-first draws: a domain's function edits the solution of the parents, and the new reference follows by computing.

    async with Rewriter(recipe, domain, step, store) as rewriter:
        made = await rewriter.rewrite(blank, operator, parents)      # a Rewritten, or why there is none

The function runs in a thread of the driver; programs that it runs go to the sandbox, whose workers start with the first one.
Invariant: what depended on a run of a program is noted before it is used, so that a resumed run gets the same child; a function
that ran none gives the same child by itself.
"""

import asyncio
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from evoltune.cluster.engine import WorkerPool, open_pool
from evoltune.domain import Context, Domain, Job, Operator, Rewritten, policy_of
from evoltune.errors import DomainError
from evoltune.recipe import Recipe
from evoltune.record import Json, Record, Task, Verdict, digest
from evoltune.run.store import Step, Store
from evoltune.sandbox.worker_protocol import WorkerConfig, WorkerLost, verdict_from_row

MODEL = "rewrite"
"""`Answer.model` of a solution that a rewrite function made."""


class Rewriter:
    """The rewrite functions of one evolve step, and their sandbox."""

    def __init__(self, recipe: Recipe, domain: Domain, step: Step, store: Store) -> None:
        self._recipe, self._domain, self._step, self._store = recipe, domain, step, store
        self._pool: WorkerPool | None = None
        self._opening = threading.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._pool is not None:
            await asyncio.to_thread(self._pool.close, abandon=kind is not None)

    async def rewrite(self, blank: Record, operator: Operator, parents: Sequence[Record]) -> Rewritten | str:
        """The child of `parents`, or why they give none. Raises DomainError where the function fails."""
        key = f"rewrite:{self._step.key}:{blank.id}"
        if (noted := self._store.noted(key)) is not None:
            return _from_note(noted)
        rng = random.Random(digest([self._recipe.seed, "rewrite", blank.id]))
        made, ran = await asyncio.to_thread(self._call, operator, parents, rng)
        if ran:
            self._store.note(key, _as_note(made))
        return made

    def _call(self, operator: Operator, parents: Sequence[Record], rng: random.Random) -> tuple[Rewritten | str, bool]:
        """(what the function gave, whether it ran a program). In a thread of its own."""
        assert operator.rewrite is not None
        ran = False

        def run_many(jobs: Sequence[Job]) -> Sequence[Verdict]:
            nonlocal ran
            ran = True
            return run_jobs(self._workers(), jobs)

        context = context_of(run_many, policy_of(self._domain, self._recipe.verify.policy))
        try:
            return operator.rewrite(parents, rng, context), ran
        except Exception as error:
            raise DomainError(
                f"domain {self._domain.name!r}: the rewrite function of operator {operator.name!r} failed on "
                f"{[p.task.name or p.id for p in parents]}: {type(error).__name__}: {error}"
            ) from error

    def _workers(self) -> WorkerPool:
        settings = self._recipe.verify
        with self._opening:
            if self._pool is None:
                config = WorkerConfig(
                    domain="", check_s=settings.check_s, program_s=settings.program_s, memory_mb=settings.memory_mb,
                    require=settings.sandbox.require, policy=settings.policy,
                )  # fmt: skip
                self._pool = open_pool(config, settings.workers)
            return self._pool


def context_of(run_many: Callable[[Sequence[Job]], Sequence[Verdict]], policy: Mapping[str, Json]) -> Context:
    """What a rewrite function may use, over some way to run programs."""
    return Context(run=lambda job: run_many([job])[0], many=run_many, policy=policy)


def run_jobs(pool: WorkerPool, jobs: Sequence[Job]) -> Sequence[Verdict]:
    """The verdicts of some programs, in order."""
    (result,) = pool.map("jobs", [list(jobs)])
    if isinstance(result, WorkerLost):
        return [Verdict(status=result.status, reason=result.reason)] * len(jobs)
    return [verdict_from_row(row) for row in result]


def _as_note(made: Rewritten | str) -> Mapping[str, Any]:
    return {"refused": made} if isinstance(made, str) else {"task": vars(made.task), "solution": made.solution}


def _from_note(noted: Mapping[str, Any]) -> Rewritten | str:
    if "refused" in noted:
        return str(noted["refused"])
    task = {**noted["task"], "history": tuple(map(tuple, noted["task"]["history"]))}
    return Rewritten(task=Task(**task), solution=noted["solution"])
