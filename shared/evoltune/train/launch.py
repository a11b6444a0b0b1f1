"""The driver's side of training: check, write the job, start the trainer process(es), wait, check the result.

    train(load_recipe("smoke/math"), "runs/smoke-math/dataset", Path("runs/smoke-math/checkpoint"), suites={})

A finished checkpoint of the same job is returned as it is; an interrupted job continues from its last step. A stop
(SIGTERM, SIGHUP, Ctrl-C) becomes the file `OUT/stop`, which works for every launcher and across nodes: the trainer saves a
checkpoint after the current step and ends. A second signal kills. Invariant: no process that it started outlives
`run_trainer`. Imports no torch.
"""

import itertools
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from evoltune.awake import AwakeTime
from evoltune.cluster.variables import chosen_variables
from evoltune.curate.certificate import certificate_path, require_certificate
from evoltune.errors import EvoltuneError, TrainingError
from evoltune.models.locate import ModelRef, download_model
from evoltune.orphans import is_suspended, tethered
from evoltune.recipe import Recipe
from evoltune.rows.files import read_json, write_file
from evoltune.run.lock import locked
from evoltune.run.paths import HEARTBEAT, JOB_SCRIPT, MANIFEST, METRICS, NODES, SAMPLED, STEPS, STOP, TRAIN_LOCK
from evoltune.train.deepspeed import refuse_stale_locks
from evoltune.train.job import (
    Job,
    disk_full,
    make_job,
    only_trainer,
    read_error,
    read_job,
    refuse_replacement,
    remove_errors,
    rows_of,
    write_job,
)
from evoltune.train.launch_command import launch_command, network_environment, slurm_script
from evoltune.train.nodes import SAY_EVERY_S, is_first_node, meets_others, node_name, others_line, wait_for_first_node
from evoltune.train.preflight import check_setup
from evoltune.train.step_checkpoints import ScoreCheckpoint, check_selection, chosen_by_another, select_checkpoint

INTERRUPTED = 130  # exit code
NO_ROOM_BYTES = 2**20
"""A disk with less is full: something that was too large has been removed again."""
LOOKS = 20
"""How often within the limit of a silent trainer it is seen whether it was suspended."""
_POLL_S = 0.2
_START = "start"
"""In the heartbeat until a rank has loaded the model."""


def train(
    recipe: Recipe,
    dataset: str | Path,
    out: Path,
    *,
    suites: Mapping[str, Any],
    score: ScoreCheckpoint | None = None,
    allow_uncertified: bool = False,
) -> dict[str, Any]:
    """Fine-tunes `recipe.train` on a dataset.

    Args:
        recipe: The whole recipe; its `train` and `compute` sections decide.
        dataset: A file, a dataset folder, a run, or a hub id.
        out: The checkpoint's folder.
        suites: The evaluation suites by name: the dataset must be certified as decontaminated against them.
        score: Evaluates a checkpoint on the dev suite; needed for `checkpoint_select: generations`.
        allow_uncertified: Train without that certificate.

    Returns the checkpoint's manifest. Raises CertificateError if the dataset has no certificate for the suites,
    DataError if a row cannot be trained on, TrainingError if the job failed; it continues when it is started again.
    On another node than the first: what the folder shows after `take_part`.
    """
    check_selection(recipe)
    if not is_first_node(recipe):
        take_part(recipe, out)
        return read_json(out / MANIFEST) or {}
    if not (out / MANIFEST).exists():  # what is finished may have been trained on another machine
        check_setup(recipe, out)
    rows = rows_of(str(dataset))
    certificate = None
    if suites:
        for problem in require_certificate(Path(rows), suites, allow_uncertified)["problems"]:
            print(f"  train: uncertified: {problem}", file=sys.stderr)
        certificate = certificate_path(Path(rows)) if certificate_path(Path(rows)).is_file() else None
    base = download_model(ModelRef(recipe.train.model_name_or_path, recipe.train.model_revision))
    job = make_job(recipe, rows, str(base), out, certificate)
    manifest = finish_job(job)
    if recipe.train.checkpoint_select == "generations":
        if "selected_step" not in manifest:
            manifest = select_checkpoint(job, manifest, score)
        elif other := chosen_by_another(job):
            print(f"  train: {other}", file=sys.stderr)
    shutil.rmtree(job.steps, ignore_errors=True)
    return manifest


def finish_job(job: Job) -> dict[str, Any]:
    """The manifest of a job that is finished already, or is now started or continued. Raises as `train` does."""
    manifest = _finished(job)
    if manifest is not None:
        print(f"  train: {job.out} is finished already ({manifest['steps']} steps)", file=sys.stderr)
        return manifest
    refuse_replacement(job.recipe, job.folder, job.content)
    return _run(job)


