"""The OpenAPI 3.1 document of a service, made from the types that it parses, and the same as a page of HTML."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from evoltune.verification.service.bodies import Problem, State, VerdictRow, Verdicts
from evoltune.verification.service.row_queue import Limits

ABOUT = "Rows in, verdicts out. Bodies are strict JSON: UTF-8, no NaN or Infinity, no unknown keys."
REFUSALS = {
    400: "not JSON",
    401: "no token, or a wrong one",
    403: "no token is set, and the request's Host is not a loopback name",
    408: "the body did not arrive in {limits.read_s:g} s",
    411: "no Content-Length",
    413: "the body is larger than {limits.most_mb} MiB",
    415: "Content-Type is not application/json, or the body is compressed",
    422: "JSON of another shape; the message names the key",
    429: "the queue is full: send the request again after Retry-After seconds",
    500: "internal error; the service's log has the traceback",
    503: "shutting down: send the request to another replica, or again after Retry-After seconds",
    504: "not verified in {limits.timeout_s:g} s and dropped: send fewer rows at once",
}
STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}"
    "td{padding-right:1rem}pre{overflow:auto}"
)


def openapi(version: str, requests: Sequence[type[msgspec.Struct]], limits: Limits) -> dict[str, Any]:
    """The document of a service that takes these requests (`bodies.request_types`) under these limits."""
    shapes = (*requests, Verdicts, VerdictRow, Problem, State)
    _, schemas = msgspec.json.schema_components(shapes, ref_template="#/components/schemas/{name}")
    refusals = {
        status: _answer(text.format(limits=limits), "Problem", retry_after=status in (429, 503))
        for status, text in REFUSALS.items()
    }

    def post(summary: str, body: str, answer: str) -> dict[str, Any]:
        request = {"required": True, "content": {"application/json": {"schema": _ref(body)}}}
        responses = _responses(_answer("verified, whatever the verdicts", answer), refusals, REFUSALS)
        return {"post": {"summary": summary, "requestBody": request, "responses": responses}}

    def get(summary: str, answer: dict[str, Any], *, needs_token: bool = True) -> dict[str, Any]:
        responses = _responses(answer, refusals, (401, 403, 500) if needs_token else (500,))
        return {
            "get": {"summary": summary, "responses": responses, **({} if needs_token else {"security": []})}
        }

    ready = get("Whether requests are accepted", _answer("accepted", "State"), needs_token=False)
    ready["get"]["responses"]["503"] = _answer("shutting down", "State")
    password = {"type": "http", "scheme": "basic", "description": "any user, the token as password"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Evoltune verifier", "version": version, "description": ABOUT},
        "security": [{"bearer": []}, {"basic": []}],
        "paths": {
            "/v1/verify": post("Verify a batch of rows", "Batch", "Verdicts"),
            "/v1/verify-one": post("Verify one row", "Single", "VerdictRow"),
            "/health": get("Whether the service runs", _answer("it runs", "State"), needs_token=False),
            "/ready": ready,
            "/metrics": get("Prometheus metrics", _text("text/plain", "string")),
            "/openapi.json": get("This document", _text("application/json", "object")),
            "/docs": get("This document as a page", _text("text/html", "string")),
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}, "basic": password},
        },
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _text(media_type: str, kind: str) -> dict[str, Any]:
    return {"content": {media_type: {"schema": {"type": kind}}}, "description": media_type}


def _answer(description: str, schema: str, *, retry_after: bool = False) -> dict[str, Any]:
    answer = {"description": description, "content": {"application/json": {"schema": _ref(schema)}}}
    seconds = {"schema": {"type": "integer"}, "description": "seconds", "required": True}
    return answer | ({"headers": {"Retry-After": seconds}} if retry_after else {})


def _responses(ok: dict[str, Any], refusals: Mapping[int, Any], statuses: Iterable[int]) -> dict[str, Any]:
    return {"200": ok, **{str(status): refusals[status] for status in statuses}}


def docs_page(document: Mapping[str, Any]) -> str:
    """The document as one page of HTML that loads nothing."""
    info, escape = document["info"], html.escape
    parts = [f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>"]
    parts.append("<p>As a document: <a href='openapi.json'>openapi.json</a></p>")
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts.append(
                f"<h2><code>{method.upper()} {path}</code></h2><p>{escape(operation['summary'])}</p>"
            )
            if body := operation.get("requestBody"):
                name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
                parts.append(f"<p>body: <a href='#{name}'>{name}</a></p>")
            parts.append("<table>")
            for status, answer in operation["responses"].items():
                parts.append(f"<tr><td>{status}<td>{escape(answer['description'])}")
            parts.append("</table>")
    for name, schema in document["components"]["schemas"].items():
        parts.append(f"<h2 id='{name}'>{name}</h2><pre>{escape(json.dumps(schema, indent=2))}</pre>")
    head = f"<meta charset='utf-8'><title>{escape(info['title'])}</title><style>{STYLE}</style>"
    return f"<!doctype html><html lang='en'>{head}{''.join(parts)}</html>"
