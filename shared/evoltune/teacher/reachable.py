"""Whether a teacher can be asked, before anything is paid for: its keys, its addresses, its model.

    check_reachable(recipe.teacher, "teacher")
    # RecipeError: teacher.model: http://host/v1 does not have 'qwen' (HTTP 404 ...): allowed: qwen2.5-7b

The list of models alone decides nothing: gateways leave some out, and others go by several names. Where it lacks the name, one
request for one token does; a server without a list is left to the first call.
"""

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
import orjson

from evoltune.errors import RecipeError, nearest
from evoltune.recipe import Teacher
from evoltune.teacher.access import Access, access_of
from evoltune.teacher.connections import FAULTS, Connections, HttpReply
from evoltune.teacher.engines import check_engine
from evoltune.teacher.network import is_listening, proxy_of
from evoltune.teacher.refusals import read_error
from evoltune.teacher.stack import open_teacher
from evoltune.text.credentials import cuts_in, expand

CUT_OUT = "this secret was removed when the recipe was saved with the run: give it again, best as ${NAME} of an environment variable"
WAIT_S = 20.0
_NOT_FOUND = 404
_CHAT = "/chat/completions"


def check_reachable(teacher: Teacher, key: str) -> None:
    """Raises RecipeError when a teacher's keys, addresses or cassette are wrong; `key` names its section of the recipe."""

    async def open_and_close() -> None:
        async with open_teacher(teacher):
            pass

    try:
        check_engine(teacher)
        for where in cuts_in(msgspec.to_builtins(teacher), "teacher"):
            raise RecipeError(f"{where}: {CUT_OUT}")
        if teacher.kind in ("http", "replay"):
            asyncio.run(open_and_close())
    except RecipeError as error:  # they name the keys of `teacher:`
        raise RecipeError(str(error).replace("teacher.", f"{key}.", 1)) from error
    addresses = [expand(e.url, f"{key}.endpoints.{i}.url") for i, e in enumerate(teacher.endpoints)]
    if teacher.kind == "http" and not any(map(is_listening, addresses)):
        proxies = {proxy for address in addresses if (proxy := proxy_of(address))}
        by = (
            f" by the proxy {', '.join(sorted(urlsplit(p).netloc.rpartition('@')[2] for p in proxies))}"
            if proxies
            else ""
        )
        raise RecipeError(
            f"{key}.endpoints: nothing answers at {', '.join(addresses)}{by}: start an OpenAI-compatible server there "
            f"(for instance `vllm serve MODEL`), or use {key}.kind: embedded"
        )
    if teacher.kind == "http" and (lacks := asyncio.run(lacking_model(teacher, key))):
        raise RecipeError(lacks)


async def lacking_model(teacher: Teacher, key: str) -> str:
    """Why the first endpoint that lacks `teacher.model` cannot serve it; "" where none says so. `key`: the teacher's section."""
    async with Connections(timeout_s=WAIT_S, connect_s=WAIT_S) as connections:
        for i, endpoint in enumerate(teacher.endpoints):
            access = access_of(endpoint, teacher, f"{key}.endpoints.{i}")
            names = await _listed(connections, access)
            if not names or teacher.model in names:
                continue
            asked = {"model": teacher.model, "messages": [{"role": "user", "content": "1"}], "max_tokens": 1}
            reply = await _reply(connections, access, "POST", orjson.dumps({**asked, **access.extra_body}))
            if reply and reply.status == _NOT_FOUND:
                said = read_error(reply.status, access.without_secrets(reply.body))
                return f"{key}.model: {access.name} does not have {teacher.model!r} ({said}): {nearest(teacher.model, names)}"
    return ""


async def _listed(connections: Connections, access: Access) -> Sequence[str]:
    """The names that GET /models gives; none where the server has no such list."""
    reply = await _reply(connections, access, "GET")
    if reply is None or reply.status != 200:
        return ()
    try:
        found: Any = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return ()
    entries = found.get("data") if isinstance(found, dict) else None
    return [str(entry["id"]) for entry in entries or () if isinstance(entry, dict) and "id" in entry]


async def _reply(connections: Connections, access: Access, method: str, data: bytes | None = None) -> HttpReply | None:
    target = access.target
    if method == "GET" and target.url.raw_path.endswith(_CHAT):
        url = target.url.with_path(target.url.raw_path.removesuffix(_CHAT) + "/models", encoded=True, keep_query=True)
        target = target._replace(url=url)
    try:
        return await connections.request(target, method, data)
    except FAULTS:
        return None
