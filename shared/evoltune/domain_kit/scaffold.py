"""Writes an installable domain package that needs only its verify function, seeds and prompts (`evoltune domains new NAME`).

The files under `template/` are the package; `$name` and `$package` are filled in. No existing file is overwritten.
"""

import keyword
import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from evoltune.domain import API_VERSION, installed
from evoltune.errors import DomainError


def scaffold(name: str, parent: Path) -> Path:
    """Writes `parent/evoltune-NAME` and returns it. Raises DomainError for a bad or taken name, or an existing folder."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", name) or keyword.iskeyword(name):
        raise DomainError(
            f"domain name {name!r}: must begin with a lower-case letter, go on with such letters, digits and underscores (41 "
            "characters at most), and be no keyword of Python: e.g. 'sql'"
        )
    if name in installed():
        raise DomainError(f"domain name {name!r} is taken by an installed domain: choose another")
    target = parent / f"evoltune-{name}"
    if target.exists():
        raise DomainError(f"{target}: exists already: delete it or give another --path")
    values = {"name": name, "package": f"evoltune_{name}", "api_version": str(API_VERSION)}
    _copy(files("evoltune.domain_kit") / "template", target, values)
    return target


def _copy(source: Traversable, target: Path, values: dict[str, str]) -> None:
    target.mkdir(parents=True)
    for entry in sorted(source.iterdir(), key=lambda e: e.name):
        if entry.name == "__pycache__":
            continue
        name = values["package"] if entry.name == "package" else entry.name.removesuffix(".tmpl")
        if entry.is_dir():
            _copy(entry, target / name, values)
        else:
            text = Template(entry.read_text(encoding="utf-8")).substitute(values)
            (target / name).write_text(text, encoding="utf-8")
