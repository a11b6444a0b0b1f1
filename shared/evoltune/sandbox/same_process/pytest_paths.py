"""pytest's fixtures that are folders: `tmp_path`, `tmpdir` and their factories."""

import os
import pathlib
from collections.abc import Callable
from typing import Any


def folder() -> pathlib.Path:
    """A new folder that nobody else has. `tempfile` would bring three compression libraries with it."""
    path = pathlib.Path(os.environ.get("TMPDIR", "/tmp"), f"tmp{os.urandom(8).hex()}")
    path.mkdir(0o700)
    return path.resolve()


class LocalPath(type(pathlib.Path())):  # type: ignore[misc]
    """What `tmpdir` gives: a path with the methods that tests call most of those of py.path."""

    @property
    def strpath(self) -> str:
        return str(self)

    @property
    def basename(self) -> str:
        return str(self.name)

    def join(self, *names: Any) -> Any:
        return self.joinpath(*map(str, names))

    def mkdir(self, *names: Any, **options: Any) -> Any:
        folder = self.join(*names) if names else self
        pathlib.Path(folder).mkdir(**options)
        return folder

    def write(self, text: Any, mode: str = "w") -> None:
        with self.open(mode) as file:
            file.write(text)

    def read(self, mode: str = "r") -> Any:
        with self.open(mode) as file:
            return file.read()

    def check(self) -> bool:
        return bool(self.exists())

    def listdir(self) -> list[Any]:
        return [*self.iterdir()]

    def chdir(self) -> Any:
        before = os.getcwd()
        os.chdir(self)
        return LocalPath(before)


class Factory:
    """What `tmp_path_factory` gives, and with another kind of path `tmpdir_factory`."""

    def __init__(self, kind: Callable[[Any], Any] = pathlib.Path) -> None:
        self.base, self.made = kind(folder()), dict[str, int]()

    def getbasetemp(self) -> Any:
        return self.base

    def mktemp(self, basename: str, numbered: bool = True) -> Any:
        number = self.made[basename] = self.made.get(basename, -1) + 1
        folder = self.base / (f"{basename}{number}" if numbered else basename)
        folder.mkdir()
        return folder
