"""OpenAI's batch format: a file of requests, and a file of results in any order.

    {"custom_id": KEY, "method": "POST", "url": "/v1/chat/completions", "body": {...}}
    {"custom_id": KEY, "response": {"status_code": 200, "body": {"choices": [...]}}, "error": null}

Invariant: a `custom_id` is the request's journal key, so results may come in parts, or twice.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from evoltune.errors import DataError
from evoltune.rows.files import jsonl_writer
from evoltune.rows.readers import read_json_lines
from evoltune.teacher.dialects import parse_error, reply_of, request_body
from evoltune.teacher.protocol import Reply, Request, request_key


def write_requests(requests: Iterable[Request], path: Path) -> int:
    """Writes one line per request. Returns how many."""
    count = 0
    with jsonl_writer(path) as write:
        for request in requests:
            call = {"method": "POST", "url": "/v1/chat/completions", "body": request_body(request)}
            write({"custom_id": request_key(request), **call})
            count += 1
    return count


def read_lines(path: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(file:line, custom_id, line) of a file of requests or results. Raises DataError with file and line."""
    for where, line in read_json_lines(path):
        if not isinstance(line.get("custom_id"), str):
            raise DataError(f"{where}: not a line of a batch file: it has no custom_id")
        yield where, line["custom_id"], line


def read_requests(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(custom_id, body) of each request. Raises DataError with file and line."""
    for where, key, line in read_lines(path):
        body = line.get("body")
        if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
            raise DataError(f"{where}: not a batch request: body.messages must be a list")
        yield key, body


def read_results(path: Path) -> Iterator[tuple[str, Reply | str]]:
    """(custom_id, the reply or why there is none) of each result. Raises DataError with file and line."""
    for _, key, line in read_lines(path):
        yield key, _result(line)


def _result(line: Mapping[str, Any]) -> Reply | str:
    response = line.get("response")
    if not isinstance(response, dict) or line.get("error"):
        return parse_error(orjson.dumps(line.get("error") or {}))[0] or "no response"
    body, status = response.get("body"), response.get("status_code")
    if status != 200:
        return f"HTTP {status} {parse_error(orjson.dumps(body))[0]}"
    try:
        return reply_of(body)
    except ValueError as error:
        return str(error)


def result_line(key: str, reply: Reply) -> dict[str, Any]:
    """The line of a results file that holds a reply."""
    ends = ["length" if i in reply.truncated else "stop" for i in range(len(reply.texts))]
    choices = [
        {"index": i, "message": {"role": "assistant", "content": text}, "finish_reason": end}
        for i, (text, end) in enumerate(zip(reply.texts, ends, strict=True))
    ]
    usage = {"prompt_tokens": reply.usage.prompt_tokens, "completion_tokens": reply.usage.completion_tokens}
    response = {"status_code": 200, "body": {"choices": choices, "usage": usage}}
    return {"custom_id": key, "response": response, "error": None}
