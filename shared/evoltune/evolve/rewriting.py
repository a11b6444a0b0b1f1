"""Solution-first draws: a domain's function edits the solution of the parents, and the new reference follows by computing.

    async with Rewriter(recipe, domain, step, store) as rewriter:
        made = await rewriter.rewrite(blank, operator, parents)      # a Rewritten, or why there is none

The function runs in a thread of the driver, on copies of the parents; programs that it runs go to the sandbox, whose workers start
with the first one. Whatever the function does that it should not is a DomainError with the operator's name: what it raises, also
SystemExit, what is no Rewritten, what cannot be stored, a call without end.
Invariant: what depended on a run of a program is noted before it is used, so that a resumed run gets the same child; a function
that ran none gives the same child by itself.
"""

import asyncio
import copy
import json
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Self, TypeVar

from evoltune.author_calls import ENDLESS_S, SLOW_S, Inside, told
from evoltune.cluster.engine import WorkerPool, open_pool
from evoltune.domain import Context, Domain, Job, Operator, Rewritten, policy_of
from evoltune.errors import DomainError, EvoltuneError
from evoltune.recipe import Recipe
from evoltune.record import Json, Record, Task, Verdict, digest
from evoltune.run.store import Step, Store
from evoltune.sandbox.worker_protocol import WorkerConfig, WorkerLost, verdict_from_row
from evoltune.teacher.notices import say

T = TypeVar("T")

MODEL = "rewrite"
"""`Answer.model` of a solution that a rewrite function made."""
AT_ONCE = 4
"""Functions that run at the same time."""
MAX_REASON = 200
ADVICE = "correct it, or leave the operator out of evolve.operators; then run the same command again"


class Rewriter:
    """The rewrite functions of one evolve step, and their sandbox."""

    def __init__(self, recipe: Recipe, domain: Domain, step: Step, store: Store) -> None:
        self._recipe, self._domain, self._step, self._store = recipe, domain, step, store
        self._pool: WorkerPool | None = None
        self._opening, self._slots = threading.Lock(), asyncio.Semaphore(AT_ONCE)

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
        what = f"domain {self._domain.name!r}: the rewrite function of operator {operator.name!r}"
        about = f"on {[p.task.name or p.id for p in parents]}"
        async with self._slots:
            call = in_daemon_thread(lambda: self._call(operator, parents, rng, what, about))
            made, ran = await _ended(call, what, about)
        made = checked(made, f"{what}, {about},")
        if ran:
            self._store.note(key, _as_note(made))
        return made

    def _call(
        self, operator: Operator, parents: Sequence[Record], rng: random.Random, whose: str, about: str
    ) -> tuple[Any, bool]:
        """(what the function gave, whether it ran a program). In a thread of its own."""
        assert operator.rewrite is not None
        ran = False

        def run_many(jobs: Sequence[Job]) -> Sequence[Verdict]:
            nonlocal ran
            ran = True
            return run_jobs(self._workers(), jobs)

        context = context_of(run_many, policy_of(self._domain, self._recipe.verify.policy))
        try:
            with Inside(whose):
                return operator.rewrite(copy.deepcopy(parents), rng, context), ran
        except EvoltuneError:
            raise
        except BaseException as error:
            raise DomainError(f"{whose} {told(error)} {about}: {ADVICE}") from error

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


async def _ended(call: "asyncio.Future[T]", what: str, about: str) -> T:
    """The result of a call. Raises DomainError where it has no end; the thread is left behind."""
    for limit in (SLOW_S, ENDLESS_S - SLOW_S):
        done, _ = await asyncio.wait({call}, timeout=limit)
        if done:
            return call.result()
        if limit == SLOW_S:
            say(f"{what} has been at work for {SLOW_S:g} s {about}")
    raise DomainError(f"{what} does not end {about} ({ENDLESS_S:g} s): {ADVICE}")


def in_daemon_thread(function: Callable[[], T]) -> "asyncio.Future[T]":
    """The result of a function that runs in a thread which the end of the process does not wait for."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def deliver(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = function()
        except BaseException as raised:  # noqa: BLE001 - raised again where the result is waited for
            error = raised
        with suppress(RuntimeError):  # the loop has ended: nobody waits
            loop.call_soon_threadsafe(deliver, result, error)

    threading.Thread(target=run, daemon=True, name="rewrite").start()
    return future


def checked(made: object, whose: str) -> Rewritten | str:
    """What a rewrite function gave, if it is what such a function may give. Raises DomainError."""
    if isinstance(made, str):
        return made.strip()[:MAX_REASON] or "no reason given"
    if not isinstance(made, Rewritten) or not isinstance(made.task, Task):
        raise DomainError(
            f"{whose} returned {type(made).__name__}: it must give a Rewritten with a Task, or in a few words why there is "
            f"none; {ADVICE}"
        )
    task = made.task
    texts = {"task.instruction": task.instruction, "task.name": task.name, "solution": made.solution}
    if task.reference is not None:
        texts["task.reference"] = task.reference
    if wrong := next((name for name, text in texts.items() if not isinstance(text, str)), ""):
        raise DomainError(f"{whose} gave a {wrong} that is no text ({type(texts[wrong]).__name__}): {ADVICE}")
    try:
        json.dumps([vars(task), made.solution], ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise DomainError(f"{whose} gave what cannot be stored as JSON text: {error}: {ADVICE}") from error
    if not isinstance(task.fields, Mapping) or not all(isinstance(key, str) for key in task.fields):
        raise DomainError(f"{whose} gave fields that are no mapping with names: {ADVICE}")
    return made


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
