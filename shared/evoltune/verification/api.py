"""The public calls: `evoltune.verify` for rows, `evoltune.reward` for trainers.

    for row in evoltune.verify([{"id": 1, "answer": "0.5", "reference": "1/2"}], domain="math"): print(row["status"])
    GRPOTrainer(..., reward_funcs=[evoltune.reward("code")])

Invariant: nothing that an answer does raises in the caller, runs in the caller's process or touches its signals.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from evoltune.domain import Domain
from evoltune.verification.checker import open_checker
from evoltune.verification.reward import Reward, reference_to
from evoltune.verification.row_forms import each_answer, rows_of
from evoltune.verification.rows import verify_rows
from evoltune.verification.service.client import VerifierClient


def verify(rows: Iterable[Any], *, domain: str | Domain, service: str = "", **options: Any) -> Iterator[dict[str, Any]]:
    """Verifies rows in worker processes.

    Args:
        rows: objects with `answer`, optionally `id`, and what the domain reads: `reference`, `tests` ... ; or a data frame
            of such. An `answer` that is a list of k answers stands for k rows.
        service: the address of an `evoltune serve-verifier` that verifies instead of this machine.
        options: of `evoltune.verification.checker.open_checker`, e.g. `workers=4, program_s=3.0, require="L3"`; with
            `service`, of `evoltune.verification.service.client.VerifierClient`.

    Yields:
        One row per answer, in order: id, status, reason, score (1.0, 0.0 or None), seconds, evidence; with several answers in
        a row also `sample`, the number of the answer.
    """
    answers = each_answer(rows_of(rows))
    if service:
        name = domain if isinstance(domain, str) else domain.name
        yield from VerifierClient(service, **options).verify(answers, domain=name)
        return
    with open_checker(reference_to(domain), **options) as checker:
        yield from verify_rows(checker, answers)


def reward(
    domain: str | Domain, *, service: str = "", reward: str = "pass", parts: Sequence[str] = (), **options: Any
) -> Reward:
    """A reward function for TRL and other trainers.

    It takes completions (texts or message lists) and the dataset's columns (lists, arrays, tensors, series): `reference`, also
    under the name `answer`, `solution` or `ground_truth`; `tests`; and what else the domain reads. It gives 1.0 for pass; 0.0
    for fail, timeout and memory; None where the answer could not be verified, with a line of warning that counts the reasons.

    Args:
        service: as in `verify`.
        reward: "pass"; "fraction": the share of the test cases that pass; or "product": what the service gives at `/score`, of
            verifier and reward models.
        parts: with "product", the models that the service must have: "steps", "instruction".
        options: as in `verify`, also `policy={"units": "required"}` and `profile="gsm8k-strict"`. Wrong ones raise here.

    Returns:
        A callable that can be pickled, shared between threads, and closed with `close()` or as a context manager.
    """
    return Reward(domain, service=service, reward=reward, parts=parts, **options)
