"""`evoltune data select`: rules, quotas, decisions and the printed table."""

import json
import sys
from pathlib import Path

import pytest

from evoltune.cli import main

PHYSICS = "Heat moves from warm things to cold things until both are alike. " * 20


def write(name, rows):
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def toy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "evoltune_toy_select"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from evoltune import Domain\ndomain = Domain(name='toy', seeds=list, operators=(), verify=None)\n"
    )
    return str(package)


def test_select_applies_rules_quotas_and_decisions_and_prints_the_table(toy, capsys):
    forum = {"source": "stackexchange", "licence": "CC-BY-SA-4.0"}
    good = [{"instruction": f"Why {i}?", "output": f"{i * 7919} {PHYSICS}", **forum} for i in range(8)]
    write("forum.jsonl", [*good, {"instruction": "Why 50?", "output": PHYSICS + "I think so.", **forum}])
    own = [
        {"instruction": f"Describe tool {i * 577} for job {i}", "output": "It cuts wood. " * 100 + str(i)}
        for i in range(6)
    ]
    write("own.jsonl", own)
    command = (
        f"data select forum.jsonl own.jsonl --domain {toy} --quota stackexchange=3,own.jsonl=2 --out c.jsonl --page r.html"
    ).split()
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert "1 first person" in err and out.split("\n")[-2].split()[:2] == ["all", "5"]
    rows = [json.loads(line) for line in Path("c.jsonl").read_text().splitlines()]
    assert sorted(r["source"] for r in rows) == ["own.jsonl"] * 2 + ["stackexchange"] * 3
    assert all(r["licence"] == "CC-BY-SA-4.0" for r in rows if r["source"] == "stackexchange")
    no, yes = (
        rows[0]["id"],
        next(f"own.jsonl:{i}" for i in range(1, 7) if f"own.jsonl:{i}" not in {r["id"] for r in rows}),
    )
    Path("d.json").write_text(json.dumps({no: "reject", yes: "accept"}))
    assert main([*command, "--decisions", "d.json"]) == 0
    again = {json.loads(line)["id"] for line in Path("c.jsonl").read_text().splitlines()}
    assert no not in again and yes in again and "<article" in Path("r.html").read_text()


def test_a_page_without_jinja2_fails_before_any_work(toy, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    Path("own.jsonl").write_text('{"instruction": "a", "output": "b"}\n')
    command = ["data", "select", "own.jsonl", "--domain", toy, "--out", "c.jsonl", "--mode", "all", "--page", "r.html"]
    assert main(command) == 2 and not Path("c.jsonl").exists()
    assert "evoltune[report]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--quota", "a"], "must be SOURCE=N"),
        (["--quota", "nosuch=2", "--mode", "all"], "allowed: own.jsonl"),
        (["--decisions", "none.json"], "cannot be read as decisions"),
    ],
)
def test_misuse_of_select_is_one_line(toy, capsys, more, message):
    Path("own.jsonl").write_text('{"instruction": "a", "output": "b"}\n')
    assert main(["data", "select", "own.jsonl", "--domain", toy, "--out", "c.jsonl", *more]) == 2
    assert message in capsys.readouterr().err.strip().split("\n")[-1]


def test_each_row_has_an_id_of_its_own_and_keeps_its_turns(toy, capsys):
    row = {"instruction": "Add 2 and 3.", "output": "5", "id": None}
    turns = [
        {"role": "system", "content": "Be brief."},
        *({"role": r, "content": c} for r, c in [("user", "Hi"), ("assistant", "Yes")]),
    ]
    asked = [{"role": "user", "content": "Spell cat backwards."}, {"role": "assistant", "content": "tac"}]
    write("a.jsonl", [row, {"messages": [*turns, *asked], "id": 1}])
    marked = [{"role": "user", "content": "Wrong?"}, {"role": "assistant", "content": "x", "weight": 0}, *asked]
    write("b.jsonl", [{"instruction": "Name a colour of the sky.", "output": "Blue.", "id": 1}, {"messages": marked}])
    assert (
        main(f"data select a.jsonl b.jsonl --domain {toy} --mode all --balance none --size 9 --out c.jsonl".split())
        == 0
    )
    rows = {row["id"]: row for row in map(json.loads, Path("c.jsonl").read_text().splitlines())}
    assert set(rows) == {"a.jsonl:1", "1", "1#2"}
    assert rows["1"]["messages"] == [*turns, *asked] and "messages" not in rows["1#2"]
    told = capsys.readouterr().err
    assert "1 unreadable" in told and "\n  b.jsonl:2: " in told
