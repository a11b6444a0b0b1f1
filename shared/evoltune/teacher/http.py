"""The HTTP teacher: OpenAI-compatible servers, several endpoints with weights and fail-over.

    teacher: {kind: http, model: qwen2.5-7b, endpoints: [{url: "http://localhost:8000/v1"}]}

One attempt per call: retries and journal are wrappers (see `stack`); each HTTP request is reserved in the budget. What one
server takes and answers is in `endpoint`. Invariant: a call goes to another endpoint while there is one that can serve it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from evoltune import recipe as recipes
from evoltune.errors import RecipeError, TeacherError
from evoltune.run.store import Store
from evoltune.teacher.attempts import Attempts
from evoltune.teacher.connections import Connections
from evoltune.teacher.dialects import check_extra_body
from evoltune.teacher.endpoint import Endpoint
from evoltune.teacher.protocol import Reply, Request

CONNECT_TIMEOUT_S = 10.0


@asynccontextmanager
async def open_http(
    config: recipes.Teacher, attempts: Attempts | None = None, store: Store | None = None
) -> AsyncIterator[EndpointPool]:
    """A pool over `teacher.endpoints`; connects at the first call. With a store, what was learnt about the servers is
    remembered with the run. Raises RecipeError when a key is missing."""
    if not config.endpoints:
        raise RecipeError(
            "teacher.endpoints: kind 'http' needs at least one, e.g. endpoints: [{url: http://localhost:8000/v1}]"
        )
    check_extra_body(config.extra_body, "teacher")
    async with Connections(timeout_s=config.timeout_s, connect_s=CONNECT_TIMEOUT_S) as connections:
        endpoints = [
            Endpoint(e, config, f"teacher.endpoints.{i}", connections, attempts or Attempts(), store)
            for i, e in enumerate(config.endpoints)
        ]
        yield EndpointPool(endpoints)


class EndpointPool:
    """A Teacher over endpoints: each call goes to the healthy one with the least load for its weight."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._endpoints = endpoints

    async def complete(self, request: Request) -> Reply:
        """One attempt; a server may return fewer than n choices."""
        endpoint = self._choose()
        endpoint.in_flight += 1
        try:
            return await endpoint.complete(request)
        finally:
            endpoint.in_flight -= 1

    def _choose(self) -> Endpoint:
        usable = [e for e in self._endpoints if not e.unusable]
        if not usable:
            raise TeacherError("; ".join(e.unusable for e in self._endpoints))
        now = time.monotonic()
        healthy = [e for e in usable if e.cooldown_until <= now]
        return min(healthy, key=lambda e: e.load) if healthy else min(usable, key=lambda e: e.cooldown_until)
