"""Texts and JSON values in the form in which the store holds them.

    stored_json({"a": "\\ud800"})  ->  a text with the escape, not with half of a surrogate pair

Invariant: what comes out can be written to SQLite and to a file.
"""

import json
from typing import Any

import orjson

_encode = json.JSONEncoder(ensure_ascii=False).encode


def stored_text(text: str) -> str:
    """The text without lone surrogates, which neither SQLite nor a file can hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def stored_json(value: Any) -> str:
    """A value as JSON; lone surrogates are escaped, so that it comes back as it was."""
    text = _encode(value)
    return text if stored_text(text) == text else json.dumps(value)


def call_json(value: Any) -> str:
    """The same for parts of a call, which are strings and finite numbers: a fifth of the time."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # lone surrogates, integers of more than 64 bits
        return stored_json(value)
