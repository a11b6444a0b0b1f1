"""pytest's own fixtures: `capsys`, `caplog`, `monkeypatch`, `recwarn`, `tmp_path` and the like."""

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple


def _named(path: str) -> Any:
    """What a dotted path leads to."""
    import pkgutil  # late: few tests patch by a path

    return pkgutil.resolve_name(path)


class _Patch:
    def __init__(self) -> None:
        self.undo_list: list[Callable[[], Any]] = []

    def setattr(self, target: Any, name: Any, value: Any = ..., raising: bool = True) -> None:
        if isinstance(target, str):
            path, _, attribute = target.rpartition(".")
            target, name, value = _named(path), attribute, name
        if getattr(target, name, ...) is ... and raising:
            raise AttributeError(f"{target!r} has no attribute {name!r}")
        old = _own(target, name)
        setattr(target, name, value)
        self.undo_list.append(lambda: delattr(target, name) if old is ... else setattr(target, name, old))

    def delattr(self, target: Any, name: Any = ..., raising: bool = True) -> None:
        if isinstance(target, str) and name is ...:
            path, _, name = target.rpartition(".")
            target = _named(path)
        if getattr(target, name, ...) is ... and not raising:
            return
        old = _own(target, name)
        delattr(target, name)
        self.undo_list.append(lambda: setattr(target, name, old))

    def setitem(self, mapping: Any, key: Any, value: Any) -> None:
        old = mapping.get(key, ...)
        mapping[key] = value
        self.undo_list.append(lambda: mapping.pop(key, None) if old is ... else mapping.__setitem__(key, old))

    def delitem(self, mapping: Any, key: Any, raising: bool = True) -> None:
        if key in mapping or raising:
            old = mapping.pop(key)
            self.undo_list.append(lambda: mapping.__setitem__(key, old))

    def setenv(self, name: str, value: Any, prepend: Any = None) -> None:
        before = [os.environ[name]] if prepend and name in os.environ else []
        self.setitem(os.environ, name, (prepend or "").join([str(value), *before]))

    def delenv(self, name: str, raising: bool = True) -> None:
        self.delitem(os.environ, name, raising)

    def chdir(self, path: Any) -> None:
        old = os.getcwd()
        os.chdir(path)
        self.undo_list.append(lambda: os.chdir(old))

    def syspath_prepend(self, path: Any) -> None:
        before = [*sys.path]
        sys.path.insert(0, str(path))
        self.undo_list.append(lambda: sys.path.__setitem__(slice(None), before))

    @contextlib.contextmanager
    def context(self) -> Iterator[Any]:
        patch = _Patch()
        try:
            yield patch
        finally:
            patch.undo()

    def undo(self) -> None:
        while self.undo_list:
            self.undo_list.pop()()


def _own(target: Any, name: str) -> Any:
    """An attribute as it is kept: of a class, the static or class method itself. `...`: a class has it from another one."""
    return target.__dict__.get(name, ...) if isinstance(target, type) else getattr(target, name, ...)


class _CaptureResult(NamedTuple):
    out: Any
    err: Any


class _Captured:
    """What is printed, in turn to texts (or, for the fixtures of bytes, to bytes) and to where it went before."""

    def __init__(self, binary: bool = False) -> None:
        self.raw = io.BytesIO(), io.BytesIO()
        self.streams = tuple(io.TextIOWrapper(r, encoding="utf-8", newline="", write_through=True) for r in self.raw)
        self.before, self.binary = (sys.stdout, sys.stderr), binary

    def result(self, found: list[bytes]) -> Any:
        return _CaptureResult(*(f if self.binary else f.decode("utf-8", "replace") for f in found))

    def start(self) -> None:
        sys.stdout, sys.stderr = self.streams

    def stop(self) -> None:
        sys.stdout, sys.stderr = self.before

    def readouterr(self) -> Any:
        found = [raw.getvalue() for raw in self.raw]
        for raw in self.raw:
            raw.seek(0)
            raw.truncate()
        return self.result(found)

    @contextlib.contextmanager
    def disabled(self) -> Iterator[None]:
        self.stop()
        try:
            yield
        finally:
            self.start()


