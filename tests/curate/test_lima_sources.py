"""LIMA's selection over its five sources at once: quotas, rules, diversity, and no row that is neither taken nor counted."""

import json
from collections import Counter
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lima_sources import SITES, write_sources

from evoltune.cli import main
from evoltune.curate.select import choose, grouped, source_of
from evoltune.curate.sources import select_from_sources
from evoltune.domain import load_domain
from evoltune.errors import DataError, RecipeError
from evoltune.recipe import Curate
from evoltune.record import Answer, Record, Task
from evoltune.rows.lima_rules import objection


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return write_sources(tmp_path_factory.mktemp("sources"), wanted=40)


@cache
def passing(refs):
    """The names of the rows of each source that may be chosen."""
    rows = select_from_sources(refs, load_domain("general"), Curate(mode="lima", size=10_000)).rows
    return {name: [r.task.name for r in some] for name, some in grouped(rows, source_of).items()}


def test_five_sources_fill_their_quotas_exactly_and_each_refusal_is_counted(sources, tmp_path, capsys):
    out, quota = tmp_path / "chosen.jsonl", ",".join(f"{name}={n}" for name, n in sources.quotas.items())
    assert main(["data", "select", *sources.refs, "--quota", quota, "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert Counter(row["source"] for row in rows) == sources.quotas and told["short"] == []
    assert Counter(row["skill"] for row in rows if row["source"] == "stackexchange") == dict.fromkeys(SITES, 4)
    not_selected = told["left_out"].pop("not selected")
    assert told["left_out"] == sources.left_out and len(rows) + not_selected + sources.left_out.total() == sources.count
    assert not [row for row in rows if objection(row["output"], row["source"])]
    assert len({row["id"] for row in rows}) == len({row["instruction"] for row in rows}) == len(rows) == 40


@settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_asked_for_each_row_is_taken_once_or_left_out_with_a_reason(sources, data):
    domain, names, by_source = load_domain("general"), list(sources.quotas), passing(tuple(sources.refs))
    quotas = {name: data.draw(st.integers(0, len(by_source[name]) + 2)) for name in names}
    accepted = [row for name in names for row in by_source[name][: data.draw(st.integers(0, quotas[name]))]]
    rejected = [
        row for rows in by_source.values() for row in rows[-data.draw(st.integers(1, 3)) :] if row not in accepted
    ]
    options = Curate(mode="lima", quotas=quotas)
    found = select_from_sources(sources.refs, domain, options, accepted=accepted, rejected=rejected)
    taken = [r.task.name for r in found.rows]
    assert len(set(taken)) == len(taken) and {*accepted} <= {*taken} and not {*rejected} & {*taken}
    assert len(taken) + found.left_out.total() == sources.count
    left = {name: len(rows) - sum(row in rejected for row in rows) for name, rows in by_source.items()}
    assert Counter(map(source_of, found.rows)) == {n: k for n in names if (k := min(quotas[n], left[n]))}
    short = [name for name in names if left[name] < quotas[name]]
    assert [line.split(":")[0] for line in found.short] == [f"quota of {name}" for name in short]


def test_quotas_that_cannot_hold_are_refused(sources):
    domain = load_domain("general")
    with pytest.raises(RecipeError, match="40 rows in all, more than"):
        select_from_sources(sources.refs, domain, Curate(mode="lima", size=39, quotas=sources.quotas))
    rows = select_from_sources(sources.refs[4:5], domain, Curate(mode="lima", quotas={"wikihow": 3})).rows
    with pytest.raises(DataError, match="--quota wikihow=2: 3 of its rows were accepted by hand"):
        options = Curate(mode="lima", quotas={"wikihow": 2})
        select_from_sources(sources.refs[4:5], domain, options, accepted=[r.task.name for r in rows])


def test_a_site_that_floods_its_source_gives_no_more_than_the_third_root_of_its_rows():
    """64 to 1 in rows is 4 to 1 in the selection, as at the temperature of 3 that LIMA's authors drew with."""
    rows = [
        Record(domain="toy", task=Task(instruction=f"Why {site} {i}?", name=f"{site}-{i}", fields={"source": "x", "skill": site}),
               answers=(Answer(text="x", model="seed"),))
        for site, count in (("large", 640), ("small", 10)) for i in range(count)
    ]  # fmt: skip
    picked = choose(rows, Curate(mode="lima", quotas={"x": 20}), 20)
    assert Counter(r.task.fields["skill"] for r in picked) == {"large": 16, "small": 4}
