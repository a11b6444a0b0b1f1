"""The sql domain keeps every law of the conformance suite, and hostile queries have no effect."""

from pathlib import Path

import pytest
from evoltune_sql import orders, seeds, verify

from evoltune import Context, Task, Verdict
from evoltune.domain_kit.conformance import check_domain

HERE = Path(__file__).resolve().parents[1]
CONTEXT = Context(run=lambda job: Verdict(status="error"), policy={})
TASK = next(iter(seeds())).task


def status(query: str, task: Task = TASK) -> str:
    return verify(task, query, CONTEXT).status


def test_the_domain_keeps_every_law():
    assert [f"{f.name}: {f.detail}" for f in check_domain(str(HERE), seconds=8) if f.ok is False] == []


def test_equal_results_pass_whatever_the_query_looks_like():
    assert status("select count(id) from customers c where c.city in ('Oslo')") == "pass"
    assert status("SELECT COUNT(*) FROM customers") == "fail"


def test_a_constant_that_happens_to_be_right_does_not_pass():
    assert status("SELECT 2") == "fail"


def test_order_counts_only_where_the_reference_orders():
    by_name = next(s.task for s in seeds() if orders(s.task.reference or ""))
    assert status("SELECT name FROM customers ORDER BY name DESC", by_name) == "fail"
    assert not orders("SELECT a FROM (SELECT a FROM t ORDER BY a)") and orders("SELECT ')' FROM t order  by 1")


@pytest.mark.parametrize(
    "query",
    [
        "DROP TABLE customers", "SELECT 1; DROP TABLE customers", "ATTACH DATABASE '/tmp/evoltune-sql-canary' AS x",
        "PRAGMA writable_schema=1", "INSERT INTO customers VALUES (9,'x','y')", "SELECT load_extension('/tmp/x.so')",
        "VACUUM INTO '/tmp/evoltune-sql-canary'", "SELECT zeroblob(2000000000)", "SELECT \x00", "CREATE TABLE x(a)",
    ],
)  # fmt: skip
def test_injected_statements_fail_and_leave_nothing(query: str):
    assert status(query) == "fail"
    assert not Path("/tmp/evoltune-sql-canary").exists()


def test_an_endless_query_times_out():
    assert status("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n") == "timeout"


def test_a_flood_of_rows_is_refused():
    flood = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000) SELECT i FROM n"
    assert status(flood) == "fail"
