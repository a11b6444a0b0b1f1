"""The interface of a pool of verifier workers, on this machine (`sandbox.pool`) or on a cluster (`ray_engine`)."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from evoltune.errors import EvoltuneError


class EngineError(EvoltuneError):
    """The cluster cannot be reached, or lost its workers for good; everything finished is kept."""

    exit_code = 1


class WorkerPool(Protocol):
    """What a Checker needs of its workers."""

    level: Any
    """The isolation that the workers run under."""
    size: int

    def map(self, kind: str, items: Iterable[Any]) -> Iterator[Any]:
        """One result per item, in order."""

    def close(self) -> None: ...
