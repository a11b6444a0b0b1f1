"""Hard caps: never exceeded, however many calls fly at once, whatever fails, and over resumes."""

import asyncio
import random

import pytest

from evoltune.errors import BudgetError, TeacherError
from evoltune.recipe import Budget, Price
from evoltune.run.store import Store, Usage
from evoltune.teacher.budget import Budgeted, BudgetMeter, worst_case_cost
from evoltune.teacher.journal import Journalled
from evoltune.teacher.protocol import AttemptError, Reply, Request, cost
from evoltune.teacher.retry import Retried
from evoltune.teacher.stack import ConcurrencyLimited

PRICE = Price(prompt=3.0, completion=15.0)


def request(rng, i):
    text = "word " * rng.randint(1, 60) + str(i)
    return Request(model="m", messages=(("user", text),), purpose="answer", seed=i, n=rng.choice([1, 1, 3]),
                   max_tokens=rng.choice([16, 200, 1000]))  # fmt: skip


class Biller:
    """A server that charges for what it makes, also when the reply is lost on the way, and counts the bill itself."""

    def __init__(self, rng):
        self.rng, self.calls, self.tokens, self.usd = rng, 0, 0, 0.0

    async def complete(self, request):
        fate = self.rng.random()
        if fate < 0.1:
            raise AttemptError("HTTP 429", rate_limited=True)
        self.calls += 1
        prompt = sum(len(c.encode()) // self.rng.randint(1, 5) for _, c in request.messages) + 20
        made = self.rng.choice([request.n * request.max_tokens, self.rng.randint(0, request.n * request.max_tokens)])
        usage = Usage(prompt_tokens=prompt, completion_tokens=made)
        self.tokens += prompt + made
        self.usd += cost(PRICE, usage)
        await asyncio.sleep(0)
        if self.rng.random() < 0.1:
            raise AttemptError("connection lost", charged=True)
        await asyncio.sleep(self.rng.random() * 0.002)
        return Reply(texts=("x",) * request.n, usage=usage)


@pytest.mark.parametrize("seeds", [range(30), pytest.param(range(30, 200), marks=pytest.mark.slow)], ids=["30", "170"])
def test_no_cap_is_exceeded_in_fuzzed_runs(tmp_path, seeds):
    async def main():
        await asyncio.gather(*(_run(seed, tmp_path / str(seed)) for seed in seeds))

    asyncio.run(main())


async def _run(seed, folder):
    rng = random.Random(seed)
    budget = Budget(
        calls=rng.choice([0, rng.randint(1, 60)]),
        tokens=rng.choice([0, rng.randint(500, 60_000)]),
        usd=rng.choice([0.0, rng.uniform(0.001, 0.3)]),
    )
    biller = Biller(rng)
    for session in range(3):  # resumes count what was spent before
        with Store.open(folder) as store:
            finished = await _session(store, budget, biller, rng, session)
    if budget.calls:
        assert biller.calls <= budget.calls
    if budget.tokens:
        assert biller.tokens <= budget.tokens
    if budget.usd:
        assert biller.usd <= budget.usd + 1e-9
    if not (budget.calls or budget.tokens or budget.usd):
        assert finished == 40


async def _session(store, budget, biller, rng, session):
    meter = BudgetMeter(budget, PRICE, store)
    teacher = Journalled(ConcurrencyLimited(Retried(Budgeted(biller, meter), 8), 16), store, PRICE)
    calls = (teacher.complete(request(rng, session * 100 + i)) for i in range(40))
    replies = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(r, Reply | TeacherError | BudgetError) for r in replies), replies
    assert meter.reserved.calls == 0
    return sum(isinstance(r, Reply) for r in replies)


def test_most_of_a_budget_can_be_used(tmp_path):
    rng = random.Random(3)
    biller = Biller(rng)
    with Store.open(tmp_path) as store:
        for session in range(6):
            asyncio.run(_session(store, Budget(tokens=80_000), biller, rng, session))
    assert 0.9 * 80_000 <= biller.tokens <= 80_000


def test_a_call_that_does_not_fit_waits_until_others_return_their_reserve():
    class Half:
        async def complete(self, request):
            await asyncio.sleep(0.01)
            return Reply(texts=("x",), usage=Usage(prompt_tokens=1, completion_tokens=1))

    async def main():
        one = Request(model="m", messages=(("user", "hi"),), purpose="a", seed=1, max_tokens=100)
        meter = BudgetMeter(Budget(tokens=worst_case_cost(one, PRICE).tokens + 10), PRICE)
        teacher = Budgeted(Half(), meter)
        return await asyncio.gather(*(teacher.complete(one) for _ in range(5)))

    assert len(asyncio.run(main())) == 5  # 5 reservations never fit at once


def test_wall_time_ends_calls_in_flight_and_counts_over_sessions(tmp_path):
    class Slow:
        async def complete(self, request):
            await asyncio.sleep(5)

    async def main(store):
        meter = BudgetMeter(Budget(wall_s=0.2), PRICE, store)
        one = Request(model="m", messages=(("user", "hi"),), purpose="a", seed=1)
        try:
            await Budgeted(Slow(), meter).complete(one)
        finally:
            meter.close()

    with Store.open(tmp_path) as store:
        for _ in range(2):  # the second session has nothing left
            with pytest.raises(BudgetError, match=r"budget.wall_s: 0.2 s are used up"):
                asyncio.run(asyncio.wait_for(main(store), 2))


def test_the_error_names_the_cap_what_is_spent_and_what_to_do():
    class Free:
        async def complete(self, request):
            return Reply(texts=("x",))

    async def main():
        meter = BudgetMeter(Budget(usd=0.001), PRICE)
        await Budgeted(Free(), meter).complete(Request(model="m", messages=(("user", "hi"),), purpose="a", seed=1))

    with pytest.raises(
        BudgetError, match=r"teacher.budget.usd: 0 of 0.001 is spent .*raise the cap \(or lower teacher.max_tokens\)"
    ):
        asyncio.run(main())


def test_two_calls_that_ask_the_same_thing_at_once_pay_once(tmp_path):
    biller = Biller(random.Random(11))
    one = Request(model="m", messages=(("user", "hi"),), purpose="a", seed=1)

    async def main(store):
        teacher = Journalled(Retried(biller, 20), store)
        return await asyncio.gather(*(teacher.complete(one) for _ in range(10)))

    with Store.open(tmp_path) as store:
        replies = asyncio.run(main(store))
        assert store.spent()["a"]["calls"] == 1
    assert len({r.texts for r in replies}) == 1
