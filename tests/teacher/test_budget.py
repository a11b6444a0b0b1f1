"""Hard caps: never exceeded, however many calls fly at once, whatever fails, and over resumes."""

import asyncio
import random
from types import SimpleNamespace

import pytest
from budgeted import Budgeted

from evoltune.errors import BudgetError, TeacherError
from evoltune.recipe import Budget, Price
from evoltune.run.store import Store, Usage
from evoltune.teacher import budget as budget_module
from evoltune.teacher.budget import BudgetMeter, Spend, charged_usage, worst_case_cost
from evoltune.teacher.journal import AllSamples, Journalled
from evoltune.teacher.overruns import SERVERS_NOTE, UNSEEN_TEXT
from evoltune.teacher.protocol import AttemptError, Reply, Request, cost
from evoltune.teacher.retry import Retried
from evoltune.teacher.stack import ConcurrencyLimited

PRICE = Price(prompt=3.0, completion=15.0)


def request(rng, i):
    text = "word " * rng.randint(1, 60) + str(i)
    return Request(model="m", messages=(("user", text),), purpose="answer", seed=i, n=rng.choice([1, 1, 3]),
                   max_tokens=rng.choice([16, 200, 1000]))  # fmt: skip


class Biller:
    """A server that charges for what it makes, also when the reply is lost on the way, and counts the bill itself.

    ways: ignores_n (one text a call), ignores_max_tokens (all texts of one length, or with varied: of many), no_usage, fails
    (503 after it has generated), slow (a reply after the client's patience), twice (a choice too many)
    """

    def __init__(self, rng, ways=()):
        self.rng, self.ways, self.calls, self.tokens, self.usd = rng, ways, 0, 0, 0.0
        self.long_winded = rng.randint(60, 900)

    async def complete(self, request):
        fate = self.rng.random()
        if fate < 0.1:
            raise AttemptError("HTTP 429", rate_limited=True)
        self.calls += 1
        n = 1 if "ignores_n" in self.ways else request.n
        prompt = sum(len(c.encode()) // self.rng.randint(1, 5) for _, c in request.messages) + 20
        most = n * request.max_tokens
        made = self.rng.choice([most, self.rng.randint(0, most)])
        if "ignores_max_tokens" in self.ways:
            made = n * (self.rng.randint(1, self.long_winded) if "varied" in self.ways else self.long_winded)
        if "twice" in self.ways:
            n, made = n + 1, made + made // n
        usage = Usage(prompt_tokens=prompt, completion_tokens=made)
        self.tokens += prompt + made
        self.usd += cost(PRICE, usage)
        await asyncio.sleep(0)
        if self.rng.random() < 0.1:
            raise AttemptError("connection lost", charged=True)
        if "fails" in self.ways and self.rng.random() < 0.05:
            raise AttemptError("HTTP 503", charged=True)
        await asyncio.sleep(self.rng.random() * 0.002)
        if "slow" in self.ways and self.rng.random() < 0.1:
            raise AttemptError("timed out", charged=True)
        word = "x" * (made // n)
        return Reply(texts=(word,) * n, usage=Usage() if "no_usage" in self.ways else usage)


WAYS = ("ignores_n", "ignores_max_tokens", "varied", "no_usage", "fails", "slow", "twice")


@pytest.mark.parametrize("seeds", [range(40), pytest.param(range(40, 300), marks=pytest.mark.slow)], ids=["40", "260"])
def test_no_cap_is_exceeded_by_the_servers_own_count(tmp_path, seeds):
    async def main():
        await asyncio.gather(*(_run(seed, tmp_path / str(seed)) for seed in seeds))

    asyncio.run(asyncio.wait_for(main(), 5 * len(seeds)))  # a reservation that is never settled would wait for ever


async def _run(seed, folder):
    rng = random.Random(seed)
    budget = Budget(
        calls=rng.choice([0, rng.randint(1, 60)]),
        tokens=rng.choice([0, rng.randint(2_500, 60_000)]),
        usd=rng.choice([0.0, rng.uniform(0.04, 0.3)]),
    )
    biller = Biller(rng, [way for way in WAYS if rng.random() < 0.3])
    for session in range(3):  # resumes count what was spent before, also after a `kill -9`
        with Store.open(folder) as store:
            finished = await _session(store, budget, biller, rng, session, is_killed=rng.random() < 0.4)
    told = f"seed {seed}: {biller.ways} against {budget}"
    if budget.calls:
        assert biller.calls <= budget.calls, told
    if budget.tokens:
        assert biller.tokens <= budget.tokens, told
    if budget.usd:
        assert biller.usd <= budget.usd + 1e-9, told
    if not (budget.calls or budget.tokens or budget.usd):
        assert finished == 40


class Killed(BaseException):
    """Ends a session as `kill -9` does: nothing more is written."""


async def _session(store, budget, biller, rng, session, *, is_killed=False):
    meter = BudgetMeter(budget, PRICE, store)
    teacher = AllSamples(Journalled(ConcurrencyLimited(Retried(Budgeted(biller, meter), 8), 16), store, PRICE))
    calls = [asyncio.create_task(teacher.complete(request(rng, session * 100 + i))) for i in range(40)]
    if is_killed and meter.has_caps:
        await asyncio.wait(calls, timeout=rng.random() * 0.02)
        store.note_cost = store.journal = _written_no_more
        everything = [*calls, *teacher._inner.calls]
        for call in everything:
            call.cancel()
        await asyncio.gather(*everything, return_exceptions=True)
        return 0
    replies = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(r, Reply | TeacherError | BudgetError) for r in replies), replies
    assert meter.reserved.calls == 0
    meter.close()
    return sum(isinstance(r, Reply) for r in replies)


def _written_no_more(*args, **options):
    raise Killed


def test_most_of_a_budget_can_be_used(tmp_path):
    rng = random.Random(3)
    biller = Biller(rng)
    with Store.open(tmp_path) as store:
        for session in range(6):
            asyncio.run(_session(store, Budget(tokens=80_000), biller, rng, session))
    assert 0.75 * 80_000 <= biller.tokens <= 80_000  # how much depends on the order in which replies come


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


# ---- a server that makes more than it is asked for


class Rambles:
    """A server that makes so many tokens whatever `max_tokens` says; `fails` of its replies are lost on the way."""

    def __init__(self, tokens, fails=0):
        self.tokens, self.fails, self.calls, self.at_once, self.most_at_once = tokens, fails, 0, 0, 0

    async def complete(self, request):
        self.calls, self.at_once = self.calls + 1, self.at_once + 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.001)
        self.at_once -= 1
        if self.calls <= self.fails:
            raise AttemptError("connection lost", charged=True)
        return Reply(texts=("x",), usage=Usage(prompt_tokens=10, completion_tokens=self.tokens))


