"""The engine behind a teacher: one of our kinds, or one that another package brings.

    [project.entry-points."evoltune.teachers"]
    my-engine = "my_package:open_teacher"          # recipe: teacher: {kind: my-engine, model: ..., engine: {...}}

`open_teacher(config)` takes the recipe's `teacher` section and returns an asynchronous context manager that gives a `Teacher`.
One `complete` is one attempt: AttemptError is tried again, GivenUpError costs the one request, TeacherError ends the run.
Invariant: every engine, also a foreign one, is wrapped by the same journal, budget, retries and limit of concurrency.
"""

import importlib.metadata
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

from evoltune import recipe as recipes
from evoltune.errors import RecipeError, nearest
from evoltune.run.store import Store
from evoltune.teacher.attempts import Attempts, Paid
from evoltune.teacher.embedded import open_embedded
from evoltune.teacher.http import open_http
from evoltune.teacher.in_process import open_in_process
from evoltune.teacher.journal import load_cassette
from evoltune.teacher.protocol import Teacher

ENTRY_POINTS = "evoltune.teachers"
BUILT_IN = ("embedded", "http", "replay", "transformers", "vllm")
WITHOUT_OPTIONS = ("embedded", "http", "replay")
OpenTeacher = Callable[[recipes.Teacher], AbstractAsyncContextManager[Teacher]]


def plug_ins() -> dict[str, str]:
    """Kind -> `module:function` of the engines that installed packages bring. Imports none of them."""
    return {entry.name: entry.value for entry in importlib.metadata.entry_points(group=ENTRY_POINTS)}


def check_engine(config: recipes.Teacher) -> None:
    """Raises RecipeError for a kind that nobody brings, and for `engine` options that the kind cannot take."""
    if config.engine and config.kind in WITHOUT_OPTIONS:
        raise RecipeError(f"teacher.engine: kind {config.kind!r} takes no options of an engine: remove it")
    if config.kind not in BUILT_IN and config.kind not in (known := plug_ins()):
        raise RecipeError(
            f"teacher.kind: {config.kind!r} is no engine: {nearest(config.kind, [*BUILT_IN, *known])}; another package can "
            f"bring one (entry point group {ENTRY_POINTS!r})"
        )


def open_engine(
    config: recipes.Teacher, attempts: Attempts, store: Store | None = None
) -> AbstractAsyncContextManager[Teacher]:
    """The engine that the recipe names, whose attempts are the run's. Raises RecipeError; what the engine itself lacks, it
    says when it is entered."""
    check_engine(config)
    if config.kind == "http":
        return open_http(config, attempts, store)
    if config.kind == "embedded":
        return open_embedded(config, attempts)
    if config.kind == "replay":
        if not config.cassette:
            raise RecipeError("teacher.cassette: kind 'replay' needs a file written by `evoltune cassette export`")
        return nullcontext(Paid(load_cassette(config.cassette), attempts))
    opened = open_in_process(config) if config.kind in BUILT_IN else _load(config.kind)(config)
    return _paid(opened, attempts)


@asynccontextmanager
async def _paid(opened: AbstractAsyncContextManager[Teacher], attempts: Attempts) -> AsyncIterator[Teacher]:
    async with opened as engine:
        yield Paid(engine, attempts)


def _load(kind: str) -> OpenTeacher:
    entry = next(iter(importlib.metadata.entry_points(group=ENTRY_POINTS, name=kind)))
    try:
        opener: OpenTeacher = entry.load()
    except (ImportError, AttributeError) as error:
        raise RecipeError(f"teacher.kind: {kind!r} ({entry.value}) cannot be loaded: {error}") from error
    return opener
