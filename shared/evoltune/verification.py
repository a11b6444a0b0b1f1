"""Batch verification: a Checker judges records' answers in worker processes; `verify` and `reward` are its front doors.

Invariant: every answer gets exactly one verdict, in input order, whatever the answers do; nothing of theirs is raised
into the caller, runs in the caller's process, or touches its signals.

    for row in evoltune.verify([{"id": 1, "answer": "0.5", "reference": "1/2"}], domain="math"): print(row["status"])
    GRPOTrainer(..., reward_funcs=[evoltune.reward("code")])
"""

from __future__ import annotations

import os
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Protocol

from evoltune.domain import Context, Domain, load_domain, package_of, policy_of, to_task
from evoltune.errors import DataError, DomainError, nearest
from evoltune.record import STATUSES, Answer, Drop, Json, Record, Stage, Status, Task, Verdict, digest

CACHED = 100_000
MAX_DEPTH = 64
"""Containers within containers in a row; deeper ones would exhaust the stack of whatever walks them."""


class Checker(Protocol):
    """Workers behind a handle. Use as a context manager, or call `close`."""

    def verify(self, records: Iterable[Record]) -> Iterator[Record]:
        """The records, in order, each answer with its verdict (one that has a verdict keeps it)."""

    def overlap(
        self, records: Iterable[Record], suite_tasks: Sequence[Task], method: str
    ) -> Iterator[Sequence[str]]:
        """For each record the names of the suite's tasks that it gives away, by `Domain.overlap[method]`."""

    def close(self) -> None: ...

    def __enter__(self) -> Checker: ...

    def __exit__(self, *_: object) -> None: ...


def judge(
    domain: Domain, record: Record, context: Context, *, profile: str = "sound", confirm: bool = False
) -> Record:
    """The record with a verdict on each answer. Runs in a checker process.

    `confirm` is the verify stage's alone: a vote must never lift a score or a reward.
    """
    how, task = domain.profiles[profile], record.task
    extract, verify_one = how.extract or domain.extract, how.verify or domain.verify
    found = [None if a.verdict else extract(task, a.text) for a in record.answers]
    verdicts = [
        answer.verdict
        or (Verdict(status="fail", reason="no answer found") if c is None else verify_one(task, c, context))
        for answer, c in zip(record.answers, found, strict=True)
    ]
    if confirm and domain.confirm and any(v.status == "unverifiable" for v in verdicts):
        confirmed = domain.confirm(task, found, record.evidence, context)
        if len(confirmed) != len(verdicts):
            raise DomainError(
                f"{domain.name!r}: confirm gave {len(confirmed)} verdicts for {len(verdicts)} candidates"
            )
        verdicts = list(confirmed)
    answers = tuple(
        replace(answer, verdict=answer.verdict or verdict)
        for answer, verdict in zip(record.answers, verdicts, strict=True)
    )
    return replace(record, answers=answers)


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
    ) -> Iterator[Sequence[str]]:
        if method not in self.domain.overlap:
            raise DomainError(
                f"overlap {method!r}: {self.domain.name!r} has none: {nearest(method, self.domain.overlap)}"
            )
        suite = list(suite_tasks)
        for result in self.pool.map("overlap", (((method, suite), record) for record in records)):
            # A row whose check crashed or timed out is not shown to be clean: it counts as a hit.
            yield result if isinstance(result, list) else ("its check was lost",)

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
    if isinstance(result, dict):
        status, reason = result["lost"]
    else:
        status, reason = (
            getattr(result, "status", "error"),
            getattr(result, "reason", "the worker gave no verdict"),
        )
    return [[status, reason, 0.0, {}] for _ in range(answers)]


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
    from evoltune.engine import open_pool
    from evoltune.sandbox.pool import Spec

    domain = load_domain(domain_ref)
    policy_of(domain, policy or {})
    if profile not in domain.profiles:
        raise DomainError(
            f"profile {profile!r}: the domain {domain.name!r} has none: {nearest(profile, domain.profiles)}"
        )
    spec = Spec(
        domain=domain_ref, check_s=check_s, program_s=program_s, memory_mb=memory_mb,
        require=require, policy=policy or {}, profile=profile, confirm=confirm,
        preload=tuple(domain.preload), at_most=at_most,
    )  # fmt: skip
    return LocalChecker(domain, open_pool(spec, workers), cache=cache)


# ---- rows


def _record(domain: Domain, row: Any, where: str) -> Record | Verdict:
    """The record of one foreign row, or the verdict on a row that cannot be judged."""
    if not isinstance(row, Mapping):
        return Verdict(status="error", reason=f"{where}: a row must be an object, not {type(row).__name__}")
    if _too_deep(row):
        return Verdict(status="error", reason=f"{where}: nested deeper than {MAX_DEPTH} levels")
    answer = row.get("answer")
    if not isinstance(answer, str):
        said = (
            "has no 'answer'"
            if answer is None
            else f"'answer' is a {type(answer).__name__}, must be a string"
        )
        return Verdict(status="error", reason=f"{where}: {said}")
    try:
        task = to_task(domain, row, where)
    except (DataError, ValueError) as error:  # ValueError: an integer too long to write down
        return Verdict(status="error", reason=str(error))
    return Record(domain=domain.name, task=task, answers=(Answer(text=answer, model=""),))


