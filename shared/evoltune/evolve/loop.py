"""Evol-Instruct: grows instructions from seeds with a teacher (2304.12244 section 3; 2306.08568; 2308.09583; 2312.15692).

    step = evolve(recipe, domain, store)          # seeds and all rounds; resuming is running again
    step = evolve(recipe, domain, store, upto=2)  # the first two rounds only (evol-stop)

Invariant: in = kept + dropped(by reason), where "in" is seeds + planned draws; every reply was journalled before use.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from itertools import islice

import msgspec

from evoltune.domain import Domain, Operator, source_hash
from evoltune.errors import RecipeError, nearest
from evoltune.evolve.bootstrap import from_snippets, self_instruct
from evoltune.evolve.chain import Loop, Pending, grow, needs_teacher
from evoltune.evolve.sample import sample
from evoltune.evolve.yields import Yield, difficulty_by_round, operator_yield
from evoltune.recipe import Recipe
from evoltune.record import Record, digest
from evoltune.run.store import Step, Store
from evoltune.teacher.protocol import Teacher
from evoltune.teacher.stack import open_teacher

__all__ = [
    "Yield",
    "difficulty_by_round",
    "draws_step",
    "evolve",
    "evolve_step",
    "operator_yield",
    "operators_of",
]

ENGINE = 1  # raised when the same recipe would decide differently
SEED_COMMIT = 512
Progress = Callable[[int, int], None]
"""(draws done, draws planned)."""


def evolve_step(recipe: Recipe, domain: Domain) -> Step:
    """The last step that `evolve` decides: the draws, or with `evolve.sample` the sample of them."""
    draws = draws_step(recipe, domain)
    if not recipe.evolve.sample:
        return draws
    if recipe.evolve.stop_on:
        raise RecipeError(
            "evolve.sample: cannot go with evolve.stop_on, which samples nothing: use curate.size"
        )
    version = digest([draws.version, recipe.evolve.sample, recipe.seed])
    return Step(name="sample", version=version, before=draws)


def draws_step(recipe: Recipe, domain: Domain) -> Step:
    """The step of seeds and draws. More rounds continue it; any other change starts anew (paid calls stay)."""
    evolution = msgspec.to_builtins(recipe.evolve)
    for name in ("rounds", "stop_on", "stop_by", "sample"):
        del evolution[name]
    teacher = {
        name: getattr(recipe.teacher, name)
        for name in ("model", "temperature", "top_p", "frequency_penalty", "max_tokens", "stop")
    }
    parts = [ENGINE, recipe.seed, msgspec.to_builtins(recipe.seeds), evolution, teacher, source_hash(domain)]
    return Step(name="evolve", version=digest(parts))


def evolve(
    recipe: Recipe,
    domain: Domain,
    store: Store,
    progress: Progress | None = None,
    *,
    upto: int = 0,
    teacher: Teacher | None = None,
) -> Step:
    """Runs the loop to round `upto` (0: `evolve.rounds`) and decides every seed and draw. Returns the step.

    With `evolve.sample`, and only when all rounds are run, the rows are then sampled, stratified by round.
    `teacher`: instead of the recipe's. Raises TeacherError or BudgetError with everything finished kept; StoreError.
    """
    last, step = evolve_step(recipe, domain), draws_step(recipe, domain)
    rounds = upto or recipe.evolve.rounds
    seeds = _seeds(recipe, domain)
    resumed = step.key in store.steps()
    _decide_seeds(recipe, store, step, seeds)
    size = max(len(seeds), recipe.seeds.bootstrap_size) if recipe.seeds.bootstrap != "none" else len(seeds)
    chains = min(size, recipe.evolve.chains or size)
    with _progress(progress, chains * rounds * recipe.evolve.variants) as advance:
        _run(_grow(recipe, domain, store, step, seeds, rounds, advance, teacher, resumed))
    if last == step or upto or store.ledger(step)["pending"]:
        return step
    sample(store, last, recipe.evolve.sample, recipe.seed)
    return last


async def _grow(
    recipe: Recipe,
    domain: Domain,
    store: Store,
    step: Step,
    seeds: list[Record],
    rounds: int,
    advance: Callable[[], None],
    teacher: Teacher | None,
    resumed: bool,
) -> None:
    async with AsyncExitStack() as stack:
        if teacher is None:
            teacher = await stack.enter_async_context(open_teacher(recipe.teacher, store))
        plan = _Plan(store, step, len(seeds))
        loop = Loop(
            recipe=recipe,
            domain=domain,
            operators=operators_of(recipe, domain),
            teacher=teacher,
            store=store,
            step=step,
            advance=advance,
            planned=plan.add,
            resumed=resumed,
        )
        stack.callback(loop.commit)
        try:
            seeds = seeds + await _more_seeds(loop, seeds)
        except Pending:  # a batch file is being collected: the chains wait for their seeds
            return
        chosen, others = _chosen(recipe, seeds)
        plan.add(len(chosen) * rounds * recipe.evolve.variants)
        # A quarter more chains than calls: a chain that decides does not leave a slot idle.
        workers = recipe.teacher.concurrency + recipe.teacher.concurrency // 4 + 1
        split = min(rounds, recipe.evolve.fuse_after - 1) if recipe.evolve.fuse_after else rounds
        await grow(loop, (s for s in others if needs_teacher(recipe, s)), range(0), workers)
        heads = await grow(loop, chosen, range(1, split + 1), workers)
        if split < rounds and len(heads) == len(chosen):
            # Partners are the heads of this moment: the one place where chains wait for each other.
            loop.heads.extend(heads)
            await grow(loop, (store.record(h) for h in heads), range(split + 1, rounds + 1), workers)


class _Plan:
    """The "in" of the conservation law, which grows as bootstrapping asks for more tasks."""

    def __init__(self, store: Store, step: Step, seeds: int) -> None:
        self._store, self._step, self._count = store, step, seeds
        self.add(0)

    def add(self, more: int) -> None:
        self._count += more
        self._store.plan(self._step, self._count)


async def _more_seeds(loop: Loop, seeds: list[Record]) -> list[Record]:
    found: list[Record] = []
    if loop.recipe.seeds.snippets:
        found += await from_snippets(loop, loop.recipe.seeds.snippets)
    if loop.recipe.seeds.bootstrap == "self_instruct":
        found += await self_instruct(loop, [*seeds, *found], loop.recipe.seeds.bootstrap_size)
    return found


def operators_of(recipe: Recipe, domain: Domain) -> tuple[Operator, ...]:
    """The operators that are drawn, with the recipe's weights; a recipe that names any draws only those it names."""
    chosen = recipe.evolve.operators
    names = [o.name for o in domain.operators]
    for name, weight in chosen.items():
        if name not in names:
            raise RecipeError(
                f"evolve.operators: domain {domain.name!r} has no operator {name!r}: {nearest(name, names)}"
            )
        if weight < 0:
            raise RecipeError(f"evolve.operators.{name}: weight {weight!r} must be at least 0")
    found = [replace(o, weight=chosen.get(o.name, 0.0)) if chosen else o for o in domain.operators]
    found = [o for o in found if o.weight > 0]
    if recipe.evolve.rounds and not any(o.kind != "fuse" for o in found):
        raise RecipeError(
            f"evolve.operators: nothing to draw before fusion; domain {domain.name!r} has {', '.join(names) or 'none'}"
        )
    return tuple(found)