class _CapturedDescriptors(_Captured):
    """Also what child processes print."""

    def __init__(self, binary: bool = False) -> None:
        super().__init__(binary)
        self.files = _nameless_file(), _nameless_file()
        self.saved = [os.dup(number) for number in (1, 2)]

    def start(self) -> None:
        for number, file in zip((1, 2), self.files, strict=True):
            os.dup2(file.fileno(), number)

    def stop(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for number, saved in zip((1, 2), self.saved, strict=True):
            os.dup2(saved, number)

    def readouterr(self) -> Any:
        found = []
        for stream, file in zip((sys.stdout, sys.stderr), self.files, strict=True):
            stream.flush()
            file.seek(0)
            found.append(file.read())
            file.seek(0)
            file.truncate()
        return self.result(found)


def _capturing(captured: _Captured) -> Iterator[Any]:
    captured.start()
    try:
        yield captured
    finally:
        captured.stop()


class _Subtests:
    """What `subtests` gives: the first part that fails ends the test, which would fail anyway."""

    @contextlib.contextmanager
    def test(self, msg: Any = None, **_: Any) -> Iterator[None]:
        yield


class _LogCapture:
    """Records of logging, kept by a handler of the root logger."""

    def __init__(self) -> None:
        import logging

        self._logging, self.handler = logging, logging.StreamHandler(io.StringIO())
        self.records: list[Any] = []
        self.handler.emit = self.records.append  # type: ignore[method-assign,assignment]
        self._levels: list[tuple[Any, int]] = []

    def start(self) -> None:
        self._logging.getLogger().addHandler(self.handler)

    def stop(self) -> None:
        self._logging.getLogger().removeHandler(self.handler)
        while self._levels:
            logger, level = self._levels.pop()
            logger.setLevel(level)

    @property
    def messages(self) -> list[str]:
        return [record.getMessage() for record in self.records]

    @property
    def record_tuples(self) -> list[tuple[str, int, str]]:
        return [(record.name, record.levelno, record.getMessage()) for record in self.records]

    @property
    def text(self) -> str:
        lines = (f"{r.levelname:8} {r.name}:{r.filename}:{r.lineno} {r.getMessage()}\n" for r in self.records)
        return "".join(lines)

    def clear(self) -> None:
        self.records.clear()

    def set_level(self, level: Any, logger: Any = None) -> None:
        found = self._logging.getLogger(logger)
        self._levels.append((found, found.level))
        found.setLevel(level)
        self.handler.setLevel(level)

    @contextlib.contextmanager
    def at_level(self, level: Any, logger: Any = None) -> Iterator[None]:
        found = self._logging.getLogger(logger)
        before, own = found.level, self.handler.level
        found.setLevel(level)
        self.handler.setLevel(level)
        try:
            yield
        finally:
            found.setLevel(before)
            self.handler.setLevel(own)

    def get_records(self, when: str) -> list[Any]:
        return self.records if when == "call" else []


def _caplog() -> Iterator[Any]:
    log = _LogCapture()
    log.start()
    try:
        yield log
    finally:
        log.stop()


class WarningsRecorder(list):  # type: ignore[type-arg]
    """The warnings that came, as `warns` and `recwarn` give them."""

    def __init__(self, found: Any) -> None:
        super().__init__()
        self.list = found

    def __getitem__(self, place: Any) -> Any:
        return self.list[place]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.list)

    def __len__(self) -> int:
        return len(self.list)

    def __bool__(self) -> bool:
        return bool(self.list)

    def pop(self, cls: Any = Warning) -> Any:
        for place, found in enumerate(self.list):
            if issubclass(found.category, cls):
                return self.list.pop(place)
        raise AssertionError(f"{cls!r} not found in warning list")

    def clear(self) -> None:
        self.list[:] = []


def _recwarn() -> Iterator[Any]:
    import warnings

    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("default")
        yield WarningsRecorder(found)


def _monkeypatch() -> Iterator[Any]:
    patch = _Patch()
    try:
        yield patch
    finally:
        patch.undo()


def _nameless_file() -> Any:
    path = f"{os.environ.get('TMPDIR', '/tmp')}/tmp{os.urandom(8).hex()}"
    file = open(path, "x+b")  # noqa: SIM115 - its user closes it
    os.unlink(path)
    return file


def _paths() -> Any:
    """The fixtures that are folders; imported late, because with pathlib every fork would hold a twentieth more pages."""
    from evoltune.sandbox.same_process import pytest_paths

    return pytest_paths


TYPES = {
    "MonkeyPatch": _Patch, "CaptureFixture": _Captured, "LogCaptureFixture": _LogCapture, "WarningsRecorder": WarningsRecorder,
    "TempPathFactory": object, "TempdirFactory": object, "Subtests": _Subtests, "FixtureRequest": object, "Function": object, "Item": object,
}  # fmt: skip
"""pytest's names of types, by which tests annotate."""
BUILT_IN: dict[str, Callable[[], Any]] = {
    "capsys": lambda: _capturing(_Captured()), "capsysbinary": lambda: _capturing(_Captured(binary=True)),
    "capfd": lambda: _capturing(_CapturedDescriptors()), "capfdbinary": lambda: _capturing(_CapturedDescriptors(binary=True)),
    "monkeypatch": _monkeypatch, "tmp_path": lambda: _paths().folder(), "tmpdir": lambda: _paths().LocalPath(_paths().folder()), "caplog": _caplog, "recwarn": _recwarn,
    "tmp_path_factory": lambda: _paths().Factory(), "tmpdir_factory": lambda: _paths().Factory(_paths().LocalPath), "subtests": _Subtests,
    "record_property": lambda: lambda name, value: None,
}  # fmt: skip
OF_SESSION = frozenset({"tmp_path_factory", "tmpdir_factory"})
