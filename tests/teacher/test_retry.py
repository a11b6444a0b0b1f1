"""When a failed attempt is repeated, when its call is given up, and when the whole run ends."""

import asyncio

import pytest

from evoltune.errors import TeacherError
from evoltune.teacher.protocol import PROBE, AttemptError, GivenUpError, Reply, Request
from evoltune.teacher.retry import Retried, delay_s


def request(text):
    return Request(model="m", messages=(("user", text),), purpose="answer", seed=1)


class Engine:
    """Fails for every request that says "bad", or for all; from attempt `until` on it serves."""

    def __init__(self, fails="bad", until=10**9, **failure):
        self.fails, self.until, self.failure, self.attempts, self.probes = fails, until, failure, 0, 0

    async def complete(self, request):
        await asyncio.sleep(0)
        self.probes += request.purpose == PROBE
        if request.messages[0][1] == "bad" or self.fails == "all":
            self.attempts += 1
            if self.attempts < self.until:
                raise AttemptError("HTTP 500", where="http://here", **self.failure)
        return Reply(texts=("fine",))


def test_a_call_that_keeps_failing_is_given_up_when_a_probe_is_served_afterwards():
    engine = Engine(detail="it does not fit")
    with pytest.raises(GivenUpError, match=r"HTTP 500: http://here: it does not fit, 4 attempts"):
        asyncio.run(Retried(engine, 2).complete(request("bad")))
    assert engine.probes == 1


def test_a_call_that_fails_as_its_probe_does_ends_the_run():
    with pytest.raises(TeacherError, match=r"does not answer: http://here: HTTP 500, 3 attempts") as caught:
        asyncio.run(Retried(Engine(fails="all"), 2).complete(request("bad")))
    assert not isinstance(caught.value, GivenUpError)


def test_calls_that_fail_together_share_a_probe():
    async def main(engine):
        teacher = Retried(engine, 1)
        calls = (teacher.complete(request("bad")) for _ in range(50))
        return await asyncio.gather(*calls, return_exceptions=True)

    engine = Engine(fails="all")
    assert all(isinstance(e, TeacherError) for e in asyncio.run(main(engine)))
    assert engine.probes <= 3


class Clock:
    """A clock that a patched `asyncio.sleep` moves."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock, real = Clock(), asyncio.sleep

    async def sleep(seconds):
        clock.now += seconds
        await real(0)

    monkeypatch.setattr("evoltune.teacher.retry.asyncio.sleep", sleep)
    return clock


def test_a_server_that_asks_to_wait_is_waited_for_and_that_is_said_with_a_time(clock, capsys):
    engine = Engine(rate_limited=True, busy=True, retry_after_s=30.0, until=4)
    assert asyncio.run(Retried(engine, 1, 600, clock).complete(request("bad"))).texts == ("fine",)
    said = capsys.readouterr().err
    assert "waiting until " in said and "http://here: HTTP 500" in said and "teacher.max_wait_s: 600" in said
    assert said.count("waiting") <= 3


def test_beyond_max_wait_s_the_run_stops_and_says_so(clock):
    with pytest.raises(
        TeacherError, match=r"nothing was served for 60 s \(teacher.max_wait_s: 61\).*run the same command"
    ):
        asyncio.run(
            Retried(Engine(rate_limited=True, busy=True, retry_after_s=30.0), 1, 61, clock).complete(request("bad"))
        )
    assert clock.now - 1000 <= 61
    with pytest.raises(TeacherError, match="nothing was served for 0 s"):  # not waited at all
        asyncio.run(
            Retried(Engine(rate_limited=True, busy=True, retry_after_s=90.0), 1, 61, clock).complete(request("bad"))
        )


def test_a_server_that_is_still_loading_is_waited_for_beyond_the_retries(clock):
    engine = Engine(busy=True, fails="all", until=30)
    assert asyncio.run(Retried(engine, 2, 3600, clock).complete(request("bad"))).texts == ("fine",)


def test_429s_from_the_first_on_that_do_not_say_until_when_end_soon(clock):
    engine = Engine(rate_limited=True, retry_after_s=1.0)
    with pytest.raises(TeacherError, match=r"has refused every request for 1\d s and does not say until when"):
        asyncio.run(Retried(engine, 8, 600, clock).complete(request("bad")))


@pytest.mark.parametrize("failure", ["unreachable", "strange"])
def test_a_server_that_was_never_there_or_is_another_one_is_given_few_attempts(failure):
    engine = Engine("all", **{failure: True})
    with pytest.raises(TeacherError, match="does not answer"):
        asyncio.run(Retried(engine, 20).complete(request("bad")))
    assert engine.attempts == 5 + engine.probes


def test_the_delay_doubles_up_to_a_limit_and_is_at_least_what_the_server_asks_for():
    assert 0.05 <= delay_s(1, 0) <= 0.1
    assert 0.2 <= delay_s(3, 0) <= 0.4
    assert 10 <= delay_s(40, 0) <= 20
    assert delay_s(1, 7.0) == 7.0
    assert delay_s(0, 0) == 0  # only rate limited, and told to come back at once
