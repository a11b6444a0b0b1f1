"""What a server's error says, whatever its shape: its sentence, its codes, and the parameters that it names.

    read_error(400, b'{"error": {"message": "...", "param": "top_p", "code": "unsupported_parameter"}}')
        ->  ServerError(status=400, message="...", codes={"unsupported_parameter"}, refused=("top_p",), ...)

Decisions rest on fields that are made for programs (status, `code`, `type`, `param`, `loc`, field violations); the words of
a message only say in which order things are tried.
"""

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from evoltune.teacher.bodies import json_of
from evoltune.teacher.rate_limit import MAX_ASKED_S
from evoltune.text.unicode import clean

MAX_MESSAGE = 300
REFUSES_A_PARAMETER = {
    "unsupported_parameter", "unsupported_value", "unknown_parameter", "unrecognized_parameter", "invalid_parameter_name",
    "parameter_not_supported", "extra_forbidden", "unexpected_keyword_argument", "additional_properties",
}  # fmt: skip
"""Codes that say that a parameter is not known, or not with this value; the error names it in a field."""
ACCOUNT = {
    "quota", "budget", "billing", "credit", "credits", "balance", "payment", "spend", "spending", "funds", "arrearage",
    "overdue", "suspended", "deactivated",
}  # fmt: skip
"""Words of codes that speak of the account: no other request will be served until a person acts."""
CONTENT = ("content_filter", "content_policy", "moderation", "safety", "responsible_ai", "inspection", "sensitive")
"""Parts of codes that speak of this prompt's content."""
THROTTLED = ("throttl", "rate_limit", "ratelimit", "too_many_requests")
"""Parts of codes that ask for a slower pace, also under a status that speaks of something else."""
PASSING = {"408", "502", "503", "504", "529"}
"""Statuses of the server behind a gateway that stand in the body as a code."""
TOO_LARGE = 413
"""With such a code, the request alone is larger than a minute's share: waiting does not help it."""
_NAMED_BY = ("param", "parameter", "field")
_PAGE = re.compile(r"\s*(?:<!doctype html|<html|<head|<body)", re.IGNORECASE)
_TAGS = re.compile(r"<(script|style)\b.*?(?:</\1>|\Z)|<!--.*?-->|<[^<>]*>", re.IGNORECASE | re.DOTALL)
_IN_WORDS = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*")
MAX_DEPTH = 8
ALIASES = {"stop_sequences": "stop", "candidate_count": "n"}
"""What other interfaces call a parameter of a request."""


@dataclass(frozen=True, kw_only=True)
class ServerError:
    """An error reply, as far as it can be read."""

    status: int
    message: str = ""
    """The server's sentence in one line, shortened; "" when it sent none."""
    codes: frozenset[str] = frozenset()
    """Every `code`, `type`, `__type`, `status` and `reason` in it, in lower case."""
    refused: tuple[str, ...] = ()
    """Parameters that it says, in fields made for that, not to take."""
    mentioned: tuple[str, ...] = ()
    """Words that could be names of parameters, those from fields first."""
    retry_after_s: float = 0.0
    """How long its body asks to wait."""

    @property
    def is_account(self) -> bool:
        """The account is empty, over its budget, or closed."""
        codes = [
            code for code in self.codes if not any(part in code for part in THROTTLED)
        ]  # not `Throttling.RateQuota`
        words = {word for code in codes for word in re.split(r"[^a-z0-9]+", code)}
        if self.status == 429 and len(codes) < len(self.codes):
            words.discard("quota")  # of requests a minute, as another code says
        return self.status == 402 or bool(words & ACCOUNT)

    @property
    def is_throttled(self) -> bool:
        """Requests come too fast: HTTP 429, or a code that says so (Google has sent 403, AWS 400)."""
        says_so = "429" in self.codes or any(part in code for code in self.codes for part in THROTTLED)
        return self.status == 429 or (says_so and self.status != TOO_LARGE)

    @property
    def is_overloaded(self) -> bool:
        """The server, or the one behind it, cannot serve now: by its code, also under a status that speaks of the request."""
        words = [set(re.split(r"[^a-z0-9]+", code)) for code in self.codes]
        is_busy = any(w & {"overloaded", "busy"} or ("unavailable" in w and "model" not in w) for w in words)
        return is_busy or bool(self.codes & PASSING)

    @property
    def is_content(self) -> bool:
        """The prompt was stopped for its content."""
        return any(part in code for code in self.codes for part in CONTENT)

    @property
    def is_too_long(self) -> bool:
        """The prompt does not fit into the model's context; some servers say it as an error of their own (HTTP 500)."""
        return any("context" in code and ("exceed" in code or "length" in code) for code in self.codes)

    def __str__(self) -> str:
        return f"HTTP {self.status} {self.message}".strip()


def read_error(status: int, body: bytes) -> ServerError:
    """The error in the body of a reply with this status."""
    try:
        raw = json_of(body)
    except ValueError:
        return ServerError(status=status, message=_one_line(_words_of(_text_of(body[:20_000]))))
    return error_of(status, raw)


