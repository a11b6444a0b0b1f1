"""A pool of verifier processes: `open_checker` starts it, `Checker` verifies records and looks for overlap with suites.

    with open_checker("math", recipe.verify) as checker:
        for record in checker.verify(records): print(record.answers[0].verdict)

Invariant: records come back in input order, each answer with exactly one verdict, whatever the answers do.
"""

from __future__ import annotations

import hashlib
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, get_args

import msgspec

from evoltune.cluster.engine import WorkerPool, open_pool
from evoltune.domain import Domain, check_policy, load_domain
from evoltune.errors import DomainError, nearest
from evoltune.evaluate.statistics import wilson
from evoltune.recipe import Verification
from evoltune.record import STATUSES, Answer, Drop, Json, Record, Stage, Status, Task, Verdict, digest
from evoltune.rows.files import cache_folder
from evoltune.sandbox.fair_queue import Lane
from evoltune.sandbox.worker_protocol import Level, WorkerConfig, WorkerLost, verdict_from_row
from evoltune.verification.records import SAMPLES, profile_of, with_verdicts

CACHED = 100_000
"""Records whose verdicts are remembered."""
DEFAULTS = Verification()


def open_checker(
    domain: str,
    settings: Verification = DEFAULTS,
    *,
    profile: str = "sound",
    confirm: bool = False,
    cache: bool = True,
    at_most: Level = "L3",
    warm: bool = False,
    **changes: Any,
) -> Checker:
    """Starts verifier processes for a domain, on the engine in use (this machine, or a Ray cluster).

    Args:
        domain: entry-point name, `module:attribute` or path.
        settings: a recipe's `verify:` section, passed whole: workers, limits, isolation, policy. Its `keep` is the verify
            stage's and has no effect here.
        profile: the domain's scoring profile.
        confirm: let `Domain.confirm` decide where there is no reference; for the verify stage only.
        cache: verify equal answers to equal tasks once.
        at_most: a ceiling for isolation, to test the lower levels.
        warm: start all workers now, not when work waits for them: for a service.
        changes: fields of `settings` to replace, e.g. `workers=1, program_s=3.0`; `require="L3"` is `sandbox.require`.

    Raises:
        DomainError: the domain, the profile or a policy is unknown.
        IsolationError: this host cannot give the required isolation.
    """
    loaded, settings = checked_options(domain, settings, profile=profile, **changes)
    config = WorkerConfig(
        domain=domain, check_s=settings.check_s, program_s=settings.program_s, memory_mb=settings.memory_mb,
        require=settings.sandbox.require, policy=settings.policy, profile=profile, confirm=confirm,
        preload=tuple(loaded.preload), at_most=at_most, ground_truth=str(cache_folder() / "ground-truth"),
    )  # fmt: skip
    return Checker(loaded, open_pool(config, settings.workers, warm=warm), cache=cache)


def checked_options(
    domain: str, settings: Verification = DEFAULTS, *, profile: str = "sound", **changes: Any
) -> tuple[Domain, Verification]:
    """The domain and the settings that `open_checker` would work with; raises as it does, and starts nothing."""
    changes.pop("at_most", None), changes.pop("confirm", None), changes.pop("cache", None)
    settings = _changed(settings, changes)
    loaded = load_domain(domain)
    check_policy(loaded, settings.policy)
    profile_of(loaded, profile)
    return loaded, settings


def _changed(settings: Verification, changes: dict[str, Any]) -> Verification:
    changes = {name: value for name, value in changes.items() if value is not None}
    if "require" in changes:
        changes["sandbox"] = {"require": changes.pop("require")}
    unknown = next((name for name in changes if name not in settings.__struct_fields__), "")
    if unknown:
        known = {*settings.__struct_fields__, "profile", "require"} - {"keep", "sandbox"}
        raise TypeError(f"unknown option {unknown!r}: {nearest(unknown, known)}")
    level = (changes.get("sandbox") or {}).get("require", "") if isinstance(changes.get("sandbox"), dict) else ""
    if level and level not in get_args(Level):
        raise DomainError(f"require={level!r}: allowed: {', '.join(get_args(Level))}")
    try:
        return msgspec.convert({**msgspec.to_builtins(settings), **msgspec.to_builtins(changes)}, Verification)
    except msgspec.ValidationError as error:
        given = ", ".join(f"{name}={value!r}" for name, value in changes.items())
        raise DomainError(f"verification options {given}: {str(error).replace('`$.', '`')}") from error