def _too_deep(value: Any) -> bool:
    level: dict[int, Any] = {0: (value,)}
    for _ in range(MAX_DEPTH + 2):
        inner = (part for w in level.values() for part in (w.values() if isinstance(w, Mapping) else w))
        level = {id(part): part for part in inner if isinstance(part, Mapping | list | tuple)}
        if not level:
            return False
    return True


def row_of(id: Any, verdict: Verdict) -> dict[str, Any]:
    """An output row: id, status, reason, score, seconds, evidence."""
    return {
        "id": id, "status": verdict.status, "reason": verdict.reason, "score": verdict.score,
        "seconds": round(verdict.seconds, 6), "evidence": dict(verdict.evidence),
    }  # fmt: skip


def verify_rows(checker: LocalChecker, rows: Iterable[Any], first: int = 1) -> Iterator[dict[str, Any]]:
    """Output rows in input order; a row that cannot be judged gets an `error` with the reason.

    `first` is the number of the first row: the id of rows without one, and their name in reasons.
    """
    waiting: deque[tuple[Any, Record | Verdict]] = deque()

    def records() -> Iterator[Record]:
        for number, row in enumerate(rows, first):
            made = row if isinstance(row, Record) else _record(checker.domain, row, f"row {number}")
            id = (
                row.get("id", number)
                if isinstance(row, Mapping)
                else getattr(made, "task", Task(instruction="")).name or number
            )
            waiting.append((number if _too_deep(id) else id, made))
            if isinstance(made, Record):
                yield made

    def settled() -> Iterator[dict[str, Any]]:
        while waiting and isinstance(waiting[0][1], Verdict):
            id, verdict = waiting.popleft()
            assert isinstance(verdict, Verdict)
            yield row_of(id, verdict)

    for record in checker.verify(records()):
        yield from settled()
        id, _ = waiting.popleft()
        verdict = record.answers[0].verdict
        assert verdict is not None
        yield row_of(id, verdict)
    yield from settled()


def verify(
    rows: Iterable[Any], *, domain: str | Domain, service: str = "", **options: Any
) -> Iterator[dict[str, Any]]:
    """Judges rows (`id`, `answer`, and what the domain reads: `reference`, `tests` ...) in worker processes.

    Yields in input order dicts with id, status, reason, score (1.0, 0.0 or None), seconds, evidence.
    `options` are those of `open_checker`; with `service`, the address of an `evoltune serve-verifier`, those of
    `evoltune.service.client.VerifierClient`.
    """
    if service:
        yield from _client(service, options).verify(rows, domain=_name(domain))
        return
    with open_checker(_reference(domain), **options) as checker:
        yield from verify_rows(checker, rows)


def _client(service: str, options: Mapping[str, Any]) -> Any:
    from evoltune.service.client import VerifierClient

    return VerifierClient(service, **options)


def _name(domain: str | Domain) -> str:
    return domain if isinstance(domain, str) else domain.name


def _reference(domain: str | Domain) -> str:
    return domain if isinstance(domain, str) else f"{package_of(domain)}:domain"


def _text(completion: Any) -> str:
    """A completion's text; a conversation's is its last message's."""
    if isinstance(completion, str):
        return completion
    last = completion[-1] if completion else {}
    return str(last.get("content") or "")


def reward(domain: str | Domain, *, service: str = "", **options: Any) -> Callable[..., list[float | None]]:
    """A reward function: `rewards(completions, **columns)` -> 1.0 for pass; 0.0 for fail, timeout, memory; None where we
    could not judge. Columns are lists as trainers pass them; keywords that no domain reads are ignored.

    Its checker opens at the first call in each process, so it can be made before a fork and called after one.
    With `service` an `evoltune serve-verifier` judges, and `options` are those of its client.
    """
    reference, opened = _reference(domain), dict[int, LocalChecker]()
    client = _client(service, options) if service else None
    loaded = load_domain(reference)
    names = ("reference", "tests", *loaded.columns)

    def rewards(
        completions: Sequence[Any], prompts: Sequence[Any] | None = None, **columns: Any
    ) -> list[float | None]:
        known = {k: columns[k] for k in names if isinstance(columns.get(k), list | tuple)}
        rows = [
            {
                **({"instruction": _text(prompts[i])} if prompts else {}),
                **{k: v[i] for k, v in known.items()},
                "answer": _text(completion),
            }
            for i, completion in enumerate(completions)
        ]
        if client:
            return [row["score"] for row in client.verify(rows, domain=loaded.name)]
        if os.getpid() not in opened:
            opened.clear()
            opened[os.getpid()] = open_checker(reference, **options)
        return [row["score"] for row in verify_rows(opened[os.getpid()], rows)]

    rewards.__name__ = f"evoltune_{loaded.name}"
    return rewards