def said_instead(body: bytes) -> str:
    """What the body of HTTP 200 says that is no completion: a page, a sentence, an object without choices. "" for a completion,
    and for one that is cut."""
    if body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[", b"data:")):
        try:
            raw = json_of(body)
        except ValueError:
            return ""
        return "" if isinstance(raw, dict) and raw.get("choices") else error_of(200, raw).message
    return read_error(200, body).message


def _text_of(body: bytes) -> str:
    """The body as text; what cannot be read as such is not shown."""
    text = body.decode(errors="replace")
    return f"({len(body)} bytes that are no text)" if 10 * text.count("\ufffd") > len(text) else text


def _words_of(text: str) -> str:
    """The words of a web page, as a proxy or a wrong address sends it; any other text as it is."""
    if not _PAGE.match(text):
        return text
    return f"(a web page) {html.unescape(_TAGS.sub(' ', text))}"


def error_of(status: int, raw: object) -> ServerError:
    """The same of a body that is parsed already, as a line of a batch file holds it."""
    found = [*_objects(raw, MAX_DEPTH)]
    codes = {
        _snake(str(o[k])) for o in found for k in ("code", "type", "__type", "status", "reason") if _is_word(o.get(k))
    }
    named = [name for o in found for name in _names_in(o)]
    message = _message(raw)
    refused: tuple[str, ...] = ()
    if codes & REFUSES_A_PARAMETER:
        refused = tuple(dict.fromkeys(named))
    words = (_parameter(word) for word in _IN_WORDS.findall(message))
    violations = (_parameter(w) for o in found if "description" in o for w in _IN_WORDS.findall(str(o["description"])))
    return ServerError(
        status=status, message=message, codes=frozenset(codes), refused=refused,
        mentioned=tuple(dict.fromkeys([*named, *words, *violations])), retry_after_s=_retry_delay_s(found),
    )  # fmt: skip


def error_in_reply(body: Mapping[str, Any]) -> ServerError | None:
    """The error that a reply with HTTP 200 holds: in place of its choices, or inside a choice that failed."""
    raw, choices = body.get("error"), body.get("choices")
    if raw and not _says_something(choices):
        return error_of(_status_in(raw), {"error": raw})
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and choice.get("error"):
            return error_of(_status_in(choice["error"]), choice["error"])
    if body.get("object") == "error" or body.get("type") == "error":
        return error_of(_status_in(body), body)
    return None


def _says_something(choices: object) -> bool:
    """Whether a choice has a text; some gateways put an empty one beside their error."""
    if not isinstance(choices, list):
        return False
    messages = [choice.get("message") or choice for choice in choices if isinstance(choice, dict)]
    return any(isinstance(m, dict) and (m.get("content") or m.get("text")) for m in messages)


def _status_in(raw: object) -> int:
    """The HTTP status that an error object names; 500 where it names none, so that it is tried again."""
    if isinstance(raw, dict):
        for key in ("code", "status", "status_code", "http_status"):
            if 400 <= (status := status_of(raw.get(key))) < 600:
                return status
    return 500


def status_of(value: object) -> int:
    """A number of three digits at most, also where it stands in a text; 0 for anything else."""
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"[0-9]{1,3}", value) else 0
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1000 else 0


def _objects(value: object, depth: int) -> Iterator[dict[str, Any]]:
    """Every object in it, outer ones first; gateways put the JSON of the provider behind them into strings."""
    if depth == 0:
        return
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _objects(inner, depth - 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner, depth - 1)
    elif isinstance(value, str) and (at := value.find("{")) >= 0 and value.rstrip().endswith("}"):
        try:
            yield from _objects(orjson.loads(value[at:].strip()), depth - 1)
        except orjson.JSONDecodeError:
            return


def _names_in(found: Mapping[str, Any]) -> Iterator[str]:
    """The parameters that an error object names: `param: top_p`, `loc: [body, seed]`, `messages[0].role`."""
    for key in _NAMED_BY:
        if isinstance(found.get(key), str) and found[key]:
            yield from _path_names(found[key])
    location = found.get("loc")
    if isinstance(location, list) and location:
        yield from _path_names(".".join(str(part) for part in location if part != "body"))


def _path_names(path: str) -> Iterator[str]:
    if re.match(r"messages\W", path) and path.endswith("role"):
        yield "system"
    parts = [part for part in re.split(r"[.\[\]/]", path.removeprefix("body.")) if part and not part.isdigit()]
    inner = parts[1:][-1:] if parts[:1] != ["messages"] else []  # `generation_config.top_p` names the second
    yield from (_parameter(part) for part in parts[:1] + inner)


def _message(raw: object) -> str:
    """The server's sentence: the deepest `message`, `detail`, `msg` or `error` that is a text."""
    texts = []
    for found in _objects(raw, MAX_DEPTH):
        for key in (
            "message",
            "detail",
            "msg",
            "error",
            "error_description",
            "error_msg",
            "status_msg",
            "title",
            "raw",
        ):
            value = found.get(key)
            if isinstance(value, str) and value.strip():
                texts.append(value)
    if not texts:
        return _one_line(raw if isinstance(raw, str) else _as_json(raw)) if raw else ""
    plain = [text for text in texts if not text.lstrip().startswith(("{", "["))] or texts
    return _one_line("; ".join(dict.fromkeys(plain[:3])))


def _as_json(raw: object) -> str:
    try:
        return orjson.dumps(raw).decode()
    except TypeError:  # nested to exhaust the stack, or numbers of more than 64 bits
        return ""


def _retry_delay_s(found: list[dict[str, Any]]) -> float:
    """Google's RetryInfo: `retryDelay: 31s`."""
    delays = (re.fullmatch(r"(\d+(?:\.\d+)?)s", str(o.get("retryDelay", ""))) for o in found)
    return max((min(float(d[1]), MAX_ASKED_S) for d in delays if d), default=0.0)


def _one_line(text: str) -> str:
    line = " ".join(clean(text).split())
    return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 1] + "…"


def _is_word(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and 0 < len(str(value)) <= 80


def _parameter(name: str) -> str:
    """The name that a request has for it."""
    snake = _snake(name)
    return ALIASES.get(snake, snake)


def _snake(name: str) -> str:
    """`presencePenalty` as `presence_penalty`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