def small(seed, max_tokens=16):
    return Request(model="m", messages=(("user", "hi"),), purpose="judge", seed=seed, max_tokens=max_tokens)


def ask(meter, server, count=1, name="", first=1):
    async def one(request):
        return await meter.pay(request, lambda: server.complete(request), name)

    async def main():
        return await asyncio.gather(*(one(small(first + i)) for i in range(count)), return_exceptions=True)

    return asyncio.run(asyncio.wait_for(main(), 60))


def test_the_first_call_to_a_server_reserves_more_than_it_asks_for_and_at_most_all_that_is_left(tmp_path):
    for cap, booked in ((100_000, 34 + UNSEEN_TEXT), (1_000, 1_000)):
        with Store.open(tmp_path / str(cap)) as store:
            meter = BudgetMeter(Budget(tokens=cap), PRICE, store)
            ask(meter, Rambles(16, fails=1))
            assert spent(meter) == booked == spent(BudgetMeter(Budget(tokens=cap), PRICE, store))


def test_a_server_that_was_killed_before_its_first_reply_was_used_stays_booked_at_the_length_that_it_shows_later(
    tmp_path,
):
    rambling = Rambles(9_000)
    with Store.open(tmp_path) as store:

        async def killed():
            meter = BudgetMeter(Budget(tokens=100_000), PRICE, store)
            call = asyncio.create_task(meter.pay(small(1), lambda: asyncio.sleep(60)))
            await asyncio.sleep(0)
            store.note_cost = lambda *args: None  # nothing more is written
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            del store.note_cost

        asyncio.run(killed())
        meter = BudgetMeter(Budget(tokens=100_000), PRICE, store)
        assert spent(meter) == 34 + UNSEEN_TEXT
        ask(meter, rambling, first=2)
        prompts = 34 + 10
        assert spent(meter) == prompts + 2 * 9_000 + 9_000  # twice the longest for the one whose length nobody saw
        meter.close()  # the second is not journalled here: its session ends as an ordinary one


