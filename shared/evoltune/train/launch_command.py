"""The commands that start a job's ranks: one process, torchrun on one or many nodes, deepspeed, Slurm. Imports no torch.

launch_command(Path("out/job.json"), recipe)   # what this machine runs
slurm_script(Path("out/job.json"), recipe)     # what sbatch is given
"""

import shlex
import sys
from pathlib import Path

from msgspec.structs import replace

from evoltune.cluster.gpus import gpu_count
from evoltune.cluster.hostfile import read_hostfile
from evoltune.cluster.slurm import batch_script
from evoltune.cluster.variables import written_variables
from evoltune.errors import DataError, RecipeError
from evoltune.recipe import Recipe
from evoltune.run.paths import CHECKPOINT, JOB, JOB_SCRIPT, STOP, default_folder
from evoltune.train.nodes import PORT, address_towards, is_first_node, rendezvous


def launch_command(job: Path, recipe: Recipe) -> list[str]:
    """The command for this machine. Raises RecipeError if the launcher needs a setting that is missing."""
    compute = recipe.compute
    ranks = ranks_per_node(recipe)
    if compute.launcher == "slurm":
        return ["sbatch", "--wait", str(job.parent / JOB_SCRIPT)]
    if compute.launcher == "deepspeed":
        return _deepspeed(job, recipe, ranks)
    if compute.nodes > 1:
        if compute.launcher == "local":
            raise RecipeError(
                f"compute.launcher: 'local' runs on one machine, compute.nodes is {compute.nodes}: use torchrun, deepspeed or slurm"
            )
        return _torchrun(job, recipe, ranks)
    if ranks == 1 and recipe.train.deepspeed == "none":
        return [sys.executable, "-m", "evoltune.train", str(job)]
    return [
        *_agent(recipe, ranks), "--standalone", "--nnodes", "1", "-m", "evoltune.train", str(job),
    ]  # fmt: skip


def _agent(recipe: Recipe, ranks: int) -> list[str]:
    # With the default interval of 5 s, nodes notice a failure at different times, and each late one costs a restart more.
    return [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(ranks),
        "--max-restarts", str(recipe.compute.max_restarts), "--monitor-interval", "1",
    ]  # fmt: skip


def _torchrun(job: Path, recipe: Recipe, ranks: int) -> list[str]:
    host, port = rendezvous(recipe)
    wait = int(min(recipe.compute.hang_timeout_s, 600))
    return [
        *_agent(recipe, ranks), "--nnodes", str(recipe.compute.nodes),
        "--rdzv-backend", "c10d", "--rdzv-id", recipe.name or "evoltune", "--rdzv-endpoint", f"{host}:{port}",
        "--rdzv-conf", f"is_host={int(is_first_node(recipe))},timeout={wait},join_timeout={wait}",
        "--local-addr", address_towards(host, port), "-m", "evoltune.train", str(job),
    ]  # fmt: skip


def _deepspeed(job: Path, recipe: Recipe, ranks: int) -> list[str]:
    compute = recipe.compute
    if compute.nodes > 1 and not compute.hostfile:
        raise RecipeError(
            "compute.hostfile: the deepspeed launcher needs one for several nodes: lines of `HOST slots=8`"
        )
    hosts = []
    if compute.hostfile:
        _check_hosts(compute.hostfile, compute.nodes, ranks)
        hosts = ["--hostfile", str(Path(compute.hostfile).resolve()), "--num_nodes", str(compute.nodes)]
    return [
        sys.executable, "-m", "deepspeed.launcher.runner", *hosts, "--num_gpus", str(ranks),
        "--module", "evoltune.train", str(job),
    ]  # fmt: skip


def _check_hosts(hostfile: str, nodes: int, ranks: int) -> None:
    """Raises RecipeError for a hostfile that cannot be read or does not hold the ranks."""
    try:
        found = read_hostfile(Path(hostfile))
    except DataError as error:
        raise RecipeError(f"compute.hostfile: {error}") from error
    if len(found) < nodes:
        raise RecipeError(f"compute.hostfile: {hostfile} names {len(found)} hosts, compute.nodes is {nodes}")
    for host, slots in found[:nodes]:
        if slots < ranks:
            raise RecipeError(
                f"compute.hostfile: {hostfile} gives {host} {slots} slots, compute.gpus_per_node is {ranks}"
            )


def ranks_per_node(recipe: Recipe) -> int:
    """`compute.gpus_per_node`, else the GPUs of this machine, else one process on the CPU."""
    return recipe.compute.gpus_per_node or max(1, gpu_count())


def launch_text(recipe: Recipe, out: Path | None = None) -> str:
    """What would be started: the command for this machine, or the batch script."""
    job = (out or default_folder(recipe.name) / CHECKPOINT).resolve() / JOB
    if recipe.compute.launcher == "slurm":
        return slurm_script(job, recipe)
    if recipe.compute.launcher == "torchrun" and not recipe.compute.rendezvous:
        recipe = replace(recipe, compute=replace(recipe.compute, rendezvous="127.0.0.1"))
    return shlex.join(launch_command(job, recipe))


# ---- Slurm


def slurm_script(job: Path, recipe: Recipe) -> str:
    """One agent a node under srun. Before the time limit the job saves a checkpoint and requeues itself."""
    compute = recipe.compute
    ranks = ranks_per_node(recipe)
    options = {
        "job-name": recipe.name or "evoltune",
        "nodes": str(compute.nodes),
        "ntasks-per-node": "1",
        "gpus-per-node": str(ranks),
        "output": str(job.parent / "slurm-%j.log"),
        **compute.slurm,
    }
    stop = shlex.quote(str(job.parent / STOP))
    agent = [
        *_agent(recipe, ranks), "--nnodes", str(compute.nodes), "--rdzv-backend", "c10d",
        "--rdzv-conf", f"timeout={int(min(compute.hang_timeout_s, 600))}",
    ]  # fmt: skip
    return batch_script(
        options,
        written_variables(recipe),
        f'srun --kill-on-bad-exit=1 {shlex.join(agent)} --rdzv-id "$SLURM_JOB_ID" --rdzv-endpoint "$first:{PORT}" '
        f"-m evoltune.train {shlex.quote(str(job))}",
        stop=f"touch {stop}",
        requeue_if=f"[ -e {stop} ] && rm -f {stop}",
        setup=('first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)', f"rm -f {stop}"),
    )


def network_environment(recipe: Recipe) -> dict[str, str]:
    """For several nodes, the variables that make Gloo and NCCL use the interface towards the rendezvous.

    Without them, they choose the first interface with an address, which is often the wrong one.
    """
    if recipe.compute.nodes == 1 or recipe.compute.launcher != "torchrun":
        return {}
    name = _interface_of(address_towards(*rendezvous(recipe)))
    variables = ("GLOO_SOCKET_IFNAME", "TP_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
    return dict.fromkeys(variables, name) if name else {}


def _interface_of(address: str) -> str:
    import psutil

    for name, found in psutil.net_if_addrs().items():
        if any(entry.address == address for entry in found):
            return str(name)
    return ""