def limits_of(settings: Verification) -> dict[str, Any]:
    """What a verdict depends on besides the domain, as plain JSON: the settings but for `workers` and `keep`, and the code
    that runs and judges programs."""
    fields: dict[str, Any] = msgspec.to_builtins(settings)
    return {name: value for name, value in fields.items() if name not in ("workers", "keep")} | {"core": core_version()}


@cache
def core_version() -> str:
    """16 hex digits over the code of the sandbox and of verification: a mended core judges anew."""
    sha = hashlib.sha256()
    for package in ("sandbox", "verification"):
        folder = Path(__file__).parent.parent / package
        for file in sorted(folder.rglob("*.py")):
            if "service" not in file.relative_to(folder).parts:
                sha.update(f"{package}/{file.relative_to(folder)}".encode() + b"\0" + file.read_bytes())
    return sha.hexdigest()[:16]


SHOWN_ERRORS = 3
"""Reasons of `error` that a stage says: they tell of the verifier or the machine, and not of the answers."""


def verify_stage(checker: Checker, keep: Sequence[Status]) -> Stage:
    """The verify stage: keeps a record when one of its answers has a status in `keep`. Samples of a task are judged, too: how
    many pass stands in the evidence of its first verdict."""

    def stage(records: Iterable[Record]) -> Iterator[Record | Drop]:
        judged, errors = checker.verify(_with_samples(records)), Counter[str]()
        for record in judged:
            if record.evidence.get(SAMPLES):
                record = with_pass_rate(record, next(judged))
            statuses = [a.verdict.status for a in record.answers if a.verdict]
            errors.update(a.verdict.reason for a in record.answers if a.verdict and a.verdict.status == "error")
            if set(statuses) & set(keep):
                yield record
            else:
                yield Drop(record=record, reason=statuses[0] if statuses else "no answer")
        for reason, count in errors.most_common(SHOWN_ERRORS):
            print(f"  {count} answers could not be judged: {reason}", file=sys.stderr, flush=True)

    return stage


def _with_samples(records: Iterable[Record]) -> Iterator[Record]:
    """Each record, followed by one that holds its samples as answers, where it has some."""
    for record in records:
        yield record
        if texts := record.evidence.get(SAMPLES):
            answers = tuple(Answer(text=text, model="sample") for text in texts)
            yield Record(domain=record.domain, task=record.task, answers=answers)


def with_pass_rate(record: Record, samples: Record) -> Record:
    """The record with the passes of its samples in the evidence of its first verdict; samples that could not be judged do not
    count."""
    scores = [a.verdict.score for a in samples.answers if a.verdict and a.verdict.score is not None]
    first, *others = record.answers or (None,)
    if not scores or first is None or first.verdict is None:
        return record
    passes = int(sum(scores))
    rate: dict[str, Json] = {
        "passes": passes,
        "of": len(scores),
        "interval": [round(end, 4) for end in wilson(passes, len(scores))],
    }
    verdict = replace(first.verdict, evidence={**first.verdict.evidence, "pass_rate": rate})
    return replace(record, answers=(replace(first, verdict=verdict), *others))


