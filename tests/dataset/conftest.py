"""Records and a written dataset."""

import pytest

from evoltune.curate.certificate import build_certificate
from evoltune.dataset.write import write_dataset
from evoltune.recipe import Curate, Recipe, Seeds
from evoltune.record import Answer, Record, Task, Verdict

PASS = Verdict(status="pass")


def _record(i=0, answers=(("a", PASS),), **more):
    made = tuple(Answer(text=text, model="seed", verdict=verdict) for text, verdict in answers)
    return Record(domain="toy", task=Task(instruction=f"task {i}", name=str(i), **more), answers=made)


def _write(folder, records, **curate):
    recipe = Recipe(domain="toy", name="toy", curate=Curate(**curate), seeds=Seeds(licence="MIT"))
    proof = build_certificate({}, {}, rows={}, hits=[])
    rows = sorted(records, key=lambda r: r.id)
    return write_dataset(rows, folder, recipe, proof, {"verify": {"in": 3, "kept": 2, "fail": 1}})


@pytest.fixture(scope="session")
def record():
    """(number, ((answer, verdict), ...), **fields of the task) -> a record."""
    return _record


@pytest.fixture(scope="session")
def write():
    """(folder, records, **curate options) -> the folder of the written dataset."""
    return _write