def test_what_a_server_taught_is_known_in_the_next_session(tmp_path):
    with Store.open(tmp_path) as store:
        ask(BudgetMeter(Budget(tokens=50_000), PRICE, store), Rambles(900))
        again = BudgetMeter(Budget(tokens=50_000), PRICE, store)
        assert again.worst_case(small(9)).tokens == 34 + 2 * 900
        assert again.worst_case(small(9), "another").tokens == 34 + 16


def test_servers_are_known_each_by_itself():
    meter = BudgetMeter(Budget(tokens=15_000), PRICE)
    fair, rambling = Rambles(16), Rambles(2_000)
    ask(meter, fair, 30, "fair")
    assert fair.most_at_once > 5
    ask(meter, rambling, 30, "rambling")
    assert rambling.calls < 8 and rambling.most_at_once == 1
    assert meter.worst_case(small(1), "fair").tokens == 34 + 16


def test_a_server_that_returns_more_texts_than_asked_for_is_reserved_for_them():
    meter = BudgetMeter(Budget(tokens=50_000), PRICE)
    both = Reply(texts=("a", "b"), usage=Usage(prompt_tokens=10, completion_tokens=32))
    ask(meter, Answers(both))
    assert meter.worst_case(small(1, 1_000)).tokens == 34 + 2 * 1_000


# ---- the meter by itself

ONE = Request(model="m", messages=(("user", "hi"),), purpose="answer", seed=1, max_tokens=100)
AMOUNT = Spend(calls=1, tokens=100, usd=0.25)


class Answers:
    """A teacher that answers, or fails, in the way it was given."""

    def __init__(self, way):
        self.way = way

    async def complete(self, request):
        if isinstance(self.way, BaseException):
            raise self.way
        return self.way


@pytest.fixture
def clock(monkeypatch):
    """The meter's clock: stands still until the test sets `clock.now`."""
    hands = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(budget_module, "time", SimpleNamespace(monotonic=lambda: hands.now))
    return hands


def spent(meter, cap="tokens"):
    """What the meter counts as spent, as its error tells the user."""
    return float(str(meter.error(cap, Spend())).split(": ")[1].split(" of ")[0])


def reserved(budget, *amounts, within_s=5.0):
    """The meter after these reservations, none of them settled."""

    async def main():
        meter = BudgetMeter(budget, PRICE)
        for amount in amounts:
            await meter.reserve(amount)
        return meter

    return asyncio.run(asyncio.wait_for(main(), within_s))


def test_amounts_add_and_subtract_in_every_part():
    a, b = Spend(calls=5, tokens=70, usd=1.5), Spend(calls=2, tokens=30, usd=0.25)
    assert a + b == Spend(calls=7, tokens=100, usd=1.75)
    assert a - b == Spend(calls=3, tokens=40, usd=1.25)
    assert (a + b) - b == a and a + Spend() == a - Spend() == a


def test_the_worst_case_is_the_prompt_in_bytes_and_all_that_may_be_made():
    two = Request(model="m", messages=(("system", "é"), ("user", "abc")), purpose="a", seed=1, n=3, max_tokens=100)
    prompt = 2 + 3 + 2 * 32
    usage = Usage(prompt_tokens=prompt, completion_tokens=300)
    assert worst_case_cost(two, PRICE) == Spend(calls=1, tokens=prompt + 300, usd=cost(PRICE, usage))


@pytest.mark.parametrize(
    ("reply", "prompt", "completion"),
    [
        (Reply(texts=("x",), usage=Usage(prompt_tokens=7, completion_tokens=5)), 7, 5),
        (Reply(texts=("x", "y"), usage=Usage(prompt_tokens=7)), 7, 200),  # n x max_tokens
        (Reply(texts=("x", "y", "z"), usage=Usage(prompt_tokens=7)), 7, 300),  # texts that were not asked for
        (Reply(texts=("é" * 150, ""), thoughts=("y", ""), usage=Usage(prompt_tokens=7)), 7, 301),  # bytes written
        (Reply(texts=("x",), usage=Usage(completion_tokens=5)), 2 + 32, 5),
        (Reply(texts=("x",)), 2 + 32, 200),
        (Reply(texts=("", "")), 2 + 32, 200),
        (Reply(texts=("", ""), usage=Usage(prompt_tokens=7)), 7, 0),  # it says what it used, and wrote nothing
    ],
)  # fmt: skip
def test_a_reply_without_usage_is_charged_at_its_bound(reply, prompt, completion):
    request = Request(model="m", messages=(("user", "hi"),), purpose="a", seed=1, n=2, max_tokens=100)
    assert charged_usage(request, reply) == Usage(prompt_tokens=prompt, completion_tokens=completion)


