"""The OpenAPI 3.1 document of a service (`openapi.yaml` with the schemas of the types that it parses), and its HTML page."""

import html
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template
from typing import Any

import msgspec
import yaml

from evoltune.verification.service.bodies import Problem, State, VerdictRow, Verdicts
from evoltune.verification.service.row_queue import Limits

STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}"
    "td{padding-right:1rem}pre{overflow:auto}"
)


def openapi(version: str, requests: Sequence[type[msgspec.Struct]], limits: Limits) -> dict[str, Any]:
    """The document of a service that takes these requests (`bodies.request_types`) under these limits."""
    text = (files(__package__) / "openapi.yaml").read_text(encoding="utf-8")
    # safe_substitute leaves OpenAPI's own `$ref` as it is.
    filled = Template(text).safe_substitute(
        version=version, read_s=f"{limits.read_s:g}", timeout_s=f"{limits.timeout_s:g}", most_mb=limits.most_mb
    )
    document: dict[str, Any] = yaml.safe_load(filled)
    shapes = (*requests, Verdicts, VerdictRow, Problem, State)
    _, schemas = msgspec.json.schema_components(shapes, ref_template="#/components/schemas/{name}")
    document["components"]["schemas"] = schemas
    return document


def docs_page(document: Mapping[str, Any]) -> str:
    """The document as one page of HTML that loads nothing."""
    info, escape = document["info"], html.escape
    parts = [f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>"]
    parts.append("<p>As a document: <a href='openapi.json'>openapi.json</a></p>")
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts.append(f"<h2><code>{method.upper()} {path}</code></h2><p>{escape(operation['summary'])}</p>")
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
