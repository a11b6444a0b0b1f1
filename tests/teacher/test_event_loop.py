"""A coroutine runs to its end from a script and from inside a running loop, as in a notebook."""

import asyncio

import pytest

from evoltune.teacher.event_loop import run_to_end


def test_it_runs_from_a_script_and_from_inside_a_running_loop():
    runs = []

    async def work():
        await asyncio.sleep(0)
        runs.append(asyncio.get_running_loop())

    async def notebook():
        run_to_end(work())
        assert runs[-1] is not asyncio.get_running_loop()

    run_to_end(work())
    asyncio.run(notebook())
    assert len(runs) == 2


def test_what_the_coroutine_raises_is_raised():
    async def fail():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run_to_end(fail())
