"""`evoltune rehearse RECIPE`: the recipe's own commands over all stages in minutes, on stand-ins that speak the real protocols.

    outcome = rehearse(load_recipe("code/wizardcoder-starcoder-15b"), Path("rehearsal"))
    outcome.ok, outcome.stages

The recipe is made small at its edges (evoltune.rehearse.shrink), written to a file, and run by `evoltune run` in a process of
its own, whose environment points the hub's clients to a hub on loopback. So what stops here stops with the real parts too,
and in the same stage. Invariant: the real hub, teacher and credentials are never used by a rehearsal on stand-ins.
"""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from evoltune.domain import Benchmark, Domain, load_domain, seeds_of
from evoltune.errors import MissingExtraError
from evoltune.evaluate.suites import ROWS_FILE, judging_domain
from evoltune.recipe import Recipe, dump_recipe
from evoltune.rehearse import datasets
from evoltune.rehearse.bases import write_base_repository
from evoltune.rehearse.hub import serving_hub
from evoltune.rehearse.shrink import KEY_ENV, Shrunk, not_covered, shrink
from evoltune.rehearse.teacher import serving_teacher
from evoltune.report.html import chart_file, chart_script
from evoltune.rows.files import write_file
from evoltune.rows.hub import parse_address
from evoltune.run.paths import user_path
from evoltune.run.run import Run
from evoltune.train.nodes import NODE_RANK

_STAGE = re.compile(r"^\[(\w+)\] ")
RUN = (sys.executable, "-m", "evoltune", "run")
OTHERS_END_S = 180.0
"""How long the other nodes may take to end after the first one."""
RECIPE_FILE, RUN_FOLDER, LOG = "rehearsal.yaml", "run", "log.txt"
SECRETS = re.compile(r"(_API_KEY|_TOKEN|_SECRET|_KEY_ID|_ACCESS_KEY)$")
"""Variables that a rehearsal on stand-ins takes out of the environment of what it starts."""


