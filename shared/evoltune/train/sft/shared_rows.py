"""Training rows for nodes that do not have them: rank 0 sends its files to the others.

job = with_rows(job, rank, world)      # job.rows is a place that this node can read

A collective: all ranks call it, after the process group exists. Where every node has the rows, nothing is sent.
"""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from torch import distributed

from evoltune.rows.readers import source_files
from evoltune.train.job import Job, leads_node

CHUNK = 32 * 2**20


def with_rows(job: Job, rank: int, world: int) -> Job:
    """The job with the place of the rows on this node. Raises OSError where a copy cannot be written."""
    if world == 1 or all(_gathered(bool(job.rows), world)):
        return job
    path = Path(job.rows)
    kind = "folder" if path.is_dir() else "file" if path.is_file() else "hub id"
    kind, name = _from_first((kind, job.rows if kind == "hub id" else path.name))
    if kind == "hub id":
        return msgspec.structs.replace(job, rows=name)
    folder, writes = job.own / "rows", not job.rows and leads_node(job)
    if writes:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    parts = _parts(path) if rank == 0 else iter(())
    while part := _from_first(next(parts, None)):
        if writes:
            with (folder / part[0]).open("ab") as file:
                file.write(part[1])
    distributed.barrier()  # the first rank of each node has written its copy
    copy = folder if kind == "folder" else folder / name
    return msgspec.structs.replace(job, rows=job.rows or str(copy))


def is_shared(job: Job, rank: int, world: int) -> bool:
    """Whether all ranks see one folder of the job."""
    if world == 1:
        return True
    mark = job.folder / f".shared-{uuid.uuid4().hex}"
    if rank == 0:
        mark.touch()
    seen = all(_gathered((job.folder / _from_first(mark.name)).exists(), world))
    if rank == 0:
        mark.unlink()
    return seen


def _parts(rows: Path) -> Iterator[tuple[str, bytes]]:
    """(file name, part of its content) of every file that training reads."""
    for path in source_files(rows)[0]:
        with path.open("rb") as file:
            while part := file.read(CHUNK):
                yield path.name, part


def _from_first(value: Any) -> Any:
    """Rank 0's value, on every rank."""
    values = [value]
    distributed.broadcast_object_list(values, src=0)
    return values[0]


def _gathered(value: bool, world: int) -> list[bool]:
    found: list[Any] = [None] * world
    distributed.all_gather_object(found, value)
    return found
