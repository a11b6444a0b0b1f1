"""What travels: the bodies of requests and answers as types, and the OpenAPI page made from these same types.

Bodies are strict JSON (RFC 8259): UTF-8, no NaN or Infinity, no unknown keys. `parsed` is the only door for them.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from evoltune.record import STATUSES
from evoltune.verification.service.backlog import Limits


class NotJsonError(ValueError):
    """The body is no JSON."""


Row = Annotated[
    Any,
    msgspec.Meta(
        description="A row as evoltune.verify takes it: an object with `answer` and the domain's columns (`reference`; "
        "`tests`, `entry_point`). Anything else gets the verdict `error` with the reason.",
        examples=[{"id": 1, "answer": "The answer is \\boxed{\\frac12}.", "reference": "0.5"}],
    ),
]


class Verdict(msgspec.Struct, forbid_unknown_fields=True):
    """How one row was judged."""

    id: Annotated[Any, msgspec.Meta(description="the row's id, else its number")]
    status: Literal[STATUSES]  # type: ignore[valid-type]
    reason: str
    score: Annotated[float | None, msgspec.Meta(description="1 pass; 0 fail, timeout, memory; else null")]
    seconds: float
    evidence: dict[str, Any]


class Verdicts(msgspec.Struct, forbid_unknown_fields=True):
    """One verdict per row, in the order of the rows."""

    verdicts: list[Verdict]


class Problem(msgspec.Struct, forbid_unknown_fields=True):
    """Why there are no verdicts."""

    error: str


class State(msgspec.Struct, forbid_unknown_fields=True):
    """Whether the service lives, or takes work."""

    status: str


def body_types(domains: Sequence[str], limits: Limits) -> tuple[type[msgspec.Struct], type[msgspec.Struct]]:
    """The bodies of the batch and of the single request, for the domains that are served."""
    domain = ("domain", Literal[tuple(domains)])
    number = Annotated[int, msgspec.Meta(ge=1, le=2**53, description="number of the first row, in reasons")]
    rows = Annotated[list[Row], msgspec.Meta(max_length=limits.most_rows)]
    batch = msgspec.defstruct(
        "Batch", [domain, ("rows", rows), ("first_row", number, 1)], forbid_unknown_fields=True
    )
    single = msgspec.defstruct("Single", [domain, ("row", Row)], forbid_unknown_fields=True)
    return batch, single


def parsed(body: bytes, shape: type[msgspec.Struct]) -> Any:
    """The body as `shape`. Raises NotJsonError, or msgspec.ValidationError where it is JSON of another shape."""
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_refused, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise NotJsonError(f"the body is not JSON: {error}"[:300]) from error
    if isinstance(value, dict):  # JSON Schema calls 1.0 an integer; rows stay as they came
        value = {k: int(v) if _integral(v) and k == "first_row" else v for k, v in value.items()}
    return msgspec.convert(value, shape)


def _integral(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()


def _refused(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is beyond a double")
    return number


def dumped(value: Any) -> bytes:
    """Strict JSON in ASCII, whatever stood in the rows; a NaN of a domain's evidence becomes null."""
    try:
        return json.dumps(value, allow_nan=False).encode()
    except ValueError:
        return json.dumps(_without_nan(value)).encode()


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# ---- the page

ABOUT = "Rows in, verdicts out. Bodies are strict JSON: UTF-8, no NaN or Infinity, no unknown keys."
REFUSALS = {
    400: "not JSON",
    401: "no token, or a wrong one",
    403: "no token is set, and the request came under a name that is not loopback's",
    408: "the body did not arrive in {limits.read_s:g} s",
    411: "no Content-Length",
    413: "the body is larger than {limits.most_mb} MiB",
    415: "Content-Type is not application/json, or the body is compressed",
    422: "JSON of another shape; says which key",
    429: "the queue is full: send it again after Retry-After seconds",
    500: "a fault of the service; its log says which",
    503: "shutting down: send it to another replica, or again after Retry-After seconds",
    504: "not judged in {limits.timeout_s:g} s and given up: send fewer rows at once",
}


