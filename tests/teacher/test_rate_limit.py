"""The adaptive limiter on a simulated clock: hidden limits of several kinds, and noise that is none."""

import asyncio
import heapq
import itertools
import random

import pytest

from evoltune.teacher.notices import clock_after
from evoltune.teacher.rate_limit import RateLimiter, duration_s, retry_after_s


def simulate(*, limit=0.0, burst=None, latency=0.2, workers=64, calls=1200, noise=0.0, retry_after="", seed=1):
    """(429s per call, share of the limit used, seconds) of a token-bucket server; a refusal takes 5 ms."""
    now, rng, number = [0.0], random.Random(seed), itertools.count()
    limiter = RateLimiter(clock=lambda: now[0])
    burst = burst or limit
    tokens, filled, waiting, events, done, refused = burst, 0.0, min(workers, calls), [], [], 0
    to_start = calls - waiting
    while len(done) < calls:
        leave_at = max(limiter.ready_at(), now[0]) if waiting else float("inf")
        if events and events[0][0] <= leave_at:
            now[0], _, kind, left_at, headers = heapq.heappop(events)
            if kind == "served":
                done.append(now[0])
                limiter.served(50, {})
                waiting, to_start = waiting + (to_start > 0), to_start - (to_start > 0)
            elif kind == "refused":
                refused += 1
                pause = limiter.refused(left_at, headers)
                heapq.heappush(events, (now[0] + pause, next(number), "again", 0.0, {}))
            else:
                waiting += 1
            continue
        now[0], waiting = leave_at, waiting - 1
        left_at = limiter.leave()
        tokens, filled = min(burst, tokens + (leave_at - filled) * limit), leave_at
        noisy, over = rng.random() < noise, bool(limit) and tokens < 1
        tokens -= 0 if over else 1
        if noisy or over:
            headers = {"retry-after": retry_after} if retry_after else {}
            heapq.heappush(events, (leave_at + 0.005, next(number), "refused", left_at, headers))
        else:
            took = latency * rng.uniform(0.8, 1.2)
            heapq.heappush(events, (leave_at + took, next(number), "served", 0.0, {}))
    span = done[-1] - done[0]
    return refused / calls, (calls - burst) / span / limit if limit else 0.0, span


@pytest.mark.parametrize(
    ("limit", "workers", "calls"), [(40, 64, 1200), (40, 50, 400), (200, 256, 4000), (10, 64, 400)]
)
def test_a_hidden_limit_draws_few_429s_and_is_used(limit, workers, calls):
    share, used, _ = simulate(limit=limit, workers=workers, calls=calls)
    assert share < 0.05
    assert used >= 0.9


def test_a_retry_after_header_is_kept_and_the_limit_still_used():
    share, used, _ = simulate(limit=40, retry_after="1")
    assert share < 0.05
    assert used >= 0.9


@pytest.mark.parametrize("seed", range(5))
def test_sparse_429s_without_a_limit_do_not_starve_the_run(seed):
    _, _, span = simulate(noise=0.05, calls=2000, workers=50, seed=seed)
    assert span < 30  # 8 s is the least


def test_no_call_leaves_while_paused_and_the_pace_is_the_rate():
    now = [100.0]
    limiter = RateLimiter(rpm=600, clock=lambda: now[0])
    left = []
    for _ in range(20):
        now[0] = max(now[0], limiter.ready_at())
        left.append(limiter.leave())
    gaps = [b - a for a, b in itertools.pairwise(left)]
    assert sum(gaps) / len(gaps) == pytest.approx(0.1, rel=0.02)
    pause = limiter.refused(left[-1], {"retry-after": "7"})
    assert pause == pytest.approx(7)
    assert limiter.ready_at() >= now[0] + 7


def test_tokens_per_minute_pace_long_calls():
    now = [0.0]
    limiter = RateLimiter(tpm=6000, clock=lambda: now[0])
    for _ in range(50):
        now[0] = max(now[0], limiter.ready_at())
        limiter.leave(prompt_tokens=100)
        limiter.served(100, {})
    assert now[0] == pytest.approx(50 * 200 / 100, rel=0.1)


def test_durations_are_read_in_the_usual_spellings():
    assert [duration_s(t) for t in ("6m0s", "120ms", "1.5", "1h2m", "", "soon")] == [360, 0.12, 1.5, 3720, 0, 0]
    assert retry_after_s({"retry-after": "3"}) == 3
    assert retry_after_s({"retry-after": "1m30s"}) == 90
    assert retry_after_s({"retry-after-ms": "250"}) == 0.25
    assert retry_after_s({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert retry_after_s({"retry-after": "later"}) == 0


@pytest.mark.parametrize(("is_served", "longest"), [(False, 4.0), (True, 30.0)])
def test_pauses_grow_up_to_a_limit_and_stay_short_while_nothing_was_served(is_served, longest):
    now = [0.0]
    limiter = RateLimiter(clock=lambda: now[0])
    if is_served:
        limiter.leave()
        limiter.served(5, {})
    pauses = []
    for _ in range(10):
        pauses.append(limiter.refused(limiter.leave(), {}))
        now[0] += pauses[-1]
    assert pauses == sorted(pauses) and pauses[-1] == pytest.approx(longest)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400", "-5", "Fri, 31 Dec 99999 23:59:59 GMT", "9" * 400])
def test_a_time_that_cannot_be_waited_for_is_none(value):
    for name in ("retry-after", "retry-after-ms", "x-ratelimit-reset"):
        assert retry_after_s({name: value, "x-ratelimit-remaining": "0"}) == 0


def test_a_very_long_time_can_be_shown_on_a_clock():
    assert clock_after(retry_after_s({"retry-after": "1e300"}))


def test_limits_below_one_request_a_minute_are_not_believed():
    now = [0.0]
    limiter = RateLimiter(clock=lambda: now[0])
    named = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "60"}
    limiter.served(1, named | {"x-ratelimit-limit-requests": "1e-9"})
    limiter.leave()
    assert limiter.ready_at() < 1


def test_a_wait_for_a_known_limit_is_said_once_a_minute(capsys, monkeypatch):
    now = [0.0]
    limiter = RateLimiter(rpm=3, clock=lambda: now[0], name="http://host/v1")

    async def sleep(seconds):
        now[0] += seconds

    async def main():
        for _ in range(5):
            await limiter.admit(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    asyncio.run(main())
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and now[0] == pytest.approx(80, abs=1)
    assert "http://host/v1: its limit is 3 requests a minute" in said[0]


def test_a_refusal_that_comes_after_the_pause_of_its_neighbour_waits_no_longer():
    now = [0.0]
    limiter = RateLimiter(clock=lambda: now[0])
    first, second = limiter.leave(), limiter.leave()
    now[0] += limiter.refused(first, {}) + 0.5
    assert limiter.refused(second, {}) == 0.0