@pytest.mark.parametrize(
    ("cap", "fits", "short"),
    [("calls", 2, 1), ("tokens", 200, 199), ("usd", 0.5, 0.4999)],
)  # fmt: skip
def test_a_cap_is_reached_but_not_passed(cap, fits, short):
    assert reserved(Budget(**{cap: fits}), AMOUNT, AMOUNT).reserved == AMOUNT + AMOUNT
    with pytest.raises(TimeoutError):  # one is in flight: the second waits for it
        reserved(Budget(**{cap: short}), AMOUNT, AMOUNT, within_s=0.1)
    with pytest.raises(BudgetError, match=rf"teacher.budget.{cap}: 0 of .* may need "):
        reserved(Budget(**{cap: short}), AMOUNT + AMOUNT)


def test_sums_of_floats_do_not_count_against_the_cap():
    tenth = Spend(calls=1, usd=0.1)
    assert reserved(Budget(usd=0.3), tenth, tenth, tenth).reserved.calls == 3  # 0.30000000000000004


def test_each_cap_alone_is_a_cap():
    assert not BudgetMeter(Budget(), PRICE).has_caps
    assert all(BudgetMeter(Budget(**{cap: 1}), PRICE).has_caps for cap in ("usd", "tokens", "calls", "wall_s"))


@pytest.mark.parametrize(
    ("way", "kept"),
    [
        (Reply(texts=("x",), usage=Usage(prompt_tokens=7, completion_tokens=5)), 12),
        (AttemptError("HTTP 429", rate_limited=True), 0), (ValueError("no attempt"), 0),
        (AttemptError("connection lost", charged=True), 134), (asyncio.CancelledError(), 134),  # the worst case
    ],
)  # fmt: skip
def test_what_an_attempt_may_have_cost_stays_spent_also_over_sessions(tmp_path, way, kept):
    worst = worst_case_cost(ONE, PRICE)
    assert worst.tokens == 134
    budget = Budget(calls=10, tokens=1000, usd=1.0)
    well_known = {"": {"replies": {"100": 20}, "largest": 100, "overran": False, "surplus": 0, "unseen": []}}

    async def main(meter):
        for _ in range(2):
            try:
                assert await Budgeted(Answers(way), meter).complete(ONE) is way
            except (AttemptError, ValueError, asyncio.CancelledError) as error:
                assert error is way

    with Store.open(tmp_path) as store:
        store.note(SERVERS_NOTE, well_known)
        meter = BudgetMeter(budget, PRICE, store)
        asyncio.run(main(meter))
        assert meter.reserved == Spend()
        assert (spent(meter), spent(meter, "calls")) == (2 * kept, 2 * bool(kept))
        usd = cost(PRICE, way.usage) if isinstance(way, Reply) else worst.usd * bool(kept)
        assert spent(meter, "usd") == pytest.approx(2 * usd)
        if not isinstance(way, Reply):  # a reply is journalled, and counted from there
            again = BudgetMeter(budget, PRICE, store)
            assert (spent(again), spent(again, "calls")) == (2 * kept, 2 * bool(kept))
            assert spent(again, "usd") == pytest.approx(2 * usd)


def test_journalled_calls_are_spent_in_later_sessions(tmp_path):
    way = Reply(texts=("x",), usage=Usage(prompt_tokens=7, completion_tokens=5))
    with Store.open(tmp_path) as store:
        for purpose in ("answer", "evolve"):
            request = Request(model="m", messages=(("user", "hi"),), purpose=purpose, seed=1)
            asyncio.run(Journalled(Answers(way), store, PRICE).complete(request))
        meter = BudgetMeter(Budget(tokens=1000), PRICE, store)
        assert (spent(meter), spent(meter, "calls")) == (24, 2)
        assert spent(meter, "usd") == pytest.approx(2 * cost(PRICE, way.usage))
        assert spent(BudgetMeter(Budget(), PRICE, store)) == 0  # nothing is capped


