"""The commands that start trainer ranks: alone, torchrun on one or many nodes, deepspeed with a hostfile, Slurm. No torch.

command_for(Path("out/job.json"), recipe)      # what this machine runs
slurm_script(Path("out/job.json"), recipe)     # what sbatch is given
"""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from evoltune.errors import RecipeError
from evoltune.recipe import Recipe

PORT = 29500
_SIOCGIFADDR = 0x8915
SLURM_WARNING_S = 300
"""Slurm signals this long before the time limit: enough to write a checkpoint of tens of gigabytes."""


def command_for(job: Path, recipe: Recipe) -> list[str]:
    """What this machine runs. Raises RecipeError for a launcher that lacks something."""
    compute = recipe.compute
    ranks = ranks_per_node(recipe)
    if compute.launcher == "slurm":
        return ["sbatch", "--wait", str(job.parent / "job.sh")]
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
    # A slow monitor lets the nodes restart out of step, and each round out of step costs a restart of the budget.
    return [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(ranks),
        "--max-restarts", str(recipe.compute.max_restarts), "--monitor-interval", "1",
    ]  # fmt: skip


def _torchrun(job: Path, recipe: Recipe, ranks: int) -> list[str]:
    host, port = _endpoint(recipe.compute.rendezvous)
    ours = _address_towards(host, port)
    wait = int(min(recipe.compute.hang_timeout_s, 600))
    return [
        *_agent(recipe, ranks), "--nnodes", str(recipe.compute.nodes),
        "--rdzv-backend", "c10d", "--rdzv-id", recipe.name or "evoltune", "--rdzv-endpoint", f"{host}:{port}",
        "--rdzv-conf", f"is_host={int(_is_local(host))},timeout={wait},join_timeout={wait}",
        "--local-addr", ours, "-m", "evoltune.train", str(job),
    ]  # fmt: skip


def _deepspeed(job: Path, recipe: Recipe, ranks: int) -> list[str]:
    compute = recipe.compute
    if compute.nodes > 1 and not compute.hostfile:
        raise RecipeError(
            "compute.hostfile: the deepspeed launcher needs one for several nodes: lines of `HOST slots=8`"
        )
    hosts = ["--hostfile", str(Path(compute.hostfile).resolve())] if compute.hostfile else []
    nodes = ["--num_nodes", str(compute.nodes)] if compute.hostfile else []
    return [
        sys.executable, "-m", "deepspeed.launcher.runner", *hosts, *nodes, "--num_gpus", str(ranks),
        "--module", "evoltune.train", str(job),
    ]  # fmt: skip


def ranks_per_node(recipe: Recipe) -> int:
    """`compute.gpus_per_node`, else the GPUs of this machine, else one process on the CPU."""
    return recipe.compute.gpus_per_node or max(1, _gpus())


def _gpus() -> int:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([v for v in visible.split(",") if v.strip() not in ("", "-1")])
    if shutil.which("nvidia-smi") is None:
        return 0
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


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
        "open-mode": "append",
        "signal": f"B:USR1@{SLURM_WARNING_S}",
        **{key.lstrip("-"): value for key, value in compute.slurm.items()},
    }
    stop = shlex.quote(str(job.parent / "stop"))
    agent = [
        *_agent(recipe, ranks), "--nnodes", str(compute.nodes), "--rdzv-backend", "c10d",
        "--rdzv-conf", f"timeout={int(min(compute.hang_timeout_s, 600))}",
    ]  # fmt: skip
    return "\n".join(
        [
            "#!/bin/bash",
            *(f"#SBATCH --{key}={value}" for key, value in options.items()),
            "set -euo pipefail",
            *(f"export {key}={shlex.quote(value)}" for key, value in compute.env.items()),
            'first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
            f"rm -f {stop}",
            f"trap 'touch {stop}' USR1",
            f'srun --kill-on-bad-exit=1 {shlex.join(agent)} --rdzv-id "$SLURM_JOB_ID" --rdzv-endpoint "$first:{PORT}" '
            f"-m evoltune.train {shlex.quote(str(job))} &",
            "step=$!",
            "status=0",
            'while kill -0 "$step" 2> /dev/null; do',
            '  if wait "$step"; then status=0; else status=$?; fi',
            "done",
            f"if [ -e {stop} ]; then",
            f"  rm -f {stop}",
            '  scontrol requeue "$SLURM_JOB_ID"',
            "fi",
            'exit "$status"',
            "",
        ]
    )


# ---- which machine is this


def network_environment(recipe: Recipe) -> dict[str, str]:
    """For several nodes: the interface that leads to the rendezvous, which Gloo and NCCL otherwise guess wrongly."""
    if recipe.compute.nodes == 1 or recipe.compute.launcher != "torchrun":
        return {}
    name = _interface_of(_address_towards(*_endpoint(recipe.compute.rendezvous)))
    return (
        {key: name for key in ("GLOO_SOCKET_IFNAME", "TP_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")}
        if name
        else {}
    )


def _endpoint(text: str) -> tuple[str, int]:
    host, _, port = text.partition(":")
    if not host or (port and not port.isdigit()):
        raise RecipeError(
            f"compute.rendezvous: {text!r} must be HOST or HOST:PORT of the first node (start the same command on each node)"
        )
    return host, int(port or PORT)


def _is_local(host: str) -> bool:
    """Whether this machine has that address: only then can it be bound."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((socket.gethostbyname(host), 0))
            return True
    except OSError:
        return False


def _address_towards(host: str, port: int) -> str:
    """Our address on the way to `host`. Connecting a datagram socket sends nothing."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((socket.gethostbyname(host), port))
            return str(probe.getsockname()[0])
    except OSError as error:
        raise RecipeError(f"compute.rendezvous: {host!r} cannot be reached from here: {error}") from error


def _interface_of(address: str) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                raw = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:  # an interface without an address
                continue
            if socket.inet_ntoa(raw[20:24]) == address:
                return name
    return ""


def shell(command: Sequence[str]) -> str:
    return shlex.join(command)
