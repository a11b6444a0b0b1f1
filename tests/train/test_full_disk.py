"""A full disk while a rank trains is one line that names the folder and the key, whatever the library calls it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from evoltune.errors import TrainingError
from evoltune.recipe import load_recipe
from evoltune.train.__main__ import saying_full
from evoltune.train.job import Job


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
