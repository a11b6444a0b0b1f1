"""What a pool gives for items whose verifier process raises, dies, or runs out of time."""

import pytest

from evoltune.record import Record, Task
from evoltune.sandbox.pool import Pool
from evoltune.sandbox.worker_protocol import WorkerConfig, WorkerLost

DOMAIN = """
import os
from evoltune import Domain, Verdict

def overlap(record, suite, context):
    what = record.task.instruction
    if what == "raise":
        raise KeyError("no such thing")
    if what == "die":
        os.abort()
    while what == "spin":
        pass
    return [what]

domain = Domain(name="crashing", seeds=list, operators=(), overlap={"same": overlap},
                verify=lambda task, candidate, context: Verdict(status="pass"))
"""


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    package = tmp_path_factory.mktemp("pool") / "crashing_domain"
    package.mkdir()
    (package / "__init__.py").write_text(DOMAIN)
    opened = Pool(WorkerConfig(domain=str(package), require="L0", check_s=0.5), workers=1)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("instruction", "status", "reason"),
    [("raise", "error", "KeyError"), ("die", "error", "died"), ("spin", "timeout", "0.5 s of CPU")],
)
def test_an_overlap_check_without_a_result_is_a_lost_item_and_its_neighbours_are_answered(
    pool, instruction, status, reason
):
    records = [Record(domain="crashing", task=Task(instruction=i)) for i in ("a", instruction, "b")]
    first, lost, last = pool.map("overlap", ((("same", []), record) for record in records))
    assert (first, last) == (["a"], ["b"])
    assert isinstance(lost, WorkerLost) and lost.status == status and reason in lost.reason
