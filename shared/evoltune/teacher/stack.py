"""A recipe's teacher: an engine, and the wrappers round it.

    async with open_teacher(recipe.teacher, store) as teacher:
        reply = await teacher.complete(make_request(recipe.teacher, "Write a harder task.", purpose="evolve", seed=1))

`open_teacher` builds AllSamples(Journalled(ConcurrencyLimited(Retried(engine)))). Every attempt of an engine is reserved in
the budget first (`attempts`; each HTTP request is one), failed ones are repeated, replies are committed before use.
Invariant: a call that the journal holds is never made again, also when the run was stopped while the call was in flight.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from evoltune import recipe as recipes
from evoltune.errors import RecipeError
from evoltune.run.store import Store
from evoltune.teacher.attempts import Attempts
from evoltune.teacher.budget import BudgetMeter
from evoltune.teacher.engines import open_engine
from evoltune.teacher.journal import AllSamples, Journalled
from evoltune.teacher.protocol import Reply, Request, Teacher
from evoltune.teacher.retry import Retried
from evoltune.teacher.window import Window

MAX_STOP_S = 60.0
"""A stopped run waits this long for the calls in flight; batch systems kill it some time after SIGTERM."""


BYTES_PER_TOKEN, UNBOUNDED_TOKENS = 16, 8192
"""Of prompt and reply together, as JSON; the tokens of a reply that nothing bounds."""


class ConcurrencyLimited:
    """At most `concurrency` calls at once."""

    def __init__(self, inner: Teacher, concurrency: int) -> None:
        self._inner, self._slots = inner, Window(concurrency, limit=concurrency)

    async def complete(self, request: Request) -> Reply:
        async with self._slots:
            return await self._inner.complete(request)


def _room_for_flight(config: recipes.Teacher) -> int:
    """Bytes that the prompts and replies of all calls in flight take, as far as can be foreseen."""
    texts = config.concurrency * (config.max_tokens or UNBOUNDED_TOKENS) * BYTES_PER_TOKEN
    return max(2**20, min(2**26, texts))


@asynccontextmanager
async def open_teacher(
    config: recipes.Teacher, store: Store | None = None, *, beside: Teacher | None = None
) -> AsyncIterator[Teacher]:
    """The recipe's teacher, ready: servers are up, keys are read. With a store: journalled, budget counted over resumes.
    beside: another one that is open on the same store: one budget bounds both.
    Raises TeacherError (unreachable, not loadable), RecipeError (a key or file is missing); a call may raise BudgetError.
    """
    async with AsyncExitStack() as stack:
        if config.max_tokens is None and (config.budget.tokens or config.budget.usd):
            raise RecipeError("teacher.max_tokens: null bounds no call: a budget of tokens or usd needs a number there")
        first = beside.meter if isinstance(beside, AllSamples) else None
        meter = BudgetMeter(config.budget, config.price, store, beside=first)
        attempts = Attempts(meter)
        engine = await stack.enter_async_context(open_engine(config, attempts, store))
        stack.callback(meter.close)
        retried = Retried(engine, config.max_retries, config.max_wait_s)
        teacher = ConcurrencyLimited(retried, config.concurrency)
        if store is None:
            yield AllSamples(teacher, meter)
            return
        store.hold_reserve(_room_for_flight(config))
        journalled = Journalled(teacher, store, config.price)
        attempts.before_each = journalled.commit_or_refuse
        stack.push_async_callback(attempts.stop, journalled, min(MAX_STOP_S, config.timeout_s))
        yield AllSamples(journalled, meter)
