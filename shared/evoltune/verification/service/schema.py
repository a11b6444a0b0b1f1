"""Requests and answers of the service as types, and the OpenAPI 3.1 document that describes them (with `openapi.yaml`).

    batch, single = request_types(["code", "math"], most_rows=1024)
    request = msgspec.convert(parse_json(b'{"domain": "math", "rows": []}'), batch)

Invariant: bodies are strict JSON (RFC 8259): UTF-8, no NaN or Infinity; our own have no unknown keys. Rows inside them stay as they
came.
"""

import html
import json
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template
from typing import Annotated, Any, Literal

import msgspec
import yaml

from evoltune.record import STATUSES
from evoltune.verification.service.row_queue import Limits

STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}"
    "td{padding-right:1rem}pre{overflow:auto}"
)


class NotJsonError(ValueError):
    """The body is not JSON."""


Row = Annotated[
    Any,
    msgspec.Meta(
        description="A row as evoltune.verify takes it: an object with `answer` and the domain's columns (`reference`; "
        "`tests`, `entry_point`). Anything else gets the verdict `error` with the reason.",
        examples=[{"id": 1, "answer": "The answer is \\boxed{\\frac12}.", "reference": "0.5"}],
    ),
]


class VerdictRow(msgspec.Struct, forbid_unknown_fields=True):
    """The verdict on one row."""

    id: Annotated[Any, msgspec.Meta(description="the row's id, else its number")]
    status: Literal[STATUSES]  # type: ignore[valid-type]
    reason: str
    score: Annotated[float | None, msgspec.Meta(description="1 pass; 0 fail, timeout, memory; else null")]
    seconds: float
    evidence: dict[str, Any]
    sample: Annotated[int | msgspec.UnsetType, msgspec.Meta(description="the row's own, where it has one")] = (
        msgspec.UNSET
    )


class ScoreRow(VerdictRow, forbid_unknown_fields=True, kw_only=True):
    """The verdict on one row, and its reward: instruction score x least step score where it passes."""

    reward: Annotated[
        float | None, msgspec.Meta(description="0 to 1; null where the row could not be judged: see reason")
    ]
    parts: Annotated[
        dict[str, float | None],
        msgspec.Meta(description="verifier, steps and instruction; null where the service has no such model"),
    ]


class Scores(msgspec.Struct, forbid_unknown_fields=True):
    """One score row per row, in the order of the rows."""

    scores: list[ScoreRow]


class Verdicts(msgspec.Struct, forbid_unknown_fields=True):
    """One verdict per row, in the order of the rows."""

    verdicts: list[VerdictRow]


class TestResults(msgspec.Struct, forbid_unknown_fields=True):
    """1 for each test that passed within the time, else 0; the seconds of those that passed, else -1."""

    results: list[int]
    runtimes: list[float]


class GymReward(msgspec.Struct):
    """The body that was posted, with the reward. An answer that could not be judged gets 0 and a reason."""

    reward: float
    failure_reason: str | None = None


class Problem(msgspec.Struct, forbid_unknown_fields=True):
    """Why there are no verdicts."""

    error: str


class Late(msgspec.Struct, forbid_unknown_fields=True):
    """A batch that took too long, and what was verified of it."""

    error: str
    verdicts: Annotated[list[VerdictRow], msgspec.Meta(description="on the first rows; send the others again")]


class State(msgspec.Struct, forbid_unknown_fields=True):
    """Whether the service runs, or accepts requests."""

    status: str


ANSWERS = (Verdicts, VerdictRow, Scores, TestResults, GymReward)


def request_types(domains: Sequence[str], most_rows: int) -> tuple[type[msgspec.Struct], type[msgspec.Struct]]:
    """The types of a batch and of a single request, for the domains that are served."""
    domain = ("domain", Literal[tuple(domains)])
    number = Annotated[int, msgspec.Meta(ge=1, le=2**53, description="number of the first row, in reasons")]
    rows = Annotated[list[Row], msgspec.Meta(max_length=most_rows)]
    profile = Annotated[str, msgspec.Meta(description="a scoring profile of the domain; default: the service's")]
    policy = Annotated[dict[str, Any], msgspec.Meta(description="options of the domain's verifier, over the service's")]
    choices: tuple[Any, ...] = (("profile", profile, ""), ("policy", policy, msgspec.field(default_factory=dict)))
    batch = msgspec.defstruct(
        "Batch", [domain, ("rows", rows), ("first_row", number, 1), *choices], forbid_unknown_fields=True
    )
    single = msgspec.defstruct("Single", [domain, ("row", Row), *choices], forbid_unknown_fields=True)
    return batch, single


def parse_json(body: bytes) -> Any:
    """The value of a strict JSON text. Raises NotJsonError."""
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise NotJsonError(f"the body is not JSON: {error}"[:300]) from error
    if isinstance(value, dict) and isinstance(first := value.get("first_row"), float) and first.is_integer():
        value["first_row"] = int(first)  # JSON Schema calls 1.0 an integer
    return value


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} does not fit in a double")
    return number


def dump_body(value: Any) -> bytes:
    """Strict JSON in ASCII, which carries any text of a row; a NaN in a domain's evidence becomes null."""
    try:
        return json.dumps(value, allow_nan=False).encode()
    except ValueError:
        return json.dumps(_nan_to_null(value)).encode()


def _nan_to_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _nan_to_null(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_nan_to_null(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def openapi(version: str, requests: Mapping[str, type[msgspec.Struct]], limits: Limits) -> dict[str, Any]:
    """The document of a service that takes these bodies, by path, under these limits."""
    text = (files(__package__) / "openapi.yaml").read_text(encoding="utf-8")
    # safe_substitute leaves OpenAPI's own `$ref` as it is.
    times = {"read_s": f"{limits.read_s:g}", "timeout_s": f"{limits.timeout_s:g}"}
    filled = Template(text).safe_substitute(times, version=version, most_mb=limits.most_mb)
    document: dict[str, Any] = yaml.safe_load(filled)
    paths = document["paths"]
    document["paths"] = {
        path: paths[path] for path in paths if path in requests or "requestBody" not in paths[path].get("post", {})
    }
    shapes = (*dict.fromkeys(requests.values()), *ANSWERS, Problem, Late, State)
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