def _run(job: Job) -> dict[str, Any]:
    recipe = job.recipe
    with only_trainer(job):  # of an earlier driver: it must be gone before anything is touched
        _remove_leftovers(job)
    command = launch_command(job.file, recipe)
    if recipe.train.deepspeed != "none":
        refuse_stale_locks()
    write_job(job)
    slurm = recipe.compute.launcher == "slurm"
    if slurm:
        write_file(job.folder / JOB_SCRIPT, slurm_script(job.file, recipe))
    # A batch job may wait in its queue for days; once it runs, the ranks' own watchdogs enforce the limit.
    hang_timeout_s = math.inf if slurm else recipe.compute.hang_timeout_s
    waits_for = others_line(recipe) if meets_others(recipe) else ""
    code = run_trainer(command, environment(job), job.own, hang_timeout_s, waits_for=waits_for)
    manifest = _finished(job)
    if manifest is None:
        raise failure(job, code, waits_for)
    data = manifest["data"]
    print(
        f"  train: {manifest['steps']} steps on {data['kept']} rows ({data['tokens']} tokens, {data['dropped_too_long']} dropped, "
        f"{data['truncated']} truncated as longer than {recipe.train.max_length}), last loss {manifest['final_loss']:.4f}: {job.out}",
        file=sys.stderr,
    )
    return manifest


def failure(job: Job, code: int, waited_for: str) -> EvoltuneError:
    """Why this node's ranks ended without a result."""
    said = read_error(job)
    if said is None and shutil.disk_usage(job.folder).free < NO_ROOM_BYTES:  # not even for the rank's error
        said = disk_full(job)
    is_stopped = (job.own / STOP).exists()
    how = f"the trainer ended with exit code {code} and without a checkpoint: see its last lines above"
    if is_stopped:
        how = "stopped on request" if _has_begun(job.own) else "stopped on request before training began"
    error = said or TrainingError(f"{how}; run the same command again to continue")
    if is_stopped:
        error.exit_code = INTERRUPTED
    elif waited_for and said is None and not _has_begun(job.own):
        compute = job.recipe.compute
        return TrainingError(
            f"compute.rendezvous: the {compute.nodes} nodes of compute.nodes did not meet at {compute.rendezvous} (exit code "
            f"{code}): waited for {waited_for}, at most compute.hang_timeout_s, 600 s"
        )
    return error


def take_part(recipe: Recipe, out: Path, stages: Sequence[str] = ("train",)) -> None:
    """What a node other than the first does: it waits until the first one begins to train, and runs its ranks.

    The rows come from the first node, which alone writes `out`; what this node needs is in a folder of its own below it.
    Raises TrainingError if the training failed.
    """
    check_setup(recipe, out)
    first = f"the first node, {recipe.compute.rendezvous}"
    print(f"this run is owned by {first}; this node takes part in train", file=sys.stderr, flush=True)
    if "train" not in stages:
        return
    base = download_model(ModelRef(recipe.train.model_name_or_path, recipe.train.model_revision))
    node = out.resolve() / NODES / node_name(recipe)
    job = Job(recipe=recipe, rows="", base=str(base), out=str(out.resolve()), fingerprint="", node=str(node))
    with locked(node, TRAIN_LOCK):
        remove_errors(job)
        wait_for_first_node(recipe)
        write_job(job)
        limit_s = recipe.compute.hang_timeout_s
        code = run_trainer(launch_command(job.file, recipe), environment(job), node, limit_s, waits_for=first)
        if code or read_error(job) or (node / STOP).exists():
            raise failure(job, code, first)
    print(f"  train: this node's part is done; the results are on {first}", file=sys.stderr)


def _finished(job: Job) -> dict[str, Any] | None:
    manifest = read_json(job.folder / MANIFEST)
    return manifest if manifest and manifest.get("fingerprint") == job.fingerprint else None


def _remove_leftovers(job: Job) -> None:
    """Removes the notes of an earlier attempt. Its checkpoints stay, also when the job is to start again."""
    remove_errors(job)
    if job.recipe.train.resume_from_checkpoint or not any(job.steps.glob("checkpoint-*")):
        if job.file.is_file() and read_job(job.file).fingerprint != job.fingerprint:
            for name in (METRICS, SAMPLED):
                (job.folder / name).unlink(missing_ok=True)
        return
    number = next(n for n in itertools.count(1) if not (job.folder / f"{STEPS}-{n}").exists())
    job.steps.rename(job.folder / f"{STEPS}-{number}")
    print(
        f"  train: starts again; the checkpoints up to now are kept in {job.folder / f'{STEPS}-{number}'}",
        file=sys.stderr,
    )


