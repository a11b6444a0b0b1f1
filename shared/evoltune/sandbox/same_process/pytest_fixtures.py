"""pytest's own fixtures: `capsys`, `monkeypatch`, `tmp_path`."""

import io
import os
import pkgutil
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple


class _Patch:
    def __init__(self) -> None:
        self.undo_list: list[Callable[[], Any]] = []

    def setattr(self, target: Any, name: Any, value: Any = ..., raising: bool = True) -> None:
        if isinstance(target, str):
            path, _, attribute = target.rpartition(".")
            target, name, value = pkgutil.resolve_name(path), attribute, name
        old = getattr(target, name, ...)
        setattr(target, name, value)
        self.undo_list.append(lambda: delattr(target, name) if old is ... else setattr(target, name, old))

    def delattr(self, target: Any, name: str, raising: bool = True) -> None:
        old = getattr(target, name)
        delattr(target, name)
        self.undo_list.append(lambda: setattr(target, name, old))

    def setitem(self, mapping: Any, key: Any, value: Any) -> None:
        old = mapping.get(key, ...)
        mapping[key] = value
        self.undo_list.append(lambda: mapping.pop(key, None) if old is ... else mapping.__setitem__(key, old))

    def delitem(self, mapping: Any, key: Any, raising: bool = True) -> None:
        if key in mapping:
            old = mapping.pop(key)
            self.undo_list.append(lambda: mapping.__setitem__(key, old))

    def setenv(self, name: str, value: Any, prepend: Any = None) -> None:
        self.setitem(os.environ, name, str(value))

    def delenv(self, name: str, raising: bool = True) -> None:
        self.delitem(os.environ, name)

    def chdir(self, path: Any) -> None:
        old = os.getcwd()
        os.chdir(path)
        self.undo_list.append(lambda: os.chdir(old))

    def undo(self) -> None:
        while self.undo_list:
            self.undo_list.pop()()


class _CaptureResult(NamedTuple):
    out: str
    err: str


class _Captured:
    def __init__(self) -> None:
        self.streams = io.StringIO(), io.StringIO()

    def readouterr(self) -> Any:
        texts = [s.getvalue() for s in self.streams]
        for stream in self.streams:
            stream.seek(0)
            stream.truncate()
        return _CaptureResult(*texts)


def _capsys() -> Iterator[Any]:
    captured, old = _Captured(), (sys.stdout, sys.stderr)
    sys.stdout, sys.stderr = captured.streams
    try:
        yield captured
    finally:
        sys.stdout, sys.stderr = old


def _monkeypatch() -> Iterator[Any]:
    patch = _Patch()
    try:
        yield patch
    finally:
        patch.undo()


def _tmp_path() -> Any:
    import pathlib
    import tempfile

    return pathlib.Path(tempfile.mkdtemp())


BUILT_IN: dict[str, Callable[[], Any]] = {
    "capsys": _capsys, "capfd": _capsys, "monkeypatch": _monkeypatch, "tmp_path": _tmp_path, "tmpdir": _tmp_path,
}  # fmt: skip
