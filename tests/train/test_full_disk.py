"""A full disk while a rank trains is one line that names the folder and the key, whatever the library calls it."""

from __future__ import annotations

import errno
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from evoltune.errors import TrainingError
from evoltune.recipe import load_recipe
from evoltune.train.__main__ import saying_full
from evoltune.train.job import Job, write_error
from evoltune.train.launch import failure


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded", "/runs/mine/steps/checkpoint-2/optimizer.pt"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 640 vs 534"),
    ],
)
def test_a_full_disk_names_the_folder_and_what_to_do(error: Exception, tmp_path: Path):
    job = Job(recipe=load_recipe("smoke/math"), rows="", base="", out=str(tmp_path), fingerprint="")
    with pytest.raises(TrainingError) as raised, saying_full(job):
        raise error
    told = str(raised.value)
    assert str(getattr(error, "filename", None) or tmp_path) in told and "train.save_total_limit" in told
    with pytest.raises(RuntimeError, match="something else"), saying_full(job):
        raise RuntimeError("something else")


def test_an_error_that_finds_no_room_is_printed_and_the_driver_says_that_the_disk_is_full(tmp_path: Path, capfd):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if (mounted := subprocess.run(mount, capture_output=True, text=True)).returncode:
        pytest.skip(f"cannot mount here: {mounted.stderr.strip()}")
    try:
        job = Job(recipe=load_recipe("smoke/math"), rows="", base="", out=str(disk / "out"), fingerprint="")
        job.own.mkdir(parents=True)
        with suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))
        write_error(job, 0, TrainingError("rows.jsonl: line 3 has no question"))
        assert "line 3 has no question" in capfd.readouterr().err
        told = str(failure(job, 1, ""))
        assert "no space left" in told and str(disk) in told
    finally:
        subprocess.run(["umount", str(disk)], check=True)