def test_wall_time_is_what_passed_in_this_session_and_the_earlier_ones(tmp_path, clock):
    assert BudgetMeter(Budget(tokens=1), PRICE).wall_left_s() == float("inf")
    with Store.open(tmp_path) as store:
        meter = BudgetMeter(Budget(wall_s=10), PRICE, store)
        assert meter.wall_left_s() == 10
        clock.now += 3
        assert meter.wall_left_s() == 7
        clock.now += 0.5
        assert meter.wall_left_s() == 6.5
        # a killed session: its time is noted at most a second late
        assert BudgetMeter(Budget(wall_s=10), PRICE, store).wall_left_s() == 7
        clock.now += 0.75
        assert meter.wall_left_s() == 5.75
        assert BudgetMeter(Budget(wall_s=10), PRICE, store).wall_left_s() == 5.75
        clock.now += 0.25
        meter.close()
        later = BudgetMeter(Budget(wall_s=10), PRICE, store)
        clock.now += 100
        BudgetMeter(Budget(tokens=5), PRICE, store).close()  # no cap on time, no note
        assert later.wall_left_s() == 5.5 - 100
    meter = BudgetMeter(Budget(wall_s=10), PRICE)
    clock.now += 4
    meter.close()  # without a store
    assert meter.wall_left_s() == 6


def test_no_call_starts_when_the_wall_time_is_used_up(clock):
    async def main(seconds):
        meter = BudgetMeter(Budget(wall_s=10, calls=5), PRICE)
        await meter.reserve(AMOUNT)  # stays in flight: the next would wait for it
        clock.now += seconds
        await meter.reserve(AMOUNT)

    asyncio.run(asyncio.wait_for(main(9.9), 2))
    for seconds in (10, 12.5):
        with pytest.raises(BudgetError, match=r"budget.wall_s: 10 s are used up"):
            asyncio.run(asyncio.wait_for(main(seconds), 2))


def test_a_call_that_waits_for_money_gives_up_when_the_wall_time_ends(clock):
    async def main():
        meter = BudgetMeter(Budget(wall_s=10, calls=1), PRICE)
        await meter.reserve(AMOUNT)
        clock.now += 10
        await meter.reserve(AMOUNT)

    with pytest.raises(BudgetError, match=r"budget.wall_s: 10 s are used up"):
        asyncio.run(asyncio.wait_for(main(), 2))


def test_an_uncapped_teacher_is_not_metered():
    meter = BudgetMeter(Budget(), PRICE)
    way = Reply(texts=("x",), usage=Usage(prompt_tokens=7, completion_tokens=5))
    assert asyncio.run(Budgeted(Answers(way), meter).complete(ONE)) is way
    assert spent(meter) == 0


@pytest.mark.parametrize(
    ("cap", "amount", "fits", "short"),
    [("tokens", Spend(calls=1, tokens=100), 600, 599), ("usd", Spend(calls=1, usd=0.125), 0.75, 0.7499)],
)  # fmt: skip
def test_while_a_server_is_little_known_calls_in_flight_must_fit_three_times(tmp_path, cap, amount, fits, short):
    """Two calls in flight of a server that kept `max_tokens` in a few replies."""

    async def two_in_flight(folder, limit, replies):
        with Store.open(folder) as store:
            store.note(
                SERVERS_NOTE,
                {"s": {"replies": {"66": replies}, "largest": 66, "overran": False, "surplus": 0, "unseen": []}},
            )
            meter = BudgetMeter(Budget(**{cap: limit}), PRICE, store)
            for _ in range(2):
                await asyncio.wait_for(meter.reserve(amount, 66, "s"), 0.2)
            return meter.reserved

    assert asyncio.run(two_in_flight(tmp_path / "fits", fits, 19)) == amount + amount
    with pytest.raises(TimeoutError):  # the second waits for the first
        asyncio.run(two_in_flight(tmp_path / "short", short, 19))
    with pytest.raises(TimeoutError):  # nothing is known of it
        asyncio.run(two_in_flight(tmp_path / "unknown", 100 * fits, 0))
    assert asyncio.run(two_in_flight(tmp_path / "known", fits / 3, 20)) == amount + amount
