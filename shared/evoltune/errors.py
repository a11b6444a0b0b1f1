"""Errors for the user. Each message says what is wrong and where, the value, what is allowed, and what to do.

The command line prints an `EvoltuneError` in one line and exits with its `exit_code` (2: misuse or bad input, nothing was
written; 1: work began and failed, what was finished is kept). Bad model output is never an error: it is a `Verdict` or a
`Drop`.
"""

import errno
import importlib.util
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class EvoltuneError(Exception):
    """Base of all errors meant for the user. `str(error)` is one line."""

    exit_code = 2


class RecipeError(EvoltuneError):
    """A recipe (or an override on the command line) is wrong."""


class DataError(EvoltuneError):
    """A file of rows or seeds is wrong; names the file and the line."""


class DomainError(EvoltuneError):
    """A domain is unknown, fails to load, or breaks its contract."""


class WorkError(EvoltuneError):
    """Work began and failed."""

    exit_code = 1


class MissingExtraError(EvoltuneError):
    """An optional dependency is not installed."""

    def __init__(self, module: str, extra: str, purpose: str) -> None:
        todo = f"pip install 'evoltune[{extra}]'"
        super().__init__(f"{purpose} needs the module {module!r}, which is not installed: {todo}")


def require(purpose: str, extra: str, *modules: str) -> None:
    """Raises MissingExtraError for the first of the modules that is not installed. Imports none of them."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(module, extra, purpose)


class IsolationError(EvoltuneError):
    """The host cannot give the isolation level that was asked for."""


class StoreError(WorkError):
    """The run store is locked, damaged or cannot be written."""


class TeacherError(WorkError):
    """The teacher cannot be reached, or refuses and a retry would not help."""


class ServiceError(WorkError):
    """A verifier service cannot be reached, cannot be started, or refuses and a retry would not help."""


class BudgetError(WorkError):
    """A hard cap of `teacher.budget` is reached; everything finished is kept."""


class TrainingError(WorkError):
    """Training cannot go on: a guard tripped, a save failed its check, a worker died."""


class EngineError(WorkError):
    """The cluster cannot be reached, or lost its workers for good; everything finished is kept."""


class CertificateError(EvoltuneError):
    """A dataset has no certificate for the suites that the recipe evaluates on."""


@contextmanager
def located(where: str) -> Iterator[None]:
    """Inside the block, an error about one row begins with where the row stands, and is a DataError."""
    try:
        yield
    except EvoltuneError as error:
        raise DataError(f"{where}: {error}") from error


@contextmanager
def naming(key: str) -> Iterator[None]:
    """Inside the block, an error about what a recipe's key names begins with the key ("" for none)."""
    try:
        yield
    except (RecipeError, DataError) as error:
        if not key or str(error).startswith(key):
            raise
        raise type(error)(f"{key}: {error}") from error


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def is_full(error: OSError) -> bool:
    """Whether the disk is full, or the user's part of it."""
    return error.errno in _NO_ROOM


@contextmanager
def naming_file(path: object) -> Iterator[None]:
    """Inside the block, the error of a full disk names this file: the system names none when a write fails."""
    try:
        yield
    except OSError as error:
        if is_full(error) and error.filename is None:
            error.filename = str(path)
        raise


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a message: `did you mean 'x'?` when a known word is near, else what is allowed, at most 30 words of it."""
    known = sorted(known)
    import difflib  # late: every fork of the sandbox would hold it

    near = difflib.get_close_matches(word, known, n=1)
    more = f" and {len(known) - 30} more" if len(known) > 30 else ""
    return f"did you mean {near[0]!r}?" if near else f"allowed: {', '.join(known[:30]) or 'none'}{more}"