def openapi(version: str, domains: Sequence[str], limits: Limits) -> dict[str, Any]:
    """The OpenAPI 3.1 document of a service for these domains and limits."""
    batch, single = body_types(domains, limits)
    shapes = (batch, single, Verdicts, Verdict, Problem, State)
    _, schemas = msgspec.json.schema_components(shapes, ref_template="#/components/schemas/{name}")
    said = {status: text.format(limits=limits) for status, text in REFUSALS.items()}

    def post(summary: str, body: str, answer: str) -> dict[str, Any]:
        content = {"application/json": {"schema": _ref(body)}}
        answers = {"200": _answer("judged, whatever the verdicts", answer), **_refusals(said, said)}
        return {"post": {"summary": summary, "requestBody": {"required": True, "content": content}, "responses": answers}}  # fmt: skip

    def get(summary: str, answer: dict[str, Any], *, secret: bool) -> dict[str, Any]:
        refused = _refusals(said, (401, 403, 500)) if secret else _refusals(said, (500,))
        more: dict[str, Any] = {} if secret else {"security": []}
        return {"get": {"summary": summary, "responses": {"200": answer, **refused}, **more}}

    ready = get("Whether it takes work", _answer("takes work", "State"), secret=False)
    ready["get"]["responses"]["503"] = _answer("shutting down", "State")
    text = {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "text"}
    page = {"content": {"text/html": {"schema": {"type": "string"}}}, "description": "HTML"}
    document = {
        "content": {"application/json": {"schema": {"type": "object"}}},
        "description": "OpenAPI 3.1",
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Evoltune verifier", "version": version, "description": ABOUT},
        "security": [{"bearer": []}, {"basic": []}],
        "paths": {
            "/v1/verify": post("Judge a batch of rows", "Batch", "Verdicts"),
            "/v1/verify-one": post("Judge one row", "Single", "Verdict"),
            "/health": get("Whether it lives", _answer("lives", "State"), secret=False),
            "/ready": ready,
            "/metrics": get("Prometheus metrics", text, secret=True),
            "/openapi.json": get("This document", document, secret=True),
            "/docs": get("This document to read", page, secret=True),
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "any user, the token as password",
                },
            },
        },
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _answer(description: str, schema: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _ref(schema)}}}


def _refusals(said: dict[int, str], statuses: Any) -> dict[str, Any]:
    answers = {str(status): _answer(said[status], "Problem") for status in statuses}
    for status in {"429", "503"} & set(answers):
        seconds = {"schema": {"type": "integer"}, "description": "seconds", "required": True}
        answers[status]["headers"] = {"Retry-After": seconds}
    return answers


def docs_page(document: dict[str, Any]) -> str:
    """The document as one page of HTML that loads nothing."""
    parts = [f"<h1>{html.escape(document['info']['title'])} {html.escape(document['info']['version'])}</h1>"]
    parts.append("<p>As a document: <a href='openapi.json'>openapi.json</a></p>")
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts.append(f"<h2><code>{method.upper()} {path}</code></h2><p>{html.escape(operation['summary'])}</p>")  # fmt: skip
            if body := operation.get("requestBody"):
                name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
                parts.append(f"<p>body: <a href='#{name}'>{name}</a></p>")
            rows = (f"<tr><td>{code}<td>{html.escape(answer['description'])}" for code, answer in operation["responses"].items())  # fmt: skip
            parts.append(f"<table>{''.join(rows)}</table>")
    for name, schema in document["components"]["schemas"].items():
        shown = html.escape(json.dumps(schema, indent=2))
        parts.append(f"<h2 id='{name}'>{name}</h2><pre>{shown}</pre>")
    style = "body{font:16px/1.5 sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}td{padding-right:1rem}pre{overflow:auto}"
    return f"<!doctype html><html lang='en'><meta charset='utf-8'><title>Evoltune verifier</title><style>{style}</style>{''.join(parts)}</html>"
