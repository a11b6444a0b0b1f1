"""Changes to queries do what their names say, on a database; and `domains check` finds what only they can show."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from evoltune.domain_kit.conformance import check_domain
from evoltune.domain_kit.queries import equal_forms, other_results

EXAMPLE = Path(__file__).parents[2] / "examples" / "evoltune-sql"
SCHEMA = """
CREATE TABLE boats (name TEXT, length REAL, port TEXT);
INSERT INTO boats VALUES ('Ada', 9.5, 'Bergen'), ('Bo', 12.0, 'Oslo, FROM'), ('Cy', 7.25, 'Oslo, FROM'), ('Di', 12.5, 'Riga');
"""
QUERIES = [
    "SELECT COUNT(*) FROM boats",
    "SELECT name, length FROM boats WHERE port = 'Oslo, FROM'",
    "SELECT name FROM boats ORDER BY length DESC;",
    "SELECT port, SUM(length), COUNT(*) FROM boats GROUP BY port ORDER BY port, name",
    "select * from boats where length > (SELECT AVG(length) FROM boats)",
    "WITH long AS (SELECT * FROM boats WHERE length > 8) SELECT name FROM long",
    "SELECT name FROM boats ORDER BY length LIMIT 1",
    "SELECT COALESCE(port, 'a, b'), name FROM boats",
]


@pytest.mark.parametrize("query", QUERIES)
def test_changes_of_a_query_give_something_else_and_its_other_forms_the_same(query):
    database = sqlite3.connect(":memory:")
    database.executescript(SCHEMA)
    is_ordered = "ORDER" in query

    def rows(text):
        found = database.execute(text).fetchall()
        return found if is_ordered else Counter(found)

    expected = rows(query)
    assert {"each row twice", "no row", "a row lost"} <= {*other_results(query)}
    assert ("rows in the other order" in other_results(query)) == (is_ordered and "LIMIT" not in query)
    assert {kind for kind, form in equal_forms(query).items() if rows(form) != expected} == set()
    assert {kind for kind, wrong in other_results(query).items() if rows(wrong) == expected} == set()


@pytest.mark.parametrize("text", ["select the right word", "FROM here", "", "SELECTED from", "7"])
def test_what_is_no_query_has_no_such_changes(text):
    assert other_results(text) == equal_forms(text) == {}


SAME = "(a == b if ordered else Counter(a) == Counter(b))"
FAULTS = {
    "columns in any order": (SAME, "Counter(map(frozenset, a)) == Counter(map(frozenset, b))"),
    "order is not looked at": ("ordered=orders(reference)", "ordered=False"),
    "order always counts": ("ordered=orders(reference)", "ordered=True"),
    "order counts where the answer has one": ("ordered=orders(reference)", "ordered=orders(candidate)"),
    "whole numbers only": ("round(float(value), 6)", "round(float(value))"),
    "no signs": ("round(float(value), 6)", "abs(round(float(value), 6))"),
    "sets": (SAME, "set(a) == set(b)"),
    "some rows suffice": (SAME, "Counter(a) <= Counter(b)"),
    "capitals only": ('r"\\b(select|with)\\b", text, re.IGNORECASE', 'r"\\b(SELECT|WITH)\\b", text'),
    "the same text": ("if not same(got", "if candidate.split() != reference.split() or not same(got"),
    "a reason as long as the answer": ('reason=f"{len(got.rows)} rows', 'reason=f"{candidate}: {len(got.rows)} rows'),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_queries_show_is_found(fault, tmp_path):
    package = tmp_path / "evoltune-sql"
    shutil.copytree(EXAMPLE, package)
    source, (old, new) = package / "evoltune_sql" / "__init__.py", FAULTS[fault]
    text = source.read_text(encoding="utf-8")
    assert text.count(old) == 1
    source.write_text(text.replace(old, new), encoding="utf-8")
    assert [finding for finding in check_domain(str(package), seconds=6) if finding.ok is False]
