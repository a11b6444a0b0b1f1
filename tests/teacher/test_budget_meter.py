"""What the meter books for single calls: unknown servers, failures, probes, replies without usage, two meters in a run."""

import asyncio
from types import SimpleNamespace

import pytest

from evoltune.errors import BudgetError
from evoltune.recipe import Budget, Price
from evoltune.run.store import Store, Usage
from evoltune.teacher import budget as budget_module
from evoltune.teacher.budget import BOUNDED_NOTE, WALL_NOTE, BudgetMeter, Spend, charged_usage, worst_case_cost
from evoltune.teacher.protocol import PROBE, AttemptError, GivenUpError, Reply, Request, cost

PRICE = Price(prompt=3.0, completion=15.0)
PROMPT = 2 + 32


def request(max_tokens=100, n=1, purpose="answer"):
    return Request(model="m", messages=(("user", "hi"),), purpose=purpose, seed=1, max_tokens=max_tokens, n=n)


def reply(completion, texts=1):
    return Reply(texts=("x",) * texts, usage=Usage(prompt_tokens=10, completion_tokens=completion))


def paid(meter, asked, way, name=""):
    """What comes of one call that ends in `way`."""

    async def send():
        if isinstance(way, BaseException):
            raise way
        return way

    return asyncio.run(meter.pay(asked, send, name))


def spent(meter, cap="tokens"):
    """What the meter counts as spent, as its error tells the user."""
    return float(str(meter.error(cap, Spend())).split(": ")[1].split(" of ")[0])


async def reserved_by(meter, calls):
    """What the meter has reserved for calls in flight, which end then."""
    found = meter.reserved
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    return found


def booked(budget, *asked):
    """What is reserved for the first calls to a server while they are in flight."""

    async def main():
        meter, answer = BudgetMeter(budget, PRICE), asyncio.Event()
        calls = [asyncio.create_task(meter.pay(one, answer.wait)) for one in asked]
        await asyncio.sleep(0.01)
        return await reserved_by(meter, calls)

    return asyncio.run(main())


def test_the_first_call_to_a_server_has_4096_tokens_a_text_reserved_or_what_is_left():
    """The figure that docs/generate.md names."""
    assert booked(Budget(tokens=10**6), request(n=3)) == Spend(
        calls=1, tokens=PROMPT + 3 * 4096, usd=cost(PRICE, Usage(prompt_tokens=PROMPT, completion_tokens=3 * 4096))
    )
    assert booked(Budget(tokens=10**6), request(5000)) == worst_case_cost(request(5000), PRICE)  # it asks for more
    assert booked(Budget(tokens=500, usd=0.01), request()).tokens == 500
    assert booked(Budget(tokens=500, usd=0.01), request()).usd == pytest.approx(0.01)
    assert booked(Budget(usd=0.01), request()).tokens == PROMPT + 4096
    assert booked(Budget(calls=3), request()) == worst_case_cost(request(), PRICE)  # nothing that a text could exceed


def test_calls_without_max_tokens_cannot_overrun_and_fly_together():
    unbounded = request(None)
    assert worst_case_cost(unbounded, PRICE).tokens == PROMPT
    assert worst_case_cost(unbounded, PRICE, 70).tokens == PROMPT + 70
    assert booked(Budget(tokens=10**6), *[unbounded] * 3).calls == 3
    assert booked(Budget(tokens=10**6), *[request()] * 3).calls == 1  # these wait for the first reply
    assert booked(Budget(calls=10), *[request()] * 3).calls == 3
    meter = BudgetMeter(Budget(tokens=10**6), PRICE)
    paid(meter, unbounded, reply(50))

    async def in_flight():
        call = asyncio.create_task(meter.pay(unbounded, asyncio.Event().wait))
        await asyncio.sleep(0)
        found = meter.reserved
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        return found

    assert asyncio.run(in_flight()).tokens == PROMPT  # its texts are known now


@pytest.mark.parametrize(
    ("error", "is_lost"), [(AttemptError("HTTP 429"), False), (AttemptError("cut off", charged=True), True)]
)
def test_a_first_call_that_was_lost_is_booked_anew_when_the_server_overruns_and_one_that_cost_nothing_is_not(
    tmp_path, error, is_lost
):
    with Store.open(tmp_path) as store:
        meter = BudgetMeter(Budget(tokens=10**6), PRICE, store)
        with pytest.raises(AttemptError):
            paid(meter, request(n=3), error)
        lost = PROMPT + 3 * 4096 if is_lost else 0
        assert spent(meter) == lost
        paid(meter, request(), reply(9_000))
        more = 3 * (2 * 9_000 - 4096) if is_lost else 0
        assert spent(meter) == lost + 10 + 9_000 + more
        meter.close()
        again = BudgetMeter(Budget(tokens=10**6), PRICE, store)
        assert spent(again) == lost + more  # the reply is a row of the journal in a real run


