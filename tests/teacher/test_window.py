"""Calls in flight: halved when they time out, one more a round when they are served, and never none."""

import asyncio
import random

from hypothesis import given
from hypothesis import strategies as st

from evoltune.teacher.window import UNLIMITED, Window


def test_calls_that_time_out_together_halve_the_window_once_and_it_grows_again():
    now = [10.0]
    window = Window(32, clock=lambda: now[0])
    window.in_flight = 32
    assert window.timed_out(sent_at=5.0) == 16
    assert window.timed_out(sent_at=6.0) == 0  # it left before the window was lowered
    now[0] = 20.0
    window.in_flight = 16
    assert window.timed_out(sent_at=15.0) == 8
    for _ in range(600):
        window.served()
    assert window.limit == UNLIMITED


def test_most_of_a_wide_window_is_back_after_a_few_rounds_and_the_rest_call_by_call():
    now = [10.0]
    window = Window(256, clock=lambda: now[0])
    window.in_flight = 256
    assert window.timed_out(sent_at=5.0) == 128
    for _ in range(10):  # rounds
        for _ in range(int(window.limit)):
            window.served()
    assert 200 <= window.limit <= 220
    before = window.limit
    for _ in range(int(before)):
        window.served()
    assert window.limit - before < 1.1


def test_a_call_that_is_alone_lowers_nothing():
    window = Window(32)
    window.in_flight = 1
    assert window.timed_out(sent_at=1e18) == 0 and window.limit == UNLIMITED


@given(seed=st.integers(0, 10**6), cancelled=st.integers(0, 10))
def test_the_limit_holds_and_every_call_has_its_turn(seed, cancelled):
    rng, most, done = random.Random(seed), [0], [0]
    window = Window(100)
    window.limit = rng.randint(1, 5)

    async def one():
        async with window:
            most[0] = max(most[0], window.in_flight)
            await asyncio.sleep(0)
        done[0] += 1

    async def main():
        tasks = [asyncio.create_task(one()) for _ in range(40)]
        await asyncio.sleep(0)
        for task in rng.sample(tasks, cancelled):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    limit = window.limit
    asyncio.run(main())
    assert most[0] <= limit and window.in_flight == 0
    assert done[0] >= 40 - cancelled
