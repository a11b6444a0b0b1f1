"""The public calls: `evoltune.verify` for rows, `evoltune.reward` for trainers.

    for row in evoltune.verify([{"id": 1, "answer": "0.5", "reference": "1/2"}], domain="math"): print(row["status"])
    GRPOTrainer(..., reward_funcs=[evoltune.reward("code")])

Invariant: nothing that an answer does raises in the caller, runs in the caller's process or touches its signals.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from evoltune.domain import Domain, load_domain, package_of
from evoltune.verification.checker import Checker, open_checker
from evoltune.verification.rows import verify_rows
from evoltune.verification.service.client import VerifierClient


def verify(rows: Iterable[Any], *, domain: str | Domain, service: str = "", **options: Any) -> Iterator[dict[str, Any]]:
    """Verifies rows in worker processes.

    Args:
        rows: objects with `answer`, optionally `id`, and what the domain reads: `reference`, `tests` ...
        service: the address of an `evoltune serve-verifier` that verifies instead of this machine.
        options: of `evoltune.verification.checker.open_checker`, e.g. `workers=4, program_s=3.0, require="L3"`; with
            `service`, of `evoltune.verification.service.client.VerifierClient`.

    Yields:
        One row per input row, in order: id, status, reason, score (1.0, 0.0 or None), seconds, evidence.
    """
    if service:
        name = domain if isinstance(domain, str) else domain.name
        yield from VerifierClient(service, **options).verify(rows, domain=name)
        return
    with open_checker(_reference(domain), **options) as checker:
        yield from verify_rows(checker, rows)


def reward(domain: str | Domain, *, service: str = "", **options: Any) -> Reward:
    """A reward function for TRL and other trainers. Arguments are those of `verify`."""
    return Reward(domain, service=service, **options)


class Reward:
    """`rewards(completions, **columns)` -> 1.0 for pass; 0.0 for fail, timeout, memory; None where we could not verify.

    Columns are lists, as trainers pass them; keywords that the domain does not read are ignored. Verifier processes start
    at the first call in each process, so an instance can be made before a fork, pickled, and called after.
    """

    def __init__(self, domain: str | Domain, *, service: str = "", **options: Any) -> None:
        self.domain, self.service, self.options = _reference(domain), service, options
        loaded = load_domain(self.domain)
        self.__name__ = f"evoltune_{loaded.name}"  # trainers log a reward under this name
        self._domain_name = loaded.name
        self._columns = ("reference", "tests", *loaded.columns)
        self._opened: tuple[int, Checker] | None = None
        if service:
            VerifierClient(service, **options)  # a wrong address fails here, not in the first step

    def __call__(
        self, completions: Sequence[Any], prompts: Sequence[Any] | None = None, **columns: Any
    ) -> list[float | None]:
        known = {k: columns[k] for k in self._columns if isinstance(columns.get(k), list | tuple)}
        if prompts:
            known["instruction"] = [_text(prompt) for prompt in prompts]
        for name, values in known.items():
            if len(values) != len(completions):
                counts = f"{len(values)} values for {len(completions)} completions"
                raise ValueError(f"column {name!r} has {counts}: pass one value for each completion")
        rows = [
            {**{name: values[i] for name, values in known.items()}, "answer": _text(completion)}
            for i, completion in enumerate(completions)
        ]
        if self.service:
            verdicts = VerifierClient(self.service, **self.options).verify(rows, domain=self._domain_name)
        else:
            verdicts = verify_rows(self._checker(), rows)
        return [verdict["score"] for verdict in verdicts]

    def _checker(self) -> Checker:
        """This process's own: workers cannot be shared with a parent after a fork."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), open_checker(self.domain, **self.options)
        return self._opened[1]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}


def _reference(domain: str | Domain) -> str:
    return domain if isinstance(domain, str) else f"{package_of(domain)}:domain"


def _text(completion: Any) -> str:
    """A completion's text; of a conversation, its last message's, whose content may be parts with a `text` each."""
    if isinstance(completion, str):
        return completion
    content = (completion[-1].get("content") if completion else None) or ""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") if isinstance(part, Mapping) else str(part) for part in content)
    return str(content)
