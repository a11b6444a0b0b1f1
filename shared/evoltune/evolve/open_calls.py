"""A run's open teacher calls through a provider's batch files (half price).

    evoltune batch export RECIPE RUN requests.jsonl     # upload it; download the results
    evoltune batch import RECIPE RUN results.jsonl      # then export again: the next calls of every chain

A chain goes as far as the journal answers and stops at the first call that it does not hold, so one export has one call per
chain and draw. A result without a reply stays open, except where another attempt would end no better: then its row is given
up, as in a run over HTTP.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from evoltune.domain import Domain
from evoltune.evolve.evolution import ReplyPending
from evoltune.evolve.loop import evolve
from evoltune.recipe import Recipe
from evoltune.run.store import Store, Usage
from evoltune.teacher.batch_files import cut_short, read_results, write_requests
from evoltune.teacher.batch_forms import Unanswered
from evoltune.teacher.budget import charged_usage
from evoltune.teacher.dialects import HTTP_DIALECTS_NOTE, Dialect
from evoltune.teacher.journal import AllSamples, Journalled, commit_reply
from evoltune.teacher.negotiation import Shape, mentioned_in, named_in, shape_of, without_named
from evoltune.teacher.protocol import GivenUpError, Reply, Request, request_key, request_to_json
from evoltune.teacher.refusals import ServerError

BATCH_DISCOUNT = 0.5
"""What a call in a batch file costs, relative to the recipe's prices."""
WITHHELD = Reply(texts=("",), usage=Usage())
"""A sample that a filter or the model itself kept back, beside others that were made."""
DIALECT_NOTE, SAMPLES_NOTE = "batch:dialect", "batch:samples:"
ROW_STATUSES = {400, 413, 422}
"""Refusals that can be a fault of the row; the others are of the key, the model, the pace or the server."""


@dataclass
class CallCollector:
    """A Teacher that notes each request and answers none; those in `refused` are given up."""

    requests: dict[str, Request] = field(default_factory=dict)
    refused: Mapping[str, GivenUpError] = field(default_factory=dict)

    async def complete(self, request: Request) -> Reply:
        key = request_key(request)
        if key in self.refused:
            raise self.refused[key]
        self.requests[key] = request
        raise ReplyPending


@dataclass(frozen=True, kw_only=True)
class ImportCounts:
    """What a results file held."""

    journalled: int
    failed: tuple[str, ...]
    """`custom_id: why`; the next export asks them again."""
    unknown: int
    """Results that no open call asked for (imported before, or of another recipe)."""
    refused: Mapping[str, GivenUpError] = field(default_factory=dict)
    """By key: calls that no attempt would bring through; pass them to `open_calls`, which gives their rows up."""
    dialect: Dialect = field(default_factory=Dialect)
    """What the next export does otherwise."""
    incomplete: int = 0
    """Calls of which some samples are kept and others missing; the next export asks for these alone."""
    cut: str = ""
    """`file:line` of an incomplete last line."""


def open_calls(
    recipe: Recipe, domain: Domain, store: Store, refused: Mapping[str, GivenUpError] | None = None
) -> dict[str, Request]:
    """The run's open calls by key. Decides all that the journal, and `refused`, can already decide."""
    collector = CallCollector(refused=refused or {})
    evolve(recipe, domain, store, teacher=AllSamples(Journalled(collector, store)))
    return collector.requests


def export_calls(store: Store, requests: Mapping[str, Request], path: Path, form: str = "openai") -> int:
    """Writes open calls in a provider's form and in the dialect that earlier results taught. Returns how many."""
    done = {key: frozenset(int(i) for i in _noted_samples(store, key)) for key, r in requests.items() if r.n > 1}
    return write_requests(requests.values(), path, form, learnt_dialect(store), done)


def learnt_dialect(store: Store) -> Dialect:
    """What earlier results of batches, or calls of this run over HTTP, taught about the provider's parameters."""
    over_http = (store.noted(HTTP_DIALECTS_NOTE) or {}).values()
    known = store.noted(DIALECT_NOTE) or next(iter(over_http), None)
    return Dialect.from_json(known) if known else Dialect()


