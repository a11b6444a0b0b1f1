"""How many GPUs a process may use, with a stand-in for the driver's nvidia-smi."""

import os
import subprocess

import pytest

from evoltune.cluster.gpus import gpu_count, installed_gpus

TWO = "NVIDIA H100 80GB HBM3, 81559 MiB, 550.54.15"


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Puts an nvidia-smi with this shell body first on PATH."""

    def install(body: str) -> None:
        tool = tmp_path / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\n{body}\n")
        tool.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    installed_gpus.cache_clear()
    yield install
    installed_gpus.cache_clear()


def test_all_gpus_of_the_machine_are_counted(nvidia_smi):
    nvidia_smi(f"echo '{TWO}'; echo '{TWO}'")
    assert gpu_count() == 2
    assert installed_gpus() == (TWO, TWO)


def test_a_machine_without_a_driver_has_none(nvidia_smi, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_count() == 0
    assert installed_gpus() == ()


def test_a_driver_that_fails_is_an_error_to_doctor_and_no_gpu_to_a_launcher(nvidia_smi):
    nvidia_smi("echo 'Failed to initialize NVML: Driver/library version mismatch' >&2; exit 18")
    assert gpu_count() == 0
    with pytest.raises(subprocess.CalledProcessError) as caught:
        installed_gpus()
    assert "version mismatch" in caught.value.stderr


@pytest.mark.parametrize(
    ("visible", "count"), [("", 0), ("-1", 0), ("0", 1), ("2, 3", 2), ("0,-1,1", 1), ("MIG-1a,GPU-2b", 2)]
)
def test_cuda_visible_devices_decides_up_to_its_first_invalid_entry(nvidia_smi, monkeypatch, visible, count):
    nvidia_smi(f"echo '{TWO}'")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu_count() == count
