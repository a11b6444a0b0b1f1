"""The body of a reply as JSON, in the forms in which servers and what stands before them send it.

    json_of(b'\\xef\\xbb\\xbf{"choices": []}')                       ->  {"choices": []}
    json_of(b'data: {"choices": [{"delta": {"content": "It "}}]}\\n\\ndata: ...\\n\\ndata: [DONE]')
        ->  {"choices": [{"index": 0, "message": {"content": "It rises."}, "finish_reason": "stop"}]}

    json_of(b': PROCESSING\\n\\n{"choices": []}')                      ->  the same as without the comment

Raises ValueError for anything else. Invariant: an event stream without its end is no reply, because its text is cut.
"""

import json
import re
import zlib
from typing import Any

import orjson

_EVENTS = re.compile(r"(?::|data:|event:|id:|retry:)")
_COMMENTS = re.compile(r"(?::[^\n]*(?:\n\s*|\Z))+")
"""With which a gateway keeps a connection alive, also before a body that is no stream."""
GZIP = b"\x1f\x8b\x08"
_DATA = re.compile(r"^data:[ ]?(.*)$", re.MULTILINE)


def unpacked(body: bytes, limit: int) -> bytes:
    """The body, unpacked up to `limit` bytes where gzip packed it and no header said so; as it is where that fails."""
    if not body.startswith(GZIP):
        return body
    try:
        return zlib.decompressobj(wbits=31).decompress(body, limit)
    except zlib.error:
        return body


def json_of(body: bytes) -> object:
    """Also with a byte order mark, NULs or white space round it, UTF-16, bytes that are neither, halves of surrogate pairs; a stream of
    events, which some gateways send unasked, is joined."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        text = body.decode(json.detect_encoding(body), "replace").strip("\ufeff\0 \t\r\n")
    else:
        is_wrapped = isinstance(value, str) and value.lstrip().startswith(
            "{"
        )  # some gateways encode what is encoded already
        return json_of(value.encode()) if is_wrapped else value
    if comments := _COMMENTS.match(text):
        text = text[comments.end() :]
    if _EVENTS.match(text):
        return _joined(_DATA.findall(text))
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        raise ValueError("the reply is not JSON (malformed or truncated)") from None
    behind = text[end:].lstrip()
    if behind.startswith(("{", "[")):
        raise ValueError("the reply is a stream of JSON values, not one completion: is it an OpenAI-compatible server?")
    if behind and not isinstance(value, dict):  # behind an object, proxies put remarks
        raise ValueError("the reply is not JSON (malformed or truncated)")
    return value


def _joined(events: list[str]) -> object:
    """The completion that a stream makes; an event with an error, or with a whole completion, stands for itself."""
    is_done = "[DONE]" in (event.strip() for event in events)
    choices: dict[int, dict[str, Any]] = {}
    rest: dict[str, Any] = {}
    beside: list[object] = []
    """Events without choices; where no other came, the first one says what happened."""
    for event in events:
        if event.strip() in ("", "[DONE]"):
            continue
        try:
            chunk = json.loads(event)
        except ValueError:
            raise ValueError("the reply is a stream with an event that is not JSON") from None
        found = chunk.get("choices") if isinstance(chunk, dict) else None
        if found is None and not _is_error(chunk):  # a ping, or the usage alone
            beside.append(chunk)
            rest |= {"usage": chunk["usage"]} if isinstance(chunk, dict) and chunk.get("usage") else {}
            continue
        if not isinstance(found, list) or any(isinstance(c, dict) and "message" in c for c in found):
            return chunk
        rest |= {key: value for key, value in chunk.items() if key not in ("choices", "object") and value is not None}
        for part in found:
            if isinstance(part, dict):
                index = part.get("index")
                _add(choices.setdefault(index if isinstance(index, int) else 0, {"message": {}}), part)
    if not choices and beside:
        return beside[0]
    ends = [choice.get("finish_reason") for choice in choices.values()]
    if not choices or not (is_done or all(ends)):
        raise ValueError("the reply is a stream that ends early")
    return {**rest, "choices": [{"index": i, **choice} for i, choice in sorted(choices.items())]}


def _is_error(chunk: object) -> bool:
    """Whether an event ends its stream with an error."""
    return isinstance(chunk, dict) and (bool(chunk.get("error")) or "error" in (chunk.get("type"), chunk.get("object")))


def _add(choice: dict[str, Any], part: dict[str, Any]) -> None:
    """Adds one event's part to a choice: texts and lists of parts grow, of everything else the last counts."""
    delta = part.get("delta")
    for key, value in (delta if isinstance(delta, dict) else {}).items():
        known = choice["message"].get(key)
        goes_on = any(isinstance(value, kind) and isinstance(known, kind) for kind in (str, list)) and key != "role"
        if value is not None:
            choice["message"][key] = known + value if goes_on else value
    choice |= {key: value for key, value in part.items() if key not in ("delta", "index") and value is not None}
