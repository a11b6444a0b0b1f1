"""Waiting in a way that Ctrl-C always ends."""

from concurrent.futures import Future, wait
from typing import TypeVar

TURN_S = 1.0
T = TypeVar("T")


def result_of(future: Future[T]) -> T:
    """`future.result()`, waited for in turns.

    A signal that arrives just before the main thread blocks is only noted, and acted on once the thread runs again. Without limit
    that is when the result is there: for a program that never ends, never.
    """
    while not future.done():
        wait([future], timeout=TURN_S)
    return future.result()
