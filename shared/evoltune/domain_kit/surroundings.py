"""What a function could look at besides its arguments: the clock, chance, and the machine, all of which a check can change.

    surroundings = Surroundings(is_active=lambda: True); surroundings.install()
    surroundings.shift = 3600.0; time.time()            # an hour later
    surroundings.extreme = 0; random.random()           # 0.0

The functions of `time`, `datetime`, `random` and a few of `os`, `socket` and `platform` are replaced, once in a probe process.
"""

import builtins
import datetime
import io
import locale
import os
import platform
import random
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

EXTREMES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "random": (lambda: 0.0, lambda: 1 - 2**-53),
    "uniform": (lambda a, b: a, lambda a, b: b),
    "randint": (lambda a, b: a, lambda a, b: b),
    "randrange": (
        lambda a, b=None, step=1: 0 if b is None else a,
        lambda a, b=None, step=1: (a if b is None else b) - 1,
    ),
    "getrandbits": (lambda k: 0, lambda k: (1 << k) - 1),
    "choice": (lambda seq: seq[0], lambda seq: seq[-1]),
    "gauss": (lambda mu=0.0, sigma=1.0: mu - 9 * sigma, lambda mu=0.0, sigma=1.0: mu + 9 * sigma),
}
"""Functions of the module `random` -> their lowest and their highest value."""
ELSEWHERE: dict[tuple[Any, str], Any] = {
    (os, "cpu_count"): 97, (os, "getloadavg"): (97.0, 97.0, 97.0), (os, "getlogin"): "somebody", (os, "getppid"): 97, (os, "getpid"): None,
    (locale, "localeconv"): None, (locale, "getlocale"): None,
    (socket, "gethostname"): "elsewhere", (socket, "getfqdn"): "elsewhere.example", (platform, "node"): "elsewhere",
    (platform, "machine"): "other", (platform, "platform"): "other", (platform, "processor"): "other",
}  # fmt: skip
"""(module, function) -> what it says on another machine; None: what it says here."""


