"""When a failed attempt is repeated, when its call is given up, and when the whole run ends."""

import asyncio

import pytest

from evoltune.errors import TeacherError
from evoltune.teacher.protocol import AttemptError, GivenUpError, Reply, Request
from evoltune.teacher.retry import Retried, delay_s


def request(text):
    return Request(model="m", messages=(("user", text),), purpose="answer", seed=1)


class Engine:
    """Fails for every request that says "bad"."""

    def __init__(self, **failure):
        self.failure, self.attempts = failure, 0

    async def complete(self, request):
        await asyncio.sleep(0)
        if request.messages[0][1] == "bad":
            self.attempts += 1
            raise AttemptError("HTTP 500", where="http://here", **self.failure)
        return Reply(texts=("fine",))


def test_a_call_that_fails_while_others_succeed_is_given_up_alone():
    async def main():
        teacher = Retried(Engine(), 2)

        async def others():
            while True:
                await teacher.complete(request("good"))
                await asyncio.sleep(0.01)

        background = asyncio.create_task(others())
        try:
            await teacher.complete(request("bad"))
        finally:
            background.cancel()

    with pytest.raises(GivenUpError, match=r"HTTP 500: http://here, 3 attempts"):
        asyncio.run(main())


def test_a_call_that_fails_while_none_succeeds_ends_the_run():
    with pytest.raises(TeacherError, match=r"does not answer: http://here: HTTP 500, 3 attempts") as caught:
        asyncio.run(Retried(Engine(), 2).complete(request("bad")))
    assert not isinstance(caught.value, GivenUpError)


def test_a_server_that_was_never_there_is_given_few_attempts():
    engine = Engine(unreachable=True)
    with pytest.raises(TeacherError, match="does not answer"):
        asyncio.run(Retried(engine, 20).complete(request("bad")))
    assert engine.attempts == 5


def test_the_delay_doubles_up_to_a_limit_and_is_at_least_what_the_server_asks_for():
    assert 0.05 <= delay_s(1, 0) <= 0.1
    assert 0.2 <= delay_s(3, 0) <= 0.4
    assert 10 <= delay_s(40, 0) <= 20
    assert delay_s(1, 7.0) == 7.0
    assert delay_s(0, 0) == 0  # only rate limited, and told to come back at once
