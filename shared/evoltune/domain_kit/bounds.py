"""How large a function's result may be, and what a package may keep of the answers that it has judged.

out_of_bounds(Verdict(status="fail", reason="x" * 10**9), ("task", "answer"))     # "1000000000 characters ..."
"""

import os
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import _lru_cache_wrapper
from pathlib import Path
from typing import Any

MOST = 1 << 18
"""Characters of a result, besides eight times those of the arguments."""
_CONTAINERS = (dict, list, set, deque, bytearray)


def out_of_bounds(found: Any, given: Any) -> str:
    """What is wrong with a result's size or texts, in words; "" where nothing is."""
    size, invalid, key = 0, "", ""
    for text, is_key in texts_in(found):
        size += len(text)
        key = key or (f"{text!r}" if is_key == "other" else "")
        invalid = invalid or ("" if _is_unicode(text) else text)
    if invalid and all(_is_unicode(text) for text, _ in texts_in(given)):
        return f"{invalid[:60]!a}, which is no valid Unicode text"
    if key:
        return f"evidence with the key {key[:60]}, which is no string"
    most = MOST + 8 * sum(len(text) for text, _ in texts_in(given))
    return f"{size} characters for one answer (at most {most} here): cut what it keeps" if size > most else ""


def texts_in(value: Any) -> Iterator[tuple[str, str]]:
    """All texts in a value, with "other" for the text of a key that is no string; numbers count with their digits."""
    if isinstance(value, str):
        yield value, ""
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key), "" if isinstance(key, str) else "other"
            yield from texts_in(item)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from texts_in(getattr(value, field.name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_in(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield "0" * (8 if isinstance(value, float) else value.bit_length() // 3), ""


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def held_by(roots: tuple[str, ...]) -> tuple[int, int]:
    """(items in the containers and unbounded caches of the modules below `roots`, bytes of memory of the process)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if Path("/proc/self/statm").exists() else 0
    seen: set[int] = set()
    items = 0
    for module in list(sys.modules.values()):
        if str(getattr(module, "__file__", None) or "").startswith(roots):
            for value in list(vars(module).values()):
                items += _items(value, roots, seen)
    return items, pages * os.sysconf("SC_PAGE_SIZE")


def _items(value: Any, roots: tuple[str, ...], seen: set[int], depth: int = 0) -> int:
    """The number of items that a global value keeps: its own, those of its attributes, defaults and closures."""
    if id(value) in seen or depth > 3:
        return 0
    seen.add(id(value))
    if isinstance(value, _CONTAINERS):
        inner = dict.values(value) if isinstance(value, dict) else value
        return len(value) + sum(
            _items(v, roots, seen, depth + 1) for v in [*inner][:1000] if isinstance(v, _CONTAINERS)
        )
    if isinstance(value, _lru_cache_wrapper):
        info = value.cache_info()
        return info.currsize if info.maxsize is None else 0
    parts: list[Any] = []
    if code := getattr(value, "__code__", None):
        if not code.co_filename.startswith(roots):
            return 0
        parts = [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
        for cell in value.__closure__ or ():
            try:
                parts.append(cell.cell_contents)
            except ValueError:  # not filled yet
                continue
    module = sys.modules.get(value.__module__ if isinstance(value, type) else type(value).__module__)
    if code or str(getattr(module, "__file__", None) or "").startswith(roots):
        attributes = getattr(value, "__dict__", None)
        parts += [*attributes.values()] if isinstance(attributes, Mapping) else []
    return sum(_items(part, roots, seen, depth + 1) for part in parts)