def _seeds(recipe: Recipe, domain: Domain) -> list[Record]:
    from evoltune.rows.records import seed_records

    unique = {seed.id: seed for seed in seed_records(recipe, domain)}
    return list(unique.values())


def _chosen(recipe: Recipe, seeds: list[Record]) -> tuple[list[Record], list[Record]]:
    """(seeds that chains grow from, the others): all, or `evolve.chains` of them in an order drawn by the recipe's seed."""
    if not 0 < recipe.evolve.chains < len(seeds):
        return seeds, []
    drawn = sorted(seeds, key=lambda seed: digest([recipe.seed, seed.id]))
    return drawn[: recipe.evolve.chains], drawn[recipe.evolve.chains :]


def _decide_seeds(recipe: Recipe, store: Store, step: Step, seeds: list[Record]) -> None:
    """Seeds are kept as they are; those that still need the teacher are decided by their chain."""
    todo = (s for s in seeds if not needs_teacher(recipe, s) and store.decided(step, s.id) is None)
    while chunk := list(islice(todo, SEED_COMMIT)):
        store.decide(step, chunk)


def _run(main: Coroutine[object, object, None]) -> None:
    """asyncio.run on uvloop where it is installed; from inside a running loop (a notebook) in a thread of its own."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        from asyncio import new_event_loop

    def call() -> None:
        with _rare_collections(), asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(_stoppable(main))

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        call()
        return
    with ThreadPoolExecutor(1) as pool:
        pool.submit(call).result()


async def _stoppable(main: Coroutine[object, object, None]) -> None:
    """SIGTERM cancels the work between two callbacks, as the Runner does for Ctrl-C; then the command is interrupted."""
    if threading.current_thread() is not threading.main_thread():
        return await main
    loop, before = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)
    work = loop.create_task(main)
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        work.cancel()

    loop.add_signal_handler(signal.SIGTERM, stop)
    try:
        await work
    except asyncio.CancelledError:
        if stopped:
            raise KeyboardInterrupt from None
        raise
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Fewer, cheaper garbage collections: with hundreds of tasks in flight the default ones took 8% of the CPU."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextmanager
def _progress(progress: Progress | None, total: int) -> Iterator[Callable[[], None]]:
    """A bar on a terminal, nothing elsewhere; or the caller's own function."""
    done = 0
    if progress is not None:

        def report() -> None:
            nonlocal done
            done += 1
            progress(done, total)

        yield report
    elif not sys.stderr.isatty():
        yield lambda: None
    else:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.progress import (
            Progress as Bar,
        )

        columns = (TextColumn("evolve"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("evolve", total=total)
            yield lambda: bar.advance(task)