class Checker:
    """Verifier processes behind a handle. Use as a context manager, or call `close`. Safe to share between threads."""

    def __init__(self, domain: Domain, pool: WorkerPool, *, cache: bool = True, kind: str = "verify") -> None:
        self.domain, self.pool = domain, pool
        self._kind = kind
        self.level: Level = pool.level
        self._cache: dict[str, tuple[Verdict, ...]] | None = {} if cache else None

    def with_profile(self, profile: str) -> Checker:
        """A checker under another scoring profile, on the same worker processes; closing either closes both."""
        return self.with_choices(profile, {})

    def with_choices(self, profile: str, policy: Mapping[str, Any]) -> Checker:
        """`with_profile` (empty: the workers' own), with options of the verifier over those that the workers have."""
        if profile:
            profile_of(self.domain, profile)
        check_policy(self.domain, policy)
        options = f":{msgspec.json.encode(policy, order='sorted').decode()}" if policy else ""
        return Checker(self.domain, self.pool, cache=self._cache is not None, kind=f"verify:{profile}{options}")

    def verify(self, records: Iterable[Record], lane: Lane | None = None) -> Iterator[Record]:
        """The records, in order, each answer with its verdict (an answer that has one keeps it). Cancelling `lane` from
        another thread raises CancelledError here; only for workers of this machine."""
        waiting: deque[tuple[Record, str, tuple[Verdict, ...] | None]] = deque()
        done: dict[str, tuple[Verdict, ...]] = {}
        sent: set[str] = set()

        def to_verify() -> Iterator[Record]:
            for record in records:
                key = self._key(record)
                cached = self._cache.get(key) if self._cache is not None else None
                waiting.append((record, key, cached))
                if cached is None and key not in sent:
                    if key:
                        sent.add(key)
                    yield record

        def without_worker() -> Iterator[Record]:
            """Records at the head of the queue whose verdicts are known: cached, or equal to one just verified."""
            while waiting:
                record, key, verdicts = waiting[0]
                if verdicts is None and (verdicts := done.get(key)) is None:
                    return
                waiting.popleft()
                yield with_verdicts(record, verdicts)

        options = {"lane": lane} if lane else {}  # workers on Ray know no lanes
        for result in self.pool.map(self._kind, to_verify(), **options):
            yield from without_worker()
            record, key, _ = waiting.popleft()
            verdicts = _verdicts(result, len(record.answers))
            if key:
                done[key] = verdicts
                self._remember(key, verdicts)
            yield with_verdicts(record, verdicts)
        yield from without_worker()

    def _key(self, record: Record) -> str:
        """Equal for records that are sure to get equal verdicts; empty where a record must be verified by itself."""
        if self._cache is None or any(a.verdict for a in record.answers) or record.evidence:
            return ""
        try:
            return digest([vars(record.task) | {"name": ""}, [a.text for a in record.answers]])
        except (TypeError, ValueError):
            return ""

    def _remember(self, key: str, verdicts: tuple[Verdict, ...]) -> None:
        if self._cache is None or any(v.status not in ("pass", "fail") for v in verdicts):
            return
        self._cache[key] = verdicts
        if len(self._cache) > CACHED:
            del self._cache[next(iter(self._cache))]

    def overlap(
        self, records: Iterable[Record], suite_tasks: Sequence[Task], method: str
    ) -> Iterator[Sequence[str] | WorkerLost]:
        """For each record the names of the suite's tasks that it gives away, by `Domain.overlap[method]`; `WorkerLost` where
        the check did not end: such a record is not shown to be clean."""
        if method not in self.domain.overlap:
            known = nearest(method, self.domain.overlap)
            raise DomainError(f"overlap {method!r}: {self.domain.name!r} has none: {known}")
        suite = list(suite_tasks)
        yield from self.pool.map("overlap", (((method, suite), record) for record in records))

    def close(self, *, abandon: bool = False) -> None:
        """Ends the workers: once they are idle, or with `abandon` at once."""
        self.pool.close(abandon=abandon)

    def __enter__(self) -> Checker:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(abandon=kind is not None)


def _verdicts(result: Any, answers: int) -> tuple[Verdict, ...]:
    """The verdicts of one record from what its worker sent, one per answer."""
    if isinstance(result, list) and len(result) == answers and all(row[0] in STATUSES for row in result):
        return tuple(map(verdict_from_row, result))
    reason = "the worker sent no verdict that can be read"
    lost = result if isinstance(result, WorkerLost) else WorkerLost(status="error", reason=reason)
    return (Verdict(status=lost.status, reason=lost.reason),) * answers