def test_what_is_left_of_a_cap_is_booked_in_whole_tokens_a_text(tmp_path):
    with Store.open(tmp_path) as store:
        for _ in range(2):
            meter = BudgetMeter(Budget(tokens=1_000), PRICE, store)
            with pytest.raises((AttemptError, BudgetError)):
                paid(meter, request(n=3), AttemptError("cut off", charged=True))
            assert spent(meter) == 1_000
        meter = BudgetMeter(Budget(tokens=100_000), PRICE, store)
        paid(meter, request(), reply(500))
        assert spent(meter) == 1_000 + 10 + 500 + 3 * (1_000 - (1_000 - PROMPT) // 3)


def test_a_call_that_waited_reserves_what_the_reply_before_it_has_shown():
    async def main():
        meter, first = BudgetMeter(Budget(tokens=10**6), PRICE), asyncio.Event()

        async def rambling():
            await first.wait()
            return reply(3_000)

        calls = [asyncio.create_task(meter.pay(request(), send)) for send in (rambling, asyncio.Event().wait)]
        await asyncio.sleep(0.01)
        first.set()
        await asyncio.sleep(0.01)
        return await reserved_by(meter, calls)

    assert asyncio.run(main()).tokens == PROMPT + 2 * 3_000


@pytest.mark.parametrize(
    ("usage", "kept"), [(Usage(prompt_tokens=7, completion_tokens=5), 12), (Usage(), 134), (None, 0)]
)
def test_a_text_that_was_withheld_costs_what_its_server_says_or_the_worst_case(usage, kept):
    meter, withheld = BudgetMeter(Budget(calls=10), PRICE), GivenUpError("filtered")
    withheld.usage = usage
    with pytest.raises(GivenUpError):
        paid(meter, request(), withheld)
    assert (spent(meter, "tokens"), spent(meter, "calls")) == (kept, bool(kept))


@pytest.mark.parametrize("purpose", ["answer", PROBE, "rollout"])
def test_a_probe_has_no_row_in_the_journal_and_stays_booked(tmp_path, purpose):
    with Store.open(tmp_path) as store:
        meter = BudgetMeter(Budget(tokens=10**6), PRICE, store)
        paid(meter, request(purpose=purpose), reply(5))
        assert spent(meter) == 15
        meter.close()
        assert spent(BudgetMeter(Budget(tokens=10**6), PRICE, store)) == (15 if purpose == PROBE else 0)


@pytest.mark.parametrize("budget", [Budget(), Budget(tokens=10**6)])
def test_replies_without_usage_are_counted_over_sessions_and_said_once(tmp_path, capsys, budget):
    silent, partial = Reply(texts=("x",)), Reply(texts=("x",), usage=Usage(prompt_tokens=10))
    with Store.open(tmp_path) as store:
        meter = BudgetMeter(budget, PRICE, store)
        for purpose, way in (("answer", reply(5)), (PROBE, silent)):
            paid(meter, request(purpose=purpose), way)
        meter.close()
        assert not capsys.readouterr().err and store.noted(BOUNDED_NOTE) is None
        for purpose, way in (("answer", silent), ("rollout", partial)):
            paid(meter, request(purpose=purpose), way)
        assert capsys.readouterr().err.count("a reply without usage") == 1
        meter.close()
        assert store.noted(BOUNDED_NOTE) == 2
        later = BudgetMeter(budget, PRICE, store)
        paid(later, request(), silent)
        later.close()
        assert not capsys.readouterr().err and store.noted(BOUNDED_NOTE) == 3
    meter = BudgetMeter(budget, PRICE)
    paid(meter, request(), silent)
    meter.close()  # without a store
    assert capsys.readouterr().err.count("a reply without usage") == 1


def test_a_reply_without_usage_to_a_call_without_max_tokens_costs_its_bytes():
    assert charged_usage(request(None, n=3), Reply(texts=("é",))).completion_tokens == 2
    assert charged_usage(request(None), Reply(texts=("",))).completion_tokens == 0


def test_two_meters_of_one_run_count_into_one_sum_each_at_its_own_price():
    one = BudgetMeter(Budget(usd=1.0), PRICE)
    dear = BudgetMeter(Budget(usd=1.0), Price(prompt=30.0, completion=150.0), beside=one)
    paid(one, request(), reply(5))
    paid(dear, request(), reply(5))
    each = cost(PRICE, Usage(prompt_tokens=10, completion_tokens=5))
    assert spent(one, "usd") == spent(dear, "usd") == pytest.approx(11 * each)


def test_wall_time_is_noted_when_more_than_a_second_has_passed(tmp_path, monkeypatch):
    hands = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(budget_module, "time", SimpleNamespace(monotonic=lambda: hands.now))
    with Store.open(tmp_path) as store:
        meter = BudgetMeter(Budget(wall_s=10), PRICE, store)
        for seconds, noted in ((0.5, None), (1.0, None), (1.5, 1.5), (2.5, 1.5), (2.75, 2.75)):
            hands.now = 1000 + seconds
            assert meter.wall_left_s() == 10 - seconds
            assert store.noted(WALL_NOTE) == noted


def test_amounts_are_values():
    one = Spend(calls=1, tokens=2)
    assert len({one, Spend(calls=1, tokens=2), one + one}) == 2
    with pytest.raises(AttributeError):
        one.calls = 3
