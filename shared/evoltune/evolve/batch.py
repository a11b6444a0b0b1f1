"""Provider batch files (OpenAI's format, half price): a teacher that collects the misses, and results into the journal.

    evoltune batch export RECIPE RUN requests.jsonl     # upload it; download the results
    evoltune batch import RECIPE RUN results.jsonl      # then export again: the next calls of every chain

A chain goes as far as the journal answers and stops at its first miss; so one export holds one call per chain and draw.
Invariant: a `custom_id` is the request's journal key, so results can come back in any order, in parts, or twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from evoltune.domain import Domain
from evoltune.errors import DataError
from evoltune.evolve.chain import Pending
from evoltune.evolve.loop import evolve
from evoltune.recipe import Recipe
from evoltune.rows.files import jsonl_writer
from evoltune.run.store import Store, Usage
from evoltune.teacher.http import error_message, reply_of, wire
from evoltune.teacher.journal import journalled
from evoltune.teacher.protocol import Reply, Request, cost, request_key, request_to_json


@dataclass
class Collector:
    """A Teacher that notes each request and answers none."""

    requests: dict[str, Request] = field(default_factory=dict)

    async def complete(self, request: Request) -> Sequence[str]:
        self.requests[request_key(request)] = request
        raise Pending


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What came of a results file."""

    journalled: int
    failed: tuple[str, ...]
    """`custom_id: why`, to be asked again by the next export."""
    unknown: int
    """Results that no open call asked for (imported before, or of another recipe)."""


def collect(recipe: Recipe, domain: Domain, store: Store) -> dict[str, Request]:
    """The open calls of a run by key; decides all that the journal can already decide."""
    collector = Collector()
    evolve(recipe, domain, store, teacher=journalled(collector, store))
    return collector.requests


def export_batch(requests: Iterable[Request], path: Path) -> int:
    """Writes one batch line per request. Returns how many."""
    count = 0
    try:
        with jsonl_writer(path) as write:
            for request in requests:
                line = {
                    "custom_id": request_key(request),
                    "method": "POST",
                    "url": "/v1/chat/completions",
                    "body": wire(request),
                }
                write(line)
                count += 1
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from error
    return count


def import_batch(
    recipe: Recipe, store: Store, requests: dict[str, Request], path: Path, *, discount: float = 0.5
) -> Imported:
    """Journals the results of open calls. `discount`: what a batch costs of the recipe's prices. Raises DataError."""
    open_calls, failed, done, unknown = dict(requests), [], 0, 0
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        key, reply = _result(line, f"{path}:{number}")
        request = open_calls.get(key)
        if request is None:
            unknown += 1
        elif isinstance(reply, str):
            failed.append(f"{key}: {reply}")
        else:
            del open_calls[key]
            _journal(recipe, store, key, request, reply, discount)
            done += 1
    return Imported(journalled=done, failed=tuple(failed), unknown=unknown)


def _journal(recipe: Recipe, store: Store, key: str, request: Request, reply: Reply, discount: float) -> None:
    usd = discount * cost(recipe.teacher.price, reply.usage)
    used = reply.usage
    store.journal(
        key,
        purpose=request.purpose,
        model=request.model,
        request=request_to_json(request),
        texts=reply.texts,
        usage=Usage(prompt_tokens=used.prompt_tokens, completion_tokens=used.completion_tokens, usd=usd),
        record=request.record,
        cut=reply.cut,
    )


def _lines(path: Path) -> Iterable[bytes]:
    try:
        with path.open("rb") as lines:
            yield from lines
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _result(line: bytes, where: str) -> tuple[str, Reply | str]:
    """(custom_id, reply or why there is none) of a results line."""
    try:
        raw = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON: {error}") from error
    if not isinstance(raw, dict) or not isinstance(raw.get("custom_id"), str):
        raise DataError(f"{where}: not a batch result: has no custom_id")
    response = raw.get("response")
    if not isinstance(response, dict) or raw.get("error"):
        return raw["custom_id"], error_message(orjson.dumps(raw.get("error") or {}))[0] or "no response"
    body = response.get("body")
    if response.get("status_code") != 200:
        return raw["custom_id"], f"HTTP {response.get('status_code')} {error_message(orjson.dumps(body))[0]}"
    try:
        return raw["custom_id"], reply_of(body)
    except ValueError as error:
        return raw["custom_id"], str(error)
