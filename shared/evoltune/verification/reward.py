"""A reward function for trainers: lists of completions and of the dataset's columns in, a score or None for each out.

    reward = Reward("code", workers=2)
    reward(completions, tests=[...], entry_point=[...])      # [1.0, 0.0, None]
    reward.close()

Invariant: an instance can be pickled, forked and called from any thread at any time; each process has one pool of workers for
it, from its first call to `close`.
"""

from __future__ import annotations

import inspect
import logging
import os
import sys
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from evoltune.domain import Domain, load_domain, package_of
from evoltune.errors import DomainError, ServiceError, nearest
from evoltune.record import STATUSES
from evoltune.run.paths import user_path
from evoltune.verification.checker import Checker, checked_options, open_checker
from evoltune.verification.partial_credit import with_fractions
from evoltune.verification.row_forms import (
    OTHER_NAMES,
    answer_text,
    column_values,
    plain_row,
    prompt_text,
    with_our_names,
)
from evoltune.verification.rows import verify_rows
from evoltune.verification.service.client import VerifierClient

KINDS = ("pass", "fraction", "product")
_LOG = logging.getLogger(__name__)
_opening = threading.Lock()


def _new_lock() -> None:
    global _opening
    _opening = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)  # a fork while another thread opens a pool


class Reward:
    """`rewards(completions, **columns)` -> a score, or None where we could not verify. See `evoltune.reward`."""

    def __init__(
        self,
        domain: str | Domain,
        *,
        service: str = "",
        reward: str = "pass",
        parts: Sequence[str] = (),
        **options: Any,
    ) -> None:
        if reward not in KINDS:
            raise DomainError(f"reward={reward!r}: allowed: {', '.join(KINDS)}")
        if reward == "product" and not service:
            raise DomainError(
                "reward='product' is what a service gives; here it is evoltune.train.reward.product.ProductReward"
            )
        self.domain, self.service, self.reward, self.options = reference_to(domain), service, reward, options
        self.parts = tuple(parts)
        loaded = load_domain(self.domain)
        self.__name__ = f"evoltune_{loaded.name}"  # trainers log a reward under this name
        self._domain_name = loaded.name
        self._columns = tuple(dict.fromkeys(("reference", "tests", *loaded.columns)))
        self._opened: tuple[int, Checker] | None = None
        # Wrong options fail here, not in the first step.
        if service:
            known = inspect.signature(VerifierClient).parameters.keys() - {"service", "route"}
            if unknown := next((name for name in options if name not in known), ""):
                raise TypeError(f"unknown option {unknown!r} beside service=: {nearest(unknown, known)}")
            self._client()
            options = {name: options[name] for name in ("profile", "policy") if options.get(name)}
        checked_options(self.domain, **options)

    def __call__(
        self, completions: Sequence[Any], prompts: Sequence[Any] | None = None, **columns: Any
    ) -> list[float | None]:
        """Scores in the order of the completions. Keywords that the domain does not read are ignored, except the hooks of
        TRL's trainers (`log_metric`, `log_extra`), which get counts and reasons."""
        if isinstance(completions, str | bytes | Mapping | set | frozenset):
            raise ValueError(f"completions is a {type(completions).__name__}: pass a list of texts or of message lists")
        rows = self._rows(list(completions), prompts, columns)
        verdicts = self._verdicts(rows)
        scores = [verdict["score"] for verdict in verdicts]
        if self.reward == "product":
            scores = [self._product(verdict) for verdict in verdicts]
        elif self.reward == "fraction":
            scores = with_fractions(load_domain(self.domain), rows, verdicts, self._verdicts)
        self._log(rows, verdicts, scores, columns)
        return scores

    def _rows(self, completions: list[Any], prompts: Any, columns: dict[str, Any]) -> list[dict[str, Any]]:
        """One row per completion. Raises ValueError for a column that does not fit."""
        names = {*self._columns, *(name for others in OTHER_NAMES.values() for name in others)}
        known: dict[str, list[Any]] = {}
        unfit: dict[str, str] = {}
        for name in columns.keys() & names:
            values = None if columns[name] is None else column_values(columns[name])
            if values is not None:
                known[name] = values
            elif columns[name] is not None:
                unfit[name] = type(columns[name]).__name__
        for name, kind in unfit.items():
            others = next(((ours, *theirs) for ours, theirs in OTHER_NAMES.items() if name in theirs), ())
            if name in self._columns or not known.keys() & set(others):  # what another column gives needs no second
                raise ValueError(f"column {name!r} is a {kind}: pass a list with one value for each completion")
        if prompts is not None and len(prompts) and "instruction" not in known:
            known["instruction"] = [prompt_text(prompt) for prompt in column_values(prompts) or ()]
        for name, values in known.items():
            if len(values) != len(completions):
                counts = f"{len(values)} values for {len(completions)} completions"
                raise ValueError(f"column {name!r} has {counts}: pass one value for each completion")
        rows = []
        for number, completion in enumerate(completions):
            row = with_our_names(plain_row({name: values[number] for name, values in known.items()}), apart=True)
            row = {name: value for name, value in row.items() if name in self._columns or name == "instruction"}
            speaks = isinstance(completion, str | Mapping | list | tuple)  # anything else is an error of its row
            rows.append({**row, "answer": answer_text(completion) if speaks else completion})
        return rows

    def _verdicts(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        if self.service:
            return list(self._client().verify(rows, domain=self._domain_name))
        return list(verify_rows(self._checker(), rows))

    def _client(self) -> VerifierClient:
        route = "/score" if self.reward == "product" else "/v1/verify"
        return VerifierClient(self.service, route=route, **self.options)

    def _product(self, row: Mapping[str, Any]) -> float | None:
        """The reward that the service gave a row. Raises ServiceError where it has no model for one of `parts`."""
        value: float | None = row.get("reward")
        lacking = [part for part in self.parts if value is not None and row["parts"].get(part) is None]
        if lacking:
            flags = {"steps": "--steps", "instruction": "--instructions"}
            wanted = " and ".join(flags.get(part, part) for part in lacking)
            raise ServiceError(
                f"{self.service}: has no reward model of {' and '.join(lacking)}: start the service with {wanted}"
            )
        return value

    def _checker(self) -> Checker:
        """This process's own: workers cannot be shared with a parent after a fork."""
        with _opening:
            if self._opened is None or self._opened[0] != os.getpid():
                self._opened = os.getpid(), open_checker(self.domain, **self.options)
            return self._opened[1]

    def _log(
        self, rows: Sequence[dict[str, Any]], verdicts: Sequence[dict[str, Any]], scores: Sequence[float | None],
        hooks: dict[str, Any],
    ) -> None:  # fmt: skip
        """Counts and reasons: for TRL's log and its table of completions, and one line of warning where scores are None."""
        log_metric, log_extra = hooks.get("log_metric"), hooks.get("log_extra")
        counts = Counter(verdict["status"] for verdict in verdicts)
        if callable(log_metric) and verdicts:
            for status in STATUSES:  # all of them: TRL averages a name over the calls that logged it
                log_metric(f"{self.__name__}/{status}", counts[status] / len(verdicts))
        if callable(log_extra):
            log_extra(f"{self.__name__}_status", [verdict["status"] for verdict in verdicts])
            log_extra(f"{self.__name__}_reason", [verdict["reason"] for verdict in verdicts])
        without = Counter(
            f"{v['status']}: {_general(v['reason'])}" for v, s in zip(verdicts, scores, strict=True) if s is None
        )
        if without:
            reasons = [f"{count} {reason}" for reason, count in without.most_common(3)]
            reasons += [f"{len(without) - 3} more reasons"] if len(without) > 3 else []
            if not any(row.keys() & {"reference", "tests"} for row in rows):
                names = ", ".join(name for ours in OTHER_NAMES.items() for name in (ours[0], *ours[1]))
                reasons.append(f"no column to verify by was passed, allowed: {names}")
            head = f"{self.__name__}: {without.total()} of {len(scores)} rewards are None"
            _LOG.warning("%s: %s", head, "; ".join(reasons))

    def close(self) -> None:
        """Ends this process's workers, once no other thread calls any more. A later call opens new ones."""
        with _opening:
            opened, self._opened = self._opened, None
        if opened and opened[0] == os.getpid():
            opened[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}


def _general(reason: str) -> str:
    """A reason without the number of its row, in one line, so that equal ones count together."""
    text = " ".join(reason.split())
    return (text.partition(": ")[2] if text.startswith("row ") else text)[:120] or "no reason given"


def reference_to(domain: str | Domain) -> str:
    """A reference that loads the domain in another process, whatever its current folder. Raises DomainError."""
    if isinstance(domain, str):
        is_path = domain.startswith((".", "/", "~")) or Path(domain).is_dir()
        return str(user_path(domain).resolve()) if is_path else domain
    package = package_of(domain)
    modules = [name for name in sys.modules if name == package or name.startswith(f"{package}.")]
    for name in modules if package != "__main__" else ():
        for attribute, value in vars(sys.modules[name]).items():
            if value is domain:
                return f"{name}:{attribute}"
    todo = "put it into a module of its own, as an attribute, so that worker processes can import it"
    raise DomainError(f"domain {domain.name!r} is no attribute of an importable module: {todo}")
