"""What a check of a domain says: findings, each with the file and line of what it is about.

    sources = Sources.of("./evoltune-sums")
    sources.line_of("Add 17 and 25.")      # "evoltune-sums/evoltune_sums/seeds.jsonl:1"

The domain is not imported for this: its files are read as text.
"""

import ast
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from evoltune.domain import entry_point_of
from evoltune.errors import DomainError
from evoltune.run.paths import user_path

MAX_FILE = 4 << 20
TEXTS = (".py", ".txt", ".jsonl", ".json", ".md", ".yaml", ".yml", ".toml", ".csv", ".j2", ".prompt")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One law and what became of it."""

    name: str
    ok: bool | None
    """Whether the law holds; None: it looked at nothing, and `detail` says why."""
    detail: str = ""
    """What was looked at, or the smallest example that breaks the law."""
    where: str = ""
    """`file:line` of what breaks it."""
    todo: str = ""
    """What to do about it."""


def holds(name: str, detail: str) -> Finding:
    return Finding(name=name, ok=True, detail=detail)


def broken(name: str, detail: str, where: str, todo: str) -> Finding:
    return Finding(name=name, ok=False, detail=detail, where=where, todo=todo)


def unchecked(name: str, why: str) -> Finding:
    return Finding(name=name, ok=None, detail=why)


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The files of a domain's package, as text."""

    roots: tuple[str, ...]
    """Its folders with a final slash, or its only file."""
    is_path: bool
    """Whether the reference is the path of a folder."""
    main: str
    """The file that holds `domain`, as far as the reference says."""

    @staticmethod
    def of(ref: str) -> "Sources":
        """The sources behind a reference as `load_domain` takes it."""
        path = user_path(ref)
        if ref.startswith((".", "/", "~")) or path.is_dir():
            path = path.resolve()
            if not path.is_dir():
                raise DomainError(
                    f"domain path {str(path)!r} is not a folder: give the package folder or the project that holds it"
                )
            inner = sorted(
                p.parent
                for p in [*path.glob("*/__init__.py"), *path.glob("src/*/__init__.py")]
                if p.parent.name != "tests"
            )
            packages = [path] if (path / "__init__.py").exists() else inner
            roots = [str(p) + os.sep for p in packages]
            return Sources(roots=tuple(roots), is_path=True, main=f"{roots[0]}__init__.py" if roots else str(path))
        module = (ref if ":" in ref else entry_point_of(ref)).partition(":")[0]
        top = module.partition(".")[0]
        spec = importlib.util.find_spec(top)
        folders = [str(Path(p).resolve()) + os.sep for p in (spec.submodule_search_locations or ())] if spec else []
        origin = str(Path(spec.origin).resolve()) if spec and spec.origin else ref
        return Sources(roots=tuple(folders) or (origin,), is_path=False, main=origin)

    def files(self) -> Iterable[Path]:
        for root in self.roots:
            found = sorted(Path(root).rglob("*")) if root.endswith(os.sep) else [Path(root)]
            for file in found:
                if (
                    file.suffix in TEXTS
                    and file.is_file()
                    and "__pycache__" not in file.parts
                    and file.stat().st_size <= MAX_FILE
                ):
                    yield file

    def line_of(self, text: str, suffixes: tuple[str, ...] = TEXTS, nth: int = 1) -> str:
        """Where the text stands for the n-th time (its first full line, plain or as JSON writes it); "" where it does not."""
        line = max(text.strip().splitlines() or [""], key=len)[:80].strip()
        needles = [n for n in dict.fromkeys((line, json.dumps(line)[1:-1])) if n]
        seen, last = 0, ""
        for file in self.files():
            if file.suffix in suffixes:
                for number, content in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
                    if any(needle in content for needle in needles):
                        seen, last = seen + 1, f"{shown(str(file))}:{number}"
                        if seen == nth:
                            return last
        return last

    def optional(self) -> list[str]:
        """Packages that the code can do without: they are imported where an ImportError is caught."""
        own = {Path(root).name for root in self.roots} | {"evoltune", *sys.stdlib_module_names}
        found: set[str] = set()
        for file in self.files():
            if file.suffix != ".py":
                continue
            try:
                tree = ast.parse(file.read_text(encoding="utf-8", errors="replace"))
            except (SyntaxError, ValueError):
                continue
            for node in (
                n for n in ast.walk(tree) if isinstance(n, ast.Try) and any(map(_catches_imports, n.handlers))
            ):
                for inner in (i for statement in node.body for i in ast.walk(statement)):
                    if isinstance(inner, ast.Import):
                        found |= {alias.name.partition(".")[0] for alias in inner.names}
                    elif isinstance(inner, ast.ImportFrom) and inner.module and not inner.level:
                        found.add(inner.module.partition(".")[0])
        return sorted(found - own)

    def named(self, name: str, default: str = "") -> str:
        """Where a name stands in quotes in the package's code, e.g. an operator's."""
        found = self.line_of(f'"{name}"', (".py",)) or self.line_of(f"'{name}'", (".py",))
        return found or default or self.start()

    def start(self) -> str:
        """Where `domain = Domain(` stands, else the first line of the package."""
        return self.line_of("Domain(", (".py",)) or f"{shown(self.main)}:1"

    def function(self, function: Callable[..., Any] | None) -> str:
        """Where a function is defined."""
        found: Any = function
        while isinstance(found, partial):
            found = found.func
        found = getattr(found, "__wrapped__", found)
        found = getattr(found, "__func__", found)
        code = getattr(found, "__code__", None) or getattr(getattr(type(found), "__call__"), "__code__", None)  # noqa: B004, B009
        return f"{shown(code.co_filename)}:{code.co_firstlineno}" if code else self.start()


def _catches_imports(handler: ast.ExceptHandler) -> bool:
    caught = (
        {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)} if handler.type else {"Exception"}
    )
    return bool(caught & {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})


def shown(path: str) -> str:
    """A path (with or without `:line`) as seen from the working directory."""
    here = str(Path.cwd()) + os.sep
    return path.removeprefix(here)
