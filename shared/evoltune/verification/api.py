"""Batch verification: a Checker judges records' answers in worker processes; `verify` and `reward` are its front doors.

Invariant: every answer gets exactly one verdict, in input order, whatever the answers do; nothing of theirs is raised
into the caller, runs in the caller's process, or touches its signals.

    for row in evoltune.verify([{"id": 1, "answer": "0.5", "reference": "1/2"}], domain="math"): print(row["status"])
    GRPOTrainer(..., reward_funcs=[evoltune.reward("code")])
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from evoltune.domain import Domain, load_domain, package_of
from evoltune.verification.checker import LocalChecker, open_checker
from evoltune.verification.rows import verify_rows


def verify(
    rows: Iterable[Any], *, domain: str | Domain, service: str = "", **options: Any
) -> Iterator[dict[str, Any]]:
    """Judges rows (`id`, `answer`, and what the domain reads: `reference`, `tests` ...) in worker processes.

    Yields in input order dicts with id, status, reason, score (1.0, 0.0 or None), seconds, evidence.
    `options` are those of `open_checker`; with `service`, the address of an `evoltune serve-verifier`, those of
    `evoltune.verification.service.client.VerifierClient`.
    """
    if service:
        yield from _client(service, options).verify(rows, domain=_name(domain))
        return
    with open_checker(_reference(domain), **options) as checker:
        yield from verify_rows(checker, rows)


def _client(service: str, options: Mapping[str, Any]) -> Any:
    from evoltune.verification.service.client import VerifierClient

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
