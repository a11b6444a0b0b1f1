"""The batch formats of providers, as one table: how a request is written, how its result is read.

    openai     {"custom_id": KEY, "method": "POST", "url": "/v1/chat/completions", "body": {...}}
               {"custom_id": KEY, "response": {"status_code": 200, "body": {"choices": [...]}}, "error": null}
    anthropic  {"custom_id": KEY, "params": {"model": ..., "messages": [...], "max_tokens": ...}}
               {"custom_id": KEY, "result": {"type": "succeeded", "message": {"content": [...], "stop_reason": ...}}}
    gemini     {"key": KEY, "request": {"contents": [...], "generationConfig": {...}}}
               {"key": KEY, "response": {"candidates": [...], "usageMetadata": {...}}}

Where a format has no `n`, each sample is a line of its own, KEY-0, KEY-1, ... A result is read as a chat completion, so that
answers, reasoning and ways to end are told apart in one place (`replies`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from evoltune.teacher.dialects import SYSTEM, Dialect, without_system
from evoltune.teacher.protocol import GivenUpError, Reply, Request, request_key
from evoltune.teacher.refusals import ServerError, error_of, status_of
from evoltune.teacher.replies import FailedReply, count_of, reply_of

Line = dict[str, Any]
STATUS_OF = {
    "invalid_request_error": 400, "authentication_error": 401, "billing_error": 402, "permission_error": 403,
    "not_found_error": 404, "request_too_large": 413, "rate_limit_error": 429, "api_error": 500, "overloaded_error": 529,
}  # fmt: skip
"""HTTP statuses of Anthropic's error types; a batch result names the type alone."""


@dataclass(frozen=True, kw_only=True)
class Unanswered:
    """A result without a reply."""

    reason: str
    error: ServerError | None = None
    """What the provider said, where it said something that can be read."""
    is_final: bool = False
    """No other attempt would end otherwise: a filter, a refusal, a tool call."""


Outcome = Reply | Unanswered


@dataclass(frozen=True, kw_only=True)
class Form:
    """One provider's format."""

    id_field: str
    write: Callable[[str, Request, Dialect], Line]
    has_n: bool


def request_lines(request: Request, form: Form, dialect: Dialect, done: frozenset[int] = frozenset()) -> Iterator[Line]:
    """The lines of a request; `done`: samples that need not be asked."""
    key = request_key(request)
    if request.n == 1 or (form.has_n and "n" not in dialect.left_out):
        yield form.write(key, request, dialect)
        return
    for i in range(request.n):
        if i not in done:
            sample = replace(request, n=1, seed=(request.seed + i) % 2**31)
            yield form.write(f"{key}-{i}", sample, dialect)


def _openai(custom_id: str, request: Request, dialect: Dialect) -> Line:
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": dialect.body(request)}


def _anthropic(custom_id: str, request: Request, dialect: Dialect) -> Line:
    sent = dialect.body(request)
    params: Line = {"model": request.model, "max_tokens": request.max_tokens or 4096}
    params["messages"] = [{"role": role, "content": text} for role, text in request.messages if role != SYSTEM]
    if system := "\n\n".join(text for role, text in request.messages if role == SYSTEM):
        params["system"] = system
    if "temperature" in sent:
        params["temperature"] = min(1.0, sent["temperature"])  # its range ends at 1
    elif "top_p" in sent:
        params["top_p"] = sent["top_p"]  # newer models take one of the two
    if request.stop:
        params["stop_sequences"] = list(request.stop)
    return {"custom_id": custom_id, "params": {**params, **request.extra_body}}


def _gemini(key: str, request: Request, dialect: Dialect) -> Line:
    sent = dialect.body(request)
    names = {
        "temperature": "temperature", "top_p": "topP", "frequency_penalty": "frequencyPenalty", "seed": "seed",
        "max_tokens": "maxOutputTokens", "max_completion_tokens": "maxOutputTokens", "stop": "stopSequences",
    }  # fmt: skip
    config = {names[name]: value for name, value in sent.items() if name in names}
    roles = {"user": "user", "assistant": "model"}
    messages = without_system(request.messages)
    contents = [{"role": roles.get(role, "user"), "parts": [{"text": text}]} for role, text in messages]
    return {"key": key, "request": {"contents": contents, "generationConfig": {**config, **request.extra_body}}}