class Hidden:
    """Packages that are not installed on another machine; stands first in `sys.meta_path`."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(names)

    def find_spec(self, name: str, *_: object) -> None:
        if name.partition(".")[0] in self._names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


class _Turned:
    """What `os.scandir` gives, from its end."""

    def __init__(self, entries: Any) -> None:
        with entries:
            self._entries = iter([*entries][::-1])

    def __iter__(self) -> Any:
        return self._entries

    def __next__(self) -> Any:
        return next(self._entries)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._entries = iter(())


class Surroundings:
    """The surroundings of one probe process."""

    def __init__(
        self, is_active: Callable[[], bool], asked: Callable[[str], None] = lambda name: None, roots: Sequence[str] = ()
    ) -> None:
        """`asked`: called with the name of a function that tells one machine from another. `roots`: the package's folders."""
        self._is_active, self._asked, self.roots = is_active, asked, tuple(roots)
        self.uses_clock = self.uses_random = False
        self.shift = 0.0
        """Seconds by which all clocks are put forward."""
        self.leap = 0.0
        """Seconds by which each look at a clock puts it forward, as on a machine that is busy in between."""
        self.extreme: int | None = None
        """0: the module `random` gives its lowest values; 1: its highest."""
        self._leapt = 0.0

    def install(self, *, elsewhere: bool) -> None:
        """Puts the replacements in place; before the domain is imported."""
        self._replace_clock()
        self._replace_random()
        for (module, name), value in ELSEWHERE.items():
            setattr(module, name, self._noted(module, name, value if elsewhere else None))
        if elsewhere:
            self._replace_files()

    def _replace_files(self) -> None:
        """Folders are listed in another order, and text is read in another encoding where none is named, as on Windows."""
        listdir, scandir, opened = os.listdir, os.scandir, io.open

        def turned(path: Any = ".") -> list[Any]:
            return listdir(path)[::-1] if self._is_active() else listdir(path)

        def scanned(path: Any = ".") -> Any:
            return _Turned(scandir(path)) if self._is_active() and not isinstance(path, int) else scandir(path)

        def text_file(
            file: Any, mode: str = "r", buffering: int = -1, encoding: str | None = None, *rest: Any, **named: Any
        ) -> Any:
            is_own = isinstance(file, str | os.PathLike) and os.path.realpath(os.fspath(file)).startswith(self.roots)
            if self._is_active() and "b" not in mode and encoding in (None, "locale") and is_own:
                encoding = "latin-1"
            return opened(file, mode, buffering, encoding, *rest, **named)

        os.listdir, os.scandir = turned, scanned
        builtins.open = io.open = text_file

    def _noted(self, module: Any, name: str, other: Any) -> Callable[..., Any]:
        real = getattr(module, name)

        def ask(*args: Any, **named: Any) -> Any:
            self._asked(f"{module.__name__}.{name}()")
            return real(*args, **named) if other is None else other

        return ask

    def set(self, *, shift: float = 0.0, leap: float = 0.0, extreme: int | None = None) -> None:
        """What holds for the next call."""
        self.shift, self.leap, self.extreme, self._leapt = shift, leap, extreme, 0.0
        self.uses_clock = self.uses_random = False

    def _replace_clock(self) -> None:
        def moved(real: Callable[..., Any], unit: float = 1.0) -> Callable[..., Any]:
            def read() -> Any:
                if self._is_active():
                    self.uses_clock = True
                    self._leapt += self.leap
                return real() + (type(real())((self.shift + self._leapt) * unit))

            return read

        for name in ("time", "monotonic", "perf_counter"):
            setattr(time, name, moved(getattr(time, name)))
            setattr(time, f"{name}_ns", moved(getattr(time, f"{name}_ns"), 1e9))
        for name in ("localtime", "gmtime", "ctime"):
            setattr(time, name, self._at(getattr(time, name)))
        for name in ("mktime", "localtime", "ctime"):
            setattr(time, name, self._zoned(name, getattr(time, name)))
        strftime, now = time.strftime, time.localtime
        time.strftime = lambda form, t=None: strftime(form, t if t is not None else now())
        datetime.datetime, datetime.date = self._dates()  # type: ignore[misc, assignment]

    def _at(self, real: Callable[..., Any]) -> Callable[..., Any]:
        return lambda seconds=None: real(time.time() if seconds is None else seconds)

    def _zoned(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        """A function that reads a moment which it is given by the machine's time zone."""

        def read(*given: Any) -> Any:
            if given and given[0] is not None:
                self._asked(f"the machine's time zone (time.{name})")
            return real(*given)

        return read

    def _dates(self) -> tuple[type, type]:
        real_datetime, real_date = datetime.datetime, datetime.date

        def asked_zone(zone: Any, how: str) -> None:
            if zone is None:
                self._asked(f"the machine's time zone ({how})")

        class AnyDateTime(type):
            def __instancecheck__(cls, value: object) -> bool:
                return isinstance(value, real_datetime)

        class AnyDate(type):
            def __instancecheck__(cls, value: object) -> bool:
                return isinstance(value, real_date)

        class MovedDateTime(real_datetime, metaclass=AnyDateTime):  # type: ignore[valid-type, misc]
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return real_datetime.fromtimestamp(time.time(), tz)

            @classmethod
            def utcnow(cls) -> Any:
                return real_datetime.fromtimestamp(time.time(), datetime.UTC).replace(tzinfo=None)

            @classmethod
            def today(cls) -> Any:
                return cls.now()

            @classmethod
            def fromtimestamp(cls, timestamp: Any, tz: Any = None) -> Any:
                asked_zone(tz, "datetime.fromtimestamp without tz")
                return super().fromtimestamp(timestamp, tz)

            def astimezone(self, tz: Any = None) -> Any:
                asked_zone(tz and self.tzinfo, "datetime.astimezone without a zone")
                return super().astimezone(tz)

            def timestamp(self) -> Any:
                asked_zone(self.tzinfo, "datetime.timestamp without a zone")
                return super().timestamp()

        class MovedDate(real_date, metaclass=AnyDate):  # type: ignore[valid-type, misc]
            @classmethod
            def today(cls) -> Any:
                return real_date.fromtimestamp(time.time())

            @classmethod
            def fromtimestamp(cls, timestamp: Any) -> Any:
                asked_zone(None, "date.fromtimestamp")
                return super().fromtimestamp(timestamp)

        return MovedDateTime, MovedDate

    def _replace_random(self) -> None:
        def chosen(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
            def draw(*args: Any, **named: Any) -> Any:
                self.uses_random = self.uses_random or self._is_active()
                return (
                    EXTREMES[name][self.extreme](*args, **named) if self.extreme is not None else real(*args, **named)
                )

            return draw

        for name in EXTREMES:
            setattr(random, name, chosen(name, getattr(random, name)))
        shuffle, sample, urandom = random.shuffle, random.sample, os.urandom

        def noted(real: Callable[..., Any]) -> Callable[..., Any]:
            def draw(*args: Any, **named: Any) -> Any:
                self.uses_random = self.uses_random or self._is_active()
                return real(*args, **named)

            return draw

        random.shuffle, random.sample, os.urandom = noted(shuffle), noted(sample), noted(urandom)
        random._urandom = os.urandom  # type: ignore[attr-defined]
