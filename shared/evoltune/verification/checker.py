"""Checkers: worker processes that judge records and look for overlap with suites, behind one handle."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Protocol

from evoltune.domain import Domain, load_domain, policy_of
from evoltune.errors import DomainError, nearest
from evoltune.record import STATUSES, Drop, Json, Record, Stage, Status, Task, Verdict, digest
from evoltune.sandbox.worker_protocol import WorkerConfig, WorkerLost

CACHED = 100_000
NO_VERDICT = "the worker sent no verdict that can be read"


class Checker(Protocol):
    """Workers behind a handle. Use as a context manager, or call `close`."""

    def verify(self, records: Iterable[Record]) -> Iterator[Record]:
        """The records, in order, each answer with its verdict (one that has a verdict keeps it)."""

    def overlap(
        self, records: Iterable[Record], suite_tasks: Sequence[Task], method: str
    ) -> Iterator[Sequence[str] | WorkerLost]:
        """For each record the names of the suite's tasks that it gives away, by `Domain.overlap[method]`; `WorkerLost`
        where the check did not end: such a record is not shown to be clean."""

    def close(self) -> None: ...

    def __enter__(self) -> Checker: ...

    def __exit__(self, *_: object) -> None: ...


def verified(checker: Checker, keep: Sequence[Status]) -> Stage:
    """The verify stage: keeps a record when one of its answers has a status in `keep`."""

    def stage(records: Iterable[Record]) -> Iterator[Record | Drop]:
        for record in checker.verify(records):
            states = [a.verdict.status for a in record.answers if a.verdict]
            reason: str = states[0] if states else "no answer"
            yield record if set(states) & set(keep) else Drop(record=record, reason=reason)

    return stage


class LocalChecker:
    """A Checker of worker processes on this machine, with a cache: equal answers to equal tasks are judged once."""

    def __init__(self, domain: Domain, pool: Any, *, cache: bool = True) -> None:
        self.domain, self.pool = domain, pool
        self.level: str = pool.level
        self._cache: OrderedDict[str, list[Any]] | None = OrderedDict() if cache else None

    def verify(self, records: Iterable[Record]) -> Iterator[Record]:
        waiting: deque[tuple[Record, str, list[Any] | None]] = deque()
        flying: set[str] = set()

        def todo() -> Iterator[Record]:
            for record in records:
                key = self._key(record)
                known = self._cache.get(key) if self._cache is not None else None
                waiting.append((record, key, known))
                if known is None and key not in flying:
                    if key:
                        flying.add(key)
                    yield record

        results = self.pool.map("verify", todo())
        fresh: dict[str, list[Any]] = {}
        for result in results:
            yield from self._known(waiting, fresh)
            record, key, _ = waiting.popleft()
            rows = _rows(result, len(record.answers))
            if key:
                fresh[key] = rows
                self._remember(key, rows)
            yield _with(record, rows)
        yield from self._known(waiting, fresh)

    def _known(
        self, waiting: deque[tuple[Record, str, list[Any] | None]], fresh: dict[str, list[Any]]
    ) -> Iterator[Record]:
        """Records at the head of the line that need no worker: cached, or twins of one just judged."""
        while waiting:
            record, key, rows = waiting[0]
            rows = fresh.get(key) if rows is None else rows
            if rows is None:
                return
            waiting.popleft()
            yield _with(record, rows)

    def _key(self, record: Record) -> str:
        if self._cache is None or any(a.verdict for a in record.answers) or record.evidence:
            return ""
        task = asdict(record.task) | {"name": ""}
        try:
            return digest([task, [a.text for a in record.answers]])
        except (TypeError, ValueError):
            return ""

    def _remember(self, key: str, rows: list[Any]) -> None:
        if self._cache is None or any(row[0] not in ("pass", "fail") for row in rows):
            return
        self._cache[key] = rows
        if len(self._cache) > CACHED:
            self._cache.popitem(last=False)

    def overlap(
        self, records: Iterable[Record], suite_tasks: Sequence[Task], method: str
    ) -> Iterator[Sequence[str] | WorkerLost]:
        if method not in self.domain.overlap:
            raise DomainError(
                f"overlap {method!r}: {self.domain.name!r} has none: {nearest(method, self.domain.overlap)}"
            )
        suite = list(suite_tasks)
        yield from self.pool.map("overlap", (((method, suite), record) for record in records))

    def close(self) -> None:
        self.pool.close()

    def __enter__(self) -> LocalChecker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _rows(result: Any, answers: int) -> list[Any]:
    """Rows [status, reason, seconds, evidence], one per answer, from what a worker gave."""
    if isinstance(result, list) and len(result) == answers and all(row[0] in STATUSES for row in result):
        return result
    lost = result if isinstance(result, WorkerLost) else WorkerLost(status="error", reason=NO_VERDICT)
    return [[lost.status, lost.reason, 0.0, {}] for _ in range(answers)]


def _with(record: Record, rows: Sequence[Sequence[Any]]) -> Record:
    answers = tuple(
        answer
        if answer.verdict
        else replace(answer, verdict=Verdict(status=s, reason=r, seconds=t, evidence=e))
        for answer, (s, r, t, e) in zip(record.answers, rows, strict=True)
    )
    return replace(record, answers=answers)


def open_checker(
    domain_ref: str,
    *,
    workers: int = 0,
    check_s: float = 2.0,
    program_s: float = 5.0,
    memory_mb: int = 1024,
    require: Any = "L1",
    policy: Mapping[str, Json] | None = None,
    profile: str = "sound",
    confirm: bool = False,
    cache: bool = True,
    at_most: Any = "L3",
) -> LocalChecker:
    """A checker of worker processes on the engine in use. `workers` 0: cores / LOCAL_WORLD_SIZE; `*_s` are CPU seconds.

    Raises DomainError (unknown domain, profile or policy) and IsolationError (the host cannot give `require`).
    """
    from evoltune.cluster.engine import open_pool

    domain = load_domain(domain_ref)
    policy_of(domain, policy or {})
    if profile not in domain.profiles:
        raise DomainError(
            f"profile {profile!r}: the domain {domain.name!r} has none: {nearest(profile, domain.profiles)}"
        )
    config = WorkerConfig(
        domain=domain_ref, check_s=check_s, program_s=program_s, memory_mb=memory_mb,
        require=require, policy=policy or {}, profile=profile, confirm=confirm,
        preload=tuple(domain.preload), at_most=at_most,
    )  # fmt: skip
    return LocalChecker(domain, open_pool(config, workers), cache=cache)