def import_results(recipe: Recipe, store: Store, requests: dict[str, Request], path: Path) -> ImportCounts:
    """Journals the results of the open calls `requests`; a file that was cut short leaves what it held. Raises DataError
    before anything is journalled."""
    cut = cut_short(path)
    still_open, unknown = dict(requests), 0
    unanswered: dict[str, Unanswered] = {}
    samples: dict[str, dict[int, Reply]] = defaultdict(dict)
    withheld: dict[str, dict[int, Unanswered]] = defaultdict(dict)
    served: set[Shape] = set()
    ignores_n = False

    def take(key: str, request: Request, reply: Reply | None) -> None:
        if reply is not None:
            del still_open[key]
            body, reply = request_to_json(request), replace(reply, usage=charged_usage(request, reply))
            commit_reply(store, key, body, request, reply, recipe.teacher.price, discount=BATCH_DISCOUNT)

    for custom_id, outcome in read_results(path):
        key, _, sample = custom_id.partition("-")
        request = still_open.get(key)
        if request is None or (sample and sample not in map(str, range(request.n))):
            unknown += 1
        elif isinstance(outcome, Unanswered):
            if sample and outcome.is_final:
                withheld[key][int(sample)] = outcome
            else:
                unanswered[key] = outcome
        else:
            served.add(shape_of(request))
            reply: Reply | None = outcome
            if sample or len(outcome.texts) < request.n:  # some providers ignore n: what they made was paid for
                ignores_n = ignores_n or not sample
                samples[key] |= {int(sample): outcome} if sample else _as_samples(outcome)
                reply = _joined(store, key, request, samples[key])
            take(key, request, reply)
    for key, found in withheld.items():
        if (request := still_open.get(key)) is not None and len(
            found
        ) < request.n:  # as where one of n choices is withheld
            samples[key] |= dict.fromkeys(found, WITHHELD)
            take(key, request, _joined(store, key, request, samples[key]))
        else:
            unanswered[key] = next(iter(found.values()))
    failed = {key: outcome for key, outcome in unanswered.items() if key in still_open}
    dialect, refused = _judged(store, requests, failed, served, ignores_n)
    return ImportCounts(
        journalled=len(requests) - len(still_open), unknown=unknown, refused=refused, dialect=dialect, cut=cut,
        incomplete=sum(key in still_open for key in samples),
        failed=tuple(f"{key}: {outcome.reason}" for key, outcome in failed.items() if key not in refused),
    )  # fmt: skip


def _judged(
    store: Store, requests: Mapping[str, Request], failed: Mapping[str, Unanswered], served: set[Shape], ignores_n: bool
) -> tuple[Dialect, dict[str, GivenUpError]]:
    """(the dialect that the refusals teach, the calls that no attempt would bring through)."""
    before = learnt_dialect(store)
    dialect = before.without("n") if ignores_n else before
    refused: dict[str, GivenUpError] = {}
    for key, outcome in failed.items():
        request, error = requests[key], outcome.error
        if outcome.is_final or (error is not None and error.is_content):
            refused[key] = GivenUpError(outcome.reason if outcome.is_final else "content filter", outcome.reason)
        elif error is not None and error.status in ROW_STATUSES and not error.is_account:
            if shape_of(request) in served and not named_in(error, before.sent(request)):
                refused[key] = GivenUpError(f"HTTP {error.status}", error.message)
            else:
                dialect = _taught(dialect, before, request, error)
    if dialect != before:
        store.note(DIALECT_NOTE, dialect.as_json())
    return dialect, refused


def _taught(dialect: Dialect, before: Dialect, request: Request, error: ServerError) -> Dialect:
    """The dialect without the parameter that a refusal names or, where it names none, mentions first."""
    sent = before.sent(request)
    named = named_in(error, sent) or mentioned_in(error, sent)[:1]
    return without_named(dialect, request, named, set())


def _as_samples(reply: Reply) -> dict[int, Reply]:
    """The texts of a reply one by one; the first has what all of them cost."""
    return {
        i: Reply(texts=(text,), thoughts=(reply.thought(i),), truncated=(0,) if i in reply.truncated else (),
                 usage=Usage() if i else reply.usage)
        for i, text in enumerate(reply.texts)
    }  # fmt: skip


def _joined(store: Store, key: str, request: Request, found: dict[int, Reply]) -> Reply | None:
    """The reply that the samples of a request make; None while some are missing: what is there is noted, so that the next
    export asks for the others alone."""
    for i, noted in _noted_samples(store, key).items():
        found.setdefault(int(i), Reply(
            texts=(noted["text"],), thoughts=(noted["thought"],), truncated=(0,) if noted["truncated"] else (),
            usage=Usage(prompt_tokens=noted["prompt_tokens"], completion_tokens=noted["completion_tokens"]),
        ))  # fmt: skip
    if len(found) < request.n:
        store.note(f"{SAMPLES_NOTE}{key}", {str(i): _as_note(reply) for i, reply in found.items()})
        return None
    parts = [found[i] for i in range(request.n)]
    usage = Usage(
        prompt_tokens=sum(p.usage.prompt_tokens for p in parts),
        completion_tokens=sum(p.usage.completion_tokens for p in parts),
    )
    return replace(
        parts[0], texts=tuple(p.texts[0] for p in parts), thoughts=tuple(p.thought(0) for p in parts), usage=usage,
        truncated=tuple(i for i, p in enumerate(parts) if p.truncated),
    )  # fmt: skip


def _noted_samples(store: Store, key: str) -> dict[str, dict[str, Any]]:
    return store.noted(f"{SAMPLES_NOTE}{key}") or {}


def _as_note(reply: Reply) -> dict[str, Any]:
    return {
        "text": reply.texts[0], "thought": reply.thought(0), "truncated": bool(reply.truncated),
        "prompt_tokens": reply.usage.prompt_tokens, "completion_tokens": reply.usage.completion_tokens,
    }  # fmt: skip