@dataclass(frozen=True, kw_only=True)
class StageResult:
    name: str
    status: str
    """passed, stopped, or not reached."""
    seconds: float = 0.0
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of a rehearsal: the status of each stage, keys made smaller, stand-ins, and what it could not cover."""

    recipe: str
    stages: list[StageResult]
    shrunk: list[Shrunk]
    stand_ins: list[str]
    not_covered: list[str]
    folder: str
    rows: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return all(stage.status == "passed" for stage in self.stages)


def rehearse(recipe: Recipe, folder: Path, *, processes: int = 1, nodes: int = 1, real_hub: bool = False) -> Outcome:
    """Runs the small recipe through every stage.

    Args:
        folder: where the rehearsal's files go; it must not hold an earlier run of other settings.
        processes: training processes of each node.
        nodes: each a command of its own, with a working directory, a hub cache and a run folder of its own.
        real_hub: ask the real hub for seeds, suites and the base, with the user's own login.
    """
    domain = load_domain(recipe.domain)
    with ExitStack() as stack:
        teacher = stack.enter_context(serving_teacher(domain))
        environment, stand_ins = dict(os.environ), [f"teacher: {teacher.url}"]
        if not real_hub:
            names = write_hub(recipe, domain, folder / "hub")
            files = write_suite_files(recipe, folder / "data")
            url = stack.enter_context(serving_hub(folder / "hub"))
            environment = hub_environment(url, folder)
            share_charts(Path(environment["XDG_CACHE_HOME"]) / "evoltune")
            stand_ins += [f"hub: {name}" for name in names]
            stand_ins += [f"file that you bring: {name}, below EVOLTUNE_DATA" for name in files]
        environment[KEY_ENV] = "stand-in"
        rendezvous = f"127.0.0.1:{free_port()}" if nodes > 1 else ""
        small, shrunk = shrink(recipe, teacher_url=teacher.url, processes=processes, nodes=nodes, rendezvous=rendezvous)
        path = folder / RECIPE_FILE
        write_file(path, dump_recipe(small, folder))
        with other_nodes(path, folder, environment, nodes) as others:
            started = run_small(path, folder, environment | ({NODE_RANK: "0"} if nodes > 1 else {}))
            stages = list(results_of(started, Run(recipe=recipe, folder=folder).stages))
            stages += [node.result(first_failed=started.code != 0) for node in others]
    return Outcome(
        recipe=recipe.name, stages=stages, shrunk=shrunk, stand_ins=stand_ins, not_covered=list(not_covered(recipe, nodes)),
        folder=str(folder),
    )  # fmt: skip


def hub_environment(url: str, folder: Path) -> dict[str, str]:
    """The user's environment with the hub's clients pointed to the stand-in, an empty cache, and no credentials."""
    kept = {k: v for k, v in os.environ.items() if not SECRETS.search(k) and not k.endswith("_OFFLINE")}
    return kept | {
        "HF_ENDPOINT": url, "HF_HOME": str(folder / "hf"), "HF_TOKEN": "hf_stand_in", "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1", "XDG_CACHE_HOME": str(folder / "cache"), "EVOLTUNE_DATA": str(folder / "data"),
        "OMP_NUM_THREADS": kept.get("OMP_NUM_THREADS", "1"),
    }  # fmt: skip


def share_charts(cache: Path) -> None:
    """Puts the script of the report's charts into the rehearsal's own cache: to put it together takes two seconds of CPU."""
    with suppress(MissingExtraError):
        script = chart_script()
        write_file(chart_file(cache), script.encode())


def write_hub(recipe: Recipe, domain: Domain, hub: Path) -> list[str]:
    """Writes the repositories that the recipe names and that have a layout; returns their names."""
    written = []
    for name in sorted(set(datasets_named(recipe, domain)) & set(datasets.hub_names())):
        datasets.write_dataset_repository(hub, name)
        written.append(name)
    base = recipe.train.model_name_or_path
    if not user_path(base).exists() and "/" in base:
        texts = [text for seed in seeds_of(domain) for text in (seed.task.instruction, *(a.text for a in seed.answers))]
        write_base_repository(hub, base, texts)
        written.append(base)
    (hub / "models").mkdir(parents=True, exist_ok=True)
    return written


def datasets_named(recipe: Recipe, domain: Domain) -> Iterator[str]:
    """The hub datasets that seeds, mix, training and suites name, without configuration and split."""
    paths = recipe.seeds.path or ()
    sources = [*((paths,) if isinstance(paths, str) else paths), *(source.path for source in recipe.curate.mix)]
    sources += [recipe.train.dataset] if recipe.train.dataset else []
    sources += [benchmark.hub for benchmark in benchmarks_named(recipe) if benchmark.hub]
    for source in sources:
        if "/" in source and not user_path(source).exists() and "://" not in source:
            yield parse_address(source).repo


def benchmarks_named(recipe: Recipe) -> Iterator[Benchmark]:
    """The declared suites that the recipe is evaluated on, or chooses rounds and checkpoints by."""
    for name in (*recipe.eval.suites, recipe.evolve.stop_on, recipe.train.dev_suite):
        if name and not ROWS_FILE.search(name):
            owner = load_domain(judging_domain(name, recipe.domain))
            yield owner.benchmarks[name.rpartition("/")[2]]


def write_suite_files(recipe: Recipe, data: Path) -> list[str]:
    """Writes the files of suites that are on no hub; returns their names below EVOLTUNE_DATA."""
    wanted = [b.file for b in benchmarks_named(recipe) if not b.hub and b.file in datasets.layouts()]
    for name in wanted:
        datasets.write_suite_file(data, name)
    return wanted


class OtherNode:
    """The same command on another node: it has its own working directory, cache and run folder, and its own log."""

    def __init__(self, rank: int, path: Path, folder: Path, environment: Mapping[str, str]) -> None:
        self.rank, self.folder = rank, folder / f"node-{rank}"
        self.folder.mkdir(parents=True)
        own = {NODE_RANK: str(rank), "HF_HOME": str(self.folder / "hf")}
        self.begun = time.monotonic()
        with (self.folder / LOG).open("wb") as log:
            self.process = subprocess.Popen(
                [*RUN, str(path), "--out", str(self.folder / RUN_FOLDER)], cwd=self.folder,
                env={**environment, **own}, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def result(self, *, first_failed: bool) -> StageResult:
        """Waits for the node to end after the first one has, and returns its outcome."""
        name = f"train, node {self.rank + 1}"
        try:
            code = self.process.wait(0 if first_failed else OTHERS_END_S)
        except subprocess.TimeoutExpired:
            self.end()
            message = "" if first_failed else f"it did not end within {OTHERS_END_S:g} s after the first node"
            return StageResult(name=name, status="not reached" if first_failed else "stopped", message=message)
        lines = (self.folder / LOG).read_text(encoding="utf-8", errors="replace").splitlines()
        return StageResult(
            name=name, status="stopped" if code else "passed", seconds=time.monotonic() - self.begun,
            message=last_sentence(lines) if code else "",
        )  # fmt: skip

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()


@contextmanager
def other_nodes(path: Path, folder: Path, environment: Mapping[str, str], nodes: int) -> Iterator[list[OtherNode]]:
    """Starts the processes of the other nodes (all but node 0); they wait until node 0 is ready."""
    started: list[OtherNode] = []
    try:
        started += (OtherNode(rank, path, folder, environment) for rank in range(1, nodes))
        yield started
    finally:
        for node in started:
            node.end()


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return int(server.getsockname()[1])


@dataclass
class Started:
    """The output of a started `evoltune run`, with a time for each line."""

    lines: list[tuple[float, str]]
    code: int
    seconds: float


def run_small(path: Path, folder: Path, environment: Mapping[str, str]) -> Started:
    """Runs the recipe as a user does, and shows each stage as it begins."""
    command = [*RUN, str(path), "--out", str(folder / RUN_FOLDER)]
    begun, lines = time.monotonic(), []
    process = subprocess.Popen(
        command, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    try:
        with (folder / LOG).open("w", encoding="utf-8") as log:
            for line in process.stdout or ():
                lines.append((time.monotonic() - begun, line.rstrip()))
                log.write(line)
                if stage := _STAGE.match(line):
                    print(f"  {stage[1]} ...", file=sys.stderr, flush=True)
        code = process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    return Started(lines, code, time.monotonic() - begun)


def results_of(started: Started, stages: Sequence[str]) -> Iterator[StageResult]:
    """Lists each stage with its duration. If the command failed, the last stage that began is the one that stopped."""
    begun = [(m[1], at) for at, line in started.lines if (m := _STAGE.match(line))]
    names = [name for name, _ in begun]
    ends = [*(at for _, at in begun[1:]), started.seconds]
    failed = started.code != 0
    message = last_sentence([line for _, line in started.lines]) if failed else ""
    if failed and not begun:
        yield StageResult(name="check", status="stopped", seconds=started.seconds, message=message)
    for i, ((name, at), end) in enumerate(zip(begun, ends, strict=False)):
        stopped = failed and i == len(begun) - 1
        yield StageResult(
            name=name, status="stopped" if stopped else "passed", seconds=end - at, message=message if stopped else ""
        )
    yield from (StageResult(name=name, status="not reached") for name in stages if name not in names)


def last_sentence(lines: Sequence[str]) -> str:
    """The command's own error line; without one, its last line."""
    errors = [line for line in lines if line.startswith("evoltune")]
    said = [line for line in lines if line.strip()]
    return errors[-1] if errors else said[-1] if said else "no output"