def environment(job: Job) -> dict[str, str]:
    """The trainer's variables: our defaults, then the user's own, then those of the recipe, each overriding the former."""
    defaults = {
        "TOKENIZERS_PARALLELISM": "false",
        "TRANSFORMERS_VERBOSITY": "error",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "PYTHONWARNINGS": "ignore",
        # A separate store for each rendezvous. With a shared one, a restart that only one agent counts makes ranks wait for
        # different keys, or dial addresses of the round before: two nodes hung until the restart budget was used up.
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
        # OpenMP threads that spin starve each other on a busy machine: 25 s a step, not 2.5 s, at load 4 on 2 cores.
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    chosen = chosen_variables(job.recipe)
    if other := sorted(name for name, value in chosen.items() if os.environ.get(name, value) != value):
        print(f"  train: compute.env overrides the shell's {', '.join(other)}", file=sys.stderr)
    return {**defaults, **network_environment(job.recipe), **os.environ, **chosen}


def run_trainer(
    command: Sequence[str], env: Mapping[str, str], folder: Path, hang_timeout_s: float, *, waits_for: str = ""
) -> int:
    """Returns the command's exit code. `waits_for`: the nodes without which the ranks cannot begin, said every minute.

    Raises TrainingError if `folder/heartbeat` did not change for twice `hang_timeout_s` and a minute, in which neither this
    process nor the trainer stood still (a suspended job, a machine asleep). The ranks end themselves at `hang_timeout_s`, so that an elastic job restarts; this limit
    is for ranks that cannot. The command ends when this process is gone, however it ended.
    """
    (folder / STOP).unlink(missing_ok=True)
    with _signals_as_stop_file(folder) as started:
        (folder / HEARTBEAT).write_text(f"{_START}\n", encoding="utf-8")
        process = subprocess.Popen(tethered(command), env=dict(env), start_new_session=True)
        started.append(process)
        try:
            return _wait(process, folder, 2 * hang_timeout_s + 60, waits_for)
        finally:
            _end_group(process)


def _has_begun(folder: Path) -> bool:
    """Whether a rank has loaded the model: until then there is nothing to save."""
    return (folder / HEARTBEAT).read_text(encoding="utf-8").strip() != _START


def _wait(process: subprocess.Popen[bytes], folder: Path, limit_s: float, waits_for: str) -> int:
    """The exit code. Raises TrainingError when the heartbeat stands still for longer than the limit."""
    beat, silent, looked = 0, AwakeTime(_POLL_S), 0.0
    say_at = time.monotonic() + SAY_EVERY_S if waits_for else math.inf
    while (code := _poll(process)) is None:
        now, last_beat = time.monotonic(), (folder / HEARTBEAT).stat().st_mtime_ns
        if last_beat != beat:
            beat, silent, looked = last_beat, AwakeTime(_POLL_S), 0.0
        if waits_for and (folder / STOP).exists() and not _has_begun(folder):
            _end_group(process)  # no rank could see the file, and there is nothing to save
        if now >= say_at:
            say_at = math.inf if _has_begun(folder) else now + SAY_EVERY_S
            if say_at < math.inf:
                print(f"  train: waits for {waits_for}, or for them to load the model", file=sys.stderr, flush=True)
        if (waited := silent.seconds()) - looked > limit_s / LOOKS:
            looked = waited
            if is_suspended(process.pid):
                silent, waited, looked = AwakeTime(_POLL_S), 0.0, 0.0
        if waited > limit_s:
            last = (folder / HEARTBEAT).read_text(encoding="utf-8").strip()
            raise TrainingError(
                f"the trainer showed no progress for {waited:.0f} s (last: {last}) and was ended: run the same command "
                "again to continue from the last checkpoint; compute.hang_timeout_s sets the limit"
            )
    return code


def _poll(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(_POLL_S)
    except subprocess.TimeoutExpired:
        return None


@contextmanager
def _signals_as_stop_file(folder: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Yields a list for the process, which a second signal ends."""
    started: list[subprocess.Popen[bytes]] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        if (folder / STOP).exists():
            for process in started:
                _end_group(process)
        (folder / STOP).touch()

    try:
        wanted = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup: go on when the terminal is closed
            wanted.append(signal.SIGHUP)
        old = {number: signal.signal(number, on_signal) for number in wanted}
    except ValueError:  # only the main thread gets signals, so our caller handles them
        yield started
        return
    try:
        yield started
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends the command and its children: SIGTERM, and SIGKILL after 10 s."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
    process.wait()
