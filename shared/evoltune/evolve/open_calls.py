"""A run's open teacher calls through a provider's batch files (OpenAI's format, half price).

    evoltune batch export RECIPE RUN requests.jsonl     # upload it; download the results
    evoltune batch import RECIPE RUN results.jsonl      # then export again: the next calls of every chain

A chain goes as far as the journal answers and stops at the first call that it does not hold, so one export has one call per
chain and draw.
"""

from dataclasses import dataclass, field
from pathlib import Path

from evoltune.domain import Domain
from evoltune.evolve.evolution import ReplyPending
from evoltune.evolve.loop import evolve
from evoltune.recipe import Recipe
from evoltune.run.store import Store
from evoltune.teacher.batch_files import read_results
from evoltune.teacher.journal import AllSamples, Journalled, commit_reply
from evoltune.teacher.protocol import Reply, Request, request_key, request_to_json

BATCH_DISCOUNT = 0.5
"""What a call in a batch file costs, relative to the recipe's prices."""


@dataclass
class CallCollector:
    """A Teacher that notes each request and answers none."""

    requests: dict[str, Request] = field(default_factory=dict)

    async def complete(self, request: Request) -> Reply:
        self.requests[request_key(request)] = request
        raise ReplyPending


@dataclass(frozen=True, kw_only=True)
class ImportCounts:
    """What a results file held."""

    journalled: int
    failed: tuple[str, ...]
    """`custom_id: why`; the next export asks them again."""
    unknown: int
    """Results that no open call asked for (imported before, or of another recipe)."""


def open_calls(recipe: Recipe, domain: Domain, store: Store) -> dict[str, Request]:
    """The run's open calls by key. Decides all that the journal can already decide."""
    collector = CallCollector()
    evolve(recipe, domain, store, teacher=AllSamples(Journalled(collector, store)))
    return collector.requests


def import_results(recipe: Recipe, store: Store, requests: dict[str, Request], path: Path) -> ImportCounts:
    """Journals the results of the open calls `requests`. Raises DataError."""
    still_open, failed, imported, unknown = dict(requests), [], 0, 0
    for key, reply in read_results(path):
        request = still_open.get(key)
        if request is None:
            unknown += 1
        elif isinstance(reply, str):
            failed.append(f"{key}: {reply}")
        else:
            del still_open[key]
            body = request_to_json(request)
            commit_reply(store, key, body, request, reply, recipe.teacher.price, discount=BATCH_DISCOUNT)
            imported += 1
    return ImportCounts(journalled=imported, failed=tuple(failed), unknown=unknown)