FORMS: Mapping[str, Form] = {
    "openai": Form(id_field="custom_id", write=_openai, has_n=True),
    "anthropic": Form(id_field="custom_id", write=_anthropic, has_n=False),
    "gemini": Form(id_field="key", write=_gemini, has_n=False),
}


# ---- results


def result_id(line: Mapping[str, Any]) -> str | None:
    """The id of a line of any form; None where it has none."""
    found = next((line[form.id_field] for form in FORMS.values() if form.id_field in line), None)
    return found if isinstance(found, str) else None


def outcome_of(line: Mapping[str, Any]) -> Outcome:
    """What a result line of any form says."""
    if isinstance(line.get("result"), dict):
        return _from_anthropic(line["result"])
    response = line.get("response")
    if isinstance(response, dict) and ("candidates" in response or "promptFeedback" in response):
        return _from_gemini(response)
    if isinstance(response, dict) and not _says_something(line.get("error")):
        if "choices" in response:  # without the status of a call over HTTP
            return _completion(response)
        if "status_code" in response:
            body, status = response.get("body"), status_of(response["status_code"])
            return _completion(body) if 200 <= status < 300 else _failed(error_of(_as_status(status), body))
    for raw in (line.get("error"), line.get("status")):
        if isinstance(raw, dict) and _says_something(raw):
            return _failed(error_of(_as_status(raw.get("code")), raw))
        if isinstance(raw, str) and raw:
            return Unanswered(reason=raw)
    return Unanswered(reason="no response")


def _says_something(error: object) -> bool:
    """Whether an error says anything; some providers send one whose fields are all null beside a reply."""
    return any(error.values()) if isinstance(error, dict) else bool(error)


def _as_status(code: object) -> int:
    """An HTTP status; gRPC's INVALID_ARGUMENT (3) is 400, everything else that is none is worth another try."""
    number = status_of(code)
    return 400 if number == 3 else number if 400 <= number < 600 else 500


def _failed(error: ServerError) -> Unanswered:
    named = error.status != 500 or not error.codes or not error.message
    return Unanswered(reason=str(error) if named else error.message, error=error)


def _completion(body: object) -> Outcome:
    try:
        return reply_of(body)
    except FailedReply as failed:
        return _failed(failed.error)
    except GivenUpError as error:
        return Unanswered(reason=error.reason, is_final=True)
    except ValueError as error:
        return Unanswered(reason=str(error))


def _from_anthropic(result: Mapping[str, Any]) -> Outcome:
    if result.get("type") != "succeeded" or not isinstance(result.get("message"), dict):
        error = result.get("error")
        if not isinstance(error, dict):
            return Unanswered(reason=str(result.get("type") or "no message"))
        nested = error.get("error")
        inner = nested if isinstance(nested, dict) else error
        return _failed(error_of(STATUS_OF.get(str(inner.get("type")), 500), error))
    message = result["message"]
    usage = _object(message.get("usage"))
    read = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    usage = {**usage, "input_tokens": _sum(usage, *read)}
    choice = {"message": {"content": message.get("content")}, "finish_reason": message.get("stop_reason")}
    return _completion({"choices": [choice], "usage": usage})


def _from_gemini(response: Mapping[str, Any]) -> Outcome:
    candidates = response.get("candidates")
    if not candidates and _object(response.get("promptFeedback")).get("blockReason"):
        return Unanswered(reason="content filter", is_final=True)
    choices = []
    for candidate in map(_object, candidates if isinstance(candidates, list) else ()):
        parts = _object(candidate.get("content")).get("parts")
        choices.append({"message": {"content": parts}, "finish_reason": candidate.get("finishReason")})
    raw = _object(response.get("usageMetadata"))
    usage = {"prompt_tokens": raw.get("promptTokenCount"), "total_tokens": raw.get("totalTokenCount")}
    usage["completion_tokens"] = _sum(raw, "candidatesTokenCount", "thoughtsTokenCount")
    return _completion({"choices": choices, "usage": usage})


def _object(value: object) -> Mapping[str, Any]:
    """The value, or an empty object where a provider sends something else."""
    return value if isinstance(value, dict) else {}


def _sum(counts: Mapping[str, Any], *names: str) -> int:
    """The sum of these numbers of tokens, as far as they are numbers."""
    return sum(count_of(counts.get(name)) or 0 for name in names)
