"""Task, Answer, Verdict, Record, Drop: frozen data, imports nothing of ours.

A record is a snapshot. Its identity is its task and lineage; answers and evidence are added later.
Invariant: `Record.id` is the same on every machine and in every process, and does not depend on answers.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
Status = Literal["pass", "fail", "timeout", "memory", "error", "unverifiable"]
STATUSES: tuple[Status, ...] = ("pass", "fail", "timeout", "memory", "error", "unverifiable")


_canonical = json.JSONEncoder(sort_keys=True).encode


def digest(value: object) -> str:
    """16 hex digits of SHA-256 over canonical JSON (sorted keys, ASCII); every id and key is made with it."""
    import hashlib  # late: it would bring OpenSSL into every fork of a worker's

    return hashlib.sha256(_canonical(value).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Task:
    """A question and what its answers are verified against: a seed, a benchmark problem, a row to verify."""

    instruction: str
    reference: str | None = None
    tests: Json = None
    """In any form that the domain's `verify` reads; a teacher's text never gets here."""
    fields: Mapping[str, Json] = field(default_factory=dict)
    """The other `Domain.columns`: entry_point, language ..."""
    history: tuple[tuple[str, str], ...] = ()
    """Earlier turns: (role, content)."""
    name: str = ""
    """The source's own id, else file:line, so that equal rows of a file stay distinct."""


@dataclass(frozen=True, kw_only=True)
class KnownAnswers:
    """Answers to a task of which its author knows whether they are right, as `verify` gets them. Only `evoltune domains check` reads
    them: no generic change of a reference knows that `MB` is not `Mb`, or that `p & q` is `q & p`."""

    task: Task
    right: tuple[str, ...] = ()
    """Other forms of the right answer: each must pass."""
    wrong: tuple[str, ...] = ()
    """Near answers that a careless comparison would accept: none may pass."""


KNOWN_ANSWERS = "known_answers.yaml"
"""A file of a domain's package that only `evoltune domains check` reads, so that it does not enter the verifier's version."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The result of verifying an answer. `error` and `unverifiable` mean that verification failed, not the model."""

    status: Status
    reason: str = ""
    seconds: float = 0.0
    """A measurement, so it is never written to a dataset: equal runs give equal bytes."""
    evidence: Mapping[str, Json] = field(default_factory=dict)
    """extracted, method, stdout, isolation, verified_by ..."""

    @property
    def score(self) -> float | None:
        """1.0 for pass; 0.0 for fail, timeout, memory; None for error and unverifiable."""
        return None if self.status in ("error", "unverifiable") else float(self.status == "pass")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One response of a model, or of a seed's author (model="seed"). A rejected answer keeps its text, with a `fail`."""

    text: str
    model: str
    verdict: Verdict | None = None


@dataclass(frozen=True, kw_only=True)
class Record:
    """One row on its way through the stages. Answers and evidence are not part of `id`."""

    domain: str
    task: Task
    parents: tuple[str, ...] = ()
    """Ids of the parents; two for instruction fusion, none for a seed."""
    operator: str = ""
    operator_version: str = ""
    """`Operator.version` of the operator as it was then."""
    round: int = 0
    draw: int = 0
    """Which of several children of one parent in one round."""
    answers: tuple[Answer, ...] = ()
    evidence: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Completions by the names of `Domain.evidence`."""

    @cached_property
    def id(self) -> str:
        # vars, not asdict: the same JSON, without the deep copy that took half of the time of an id.
        lineage = [self.domain, vars(self.task), self.parents, self.operator, self.round, self.draw]
        return digest([*lineage, self.operator_version] if self.operator_version else lineage)


@dataclass(frozen=True, kw_only=True)
class Drop:
    """A record that a stage dropped, and why. A draw without text is an empty record, so that the ledger's counts add up."""

    record: Record
    reason: str


Stage = Callable[[Iterable[Record]], Iterator[Record | Drop]]


def record_from_json(raw: Mapping[str, Any]) -> Record:
    """From what `dataclasses.asdict` gives for a record, also by way of JSON, an equal record with the same id."""
    history = tuple((str(role), str(content)) for role, content in raw["task"].get("history", ()))
    answers = (a | {"verdict": Verdict(**a["verdict"]) if a.get("verdict") else None} for a in raw.get("answers", ()))
    parts = {
        "task": Task(**{**raw["task"], "history": history}),
        "parents": tuple(raw.get("parents", ())),
        "answers": tuple(Answer(**answer) for answer in answers),
        "evidence": {name: tuple(texts) for name, texts in raw.get("evidence", {}).items()},
    }
    return Record(**{**raw, **parts})
