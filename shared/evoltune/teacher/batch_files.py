"""Batch files: requests for a provider, and its results in any order.

    write_requests(requests, Path("requests.jsonl"), form="anthropic")
    for custom_id, outcome in read_results(Path("results.jsonl")): ...

The formats are in `batch_forms`. Invariant: a `custom_id` is the request's journal key (with the number of the sample behind
it where each sample is a line), so results may come in parts, or twice.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from evoltune.errors import DataError
from evoltune.rows.files import jsonl_writer
from evoltune.rows.readers import BadRow, found_json_lines, read_json_lines
from evoltune.teacher.batch_forms import FORMS, Outcome, outcome_of, request_lines, result_id
from evoltune.teacher.dialects import Dialect
from evoltune.teacher.protocol import Reply, Request, request_key
from evoltune.text.credentials import masked

_REQUEST, _RESULT = frozenset(("body", "params", "request")), frozenset(("response", "result", "error", "status"))
"""What only a request, or only its result, has."""


def write_requests(
    requests: Iterable[Request], path: Path, form: str = "openai", dialect: Dialect | None = None,
    done: Mapping[str, frozenset[int]] | None = None,
) -> int:  # fmt: skip
    """Writes the requests in a provider's form, options with secrets left out. `done`: samples by key that are there already. Returns how many requests."""
    count = 0
    with jsonl_writer(path) as write:
        for request in requests:
            if masked(request.extra_body) != request.extra_body:
                request = replace(request, extra_body=_without_secrets(request.extra_body))
            known = (done or {}).get(request_key(request), frozenset())
            for line in request_lines(request, FORMS[form], dialect or Dialect(), known):
                write(line)
            count += 1
    return count


def _without_secrets(extra_body: Mapping[str, Any]) -> dict[str, Any]:
    """What a file may hold of them: whoever sends it has a key."""
    return {key: value for key, value in extra_body.items() if masked({key: value}) == {key: value}}


def read_lines(path: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(file:line, custom_id, line) of a file of requests or results. Raises DataError with file and line."""
    for where, line in read_json_lines(path):
        if (custom_id := result_id(line)) is None:
            raise DataError(f"{where}: not a line of a batch file: it has no custom_id")
        yield where, custom_id, line


def read_requests(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(custom_id, body) of each request in OpenAI's form. Raises DataError with file and line."""
    for where, key, line in read_lines(path):
        body = line.get("body")
        if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
            raise DataError(f"{where}: not a batch request: body.messages must be a list")
        yield key, body


def cut_short(path: Path) -> str:
    """`file:line` of a last line that a download left incomplete; "" for a whole file. Raises DataError for any other line
    that is no result: then nothing of the file should be used."""
    bad: BadRow | None = None
    for where, line in found_json_lines(path):
        if bad is not None:
            raise DataError(f"{bad.where}: {bad.reason}: fix or delete this line")
        if isinstance(line, BadRow):
            bad = line
        elif result_id(line) is None:
            raise DataError(f"{where}: not a line of a batch file: it has no custom_id")
        elif not _RESULT.intersection(line) and _REQUEST.intersection(line):
            raise DataError(
                f"{where}: this line is a request, not a result: give the file that the provider made of it"
            )
    return bad.where if bad else ""


def read_results(path: Path) -> Iterator[tuple[str, Outcome]]:
    """(custom_id, its reply or why there is none) of each whole line of a results file, in any form."""
    for _, line in found_json_lines(path):
        if not isinstance(line, BadRow) and (custom_id := result_id(line)) is not None:
            yield custom_id, outcome_of(line)


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
