"""Runs a coroutine to its end: on uvloop where it is installed, interruptible by SIGTERM and SIGHUP, from a notebook too."""

import asyncio
import gc
import signal
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from evoltune.interrupts import result_of


def run_to_end(main: Coroutine[object, object, None]) -> None:
    """`asyncio.run`; called from inside a running loop (a notebook), it uses a thread of its own.

    Raises KeyboardInterrupt after SIGTERM or SIGHUP, when the coroutine has been cancelled.
    """
    try:
        from uvloop import new_event_loop
    except ImportError:
        from asyncio import new_event_loop

    def run() -> None:
        with _fewer_collections(), asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(_stopped_by_signals(main))

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        run()
        return
    with ThreadPoolExecutor(1) as pool:
        result_of(pool.submit(run))


async def _stopped_by_signals(main: Coroutine[object, object, None]) -> None:
    """SIGTERM and SIGHUP cancel `main` between two callbacks, as the Runner does for Ctrl-C; a second one, also while
    `main` waits for its calls in flight, cancels that too."""
    if threading.current_thread() is not threading.main_thread():
        return await main
    loop, work = asyncio.get_running_loop(), asyncio.current_task()
    assert work is not None
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        work.cancel()

    handled = [number for number, handler in before.items() if handler is not signal.SIG_IGN]  # nohup ignores SIGHUP
    for number in handled:
        loop.add_signal_handler(number, stop)
    try:
        await main
    except asyncio.CancelledError:
        if stopped:
            raise KeyboardInterrupt from None
        raise
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])


@contextmanager
def _fewer_collections() -> Iterator[None]:
    """With hundreds of tasks in flight, garbage collection at its default thresholds took 8% of the CPU."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
