"""The GPUs of this machine, without loading CUDA or torch.

nvidia-smi comes with every driver and, in a container, shows only the container's GPUs, while /proc/driver/nvidia/gpus shows
all of the host's. How many training processes a node runs is decided in train/launch_command.py.
"""

import os
import shutil
import subprocess
from functools import cache
from itertools import takewhile


def gpu_count() -> int:
    """GPUs that this process may use: those in CUDA_VISIBLE_DEVICES, else all of the machine; 0 when the driver fails."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:  # CUDA ignores everything from the first invalid entry on
        return len(list(takewhile(lambda gpu: gpu.strip() not in ("", "-1"), visible.split(","))))
    try:
        return len(installed_gpus())
    except subprocess.CalledProcessError:
        return 0


@cache
def installed_gpus() -> tuple[str, ...]:
    """Name, memory and driver version of each GPU. Raises CalledProcessError when nvidia-smi fails."""
    if shutil.which("nvidia-smi") is None:
        return ()
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    found = subprocess.run(query, capture_output=True, text=True, timeout=60, check=True)
    return tuple(line.strip() for line in found.stdout.splitlines() if line.strip())
