"""`evoltune data eliminate`: rules over rows that exist."""

import json

from evoltune.cli import main

QUESTION = "Explain how a heat pump moves heat from a cold garden into a warm house."
ROWS = [
    {"instruction": QUESTION, "output": "It compresses a gas, which warms up, and lets it expand outside."},
    {"instruction": QUESTION, "output": "Sorry, no."},
    {"instruction": "#Rewritten Prompt#: x y z", "output": "A fine answer."},
    {"messages": [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": ""}]},
    {"title": "no instruction here"},
]


def rows_file(folder):
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return str(path)


def test_it_explains_and_counts_and_keeps_the_good_rows(tmp_path, capsys):
    kept = tmp_path / "kept.jsonl"
    assert main(["data", "eliminate", rows_file(tmp_path), "--explain", "--out", str(kept)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "rows.jsonl:2: answer: sorry: Sorry, no."
    assert lines[1].startswith("rows.jsonl:3: instruction: prompt residue")
    assert lines[2].startswith("rows.jsonl:4: answer: empty answer")
    assert lines[3].startswith("rows.jsonl:5: no instruction: columns are title")
    assert lines[4].startswith("5 rows, 1 kept, dropped: 1 answer: sorry")
    assert [json.loads(line) for line in kept.read_text().splitlines()] == ROWS[:1]


def test_the_counts_are_json_for_a_program(tmp_path, capsys):
    assert main(["data", "eliminate", rows_file(tmp_path), "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert (counts["rows"], counts["kept"]) == (5, 1)
    assert counts["dropped"]["instruction: prompt residue"] == 1


def test_without_a_file_it_lists_the_rules(capsys):
    assert main(["data", "eliminate"]) == 0
    assert "sorry" in capsys.readouterr().out


def test_a_file_that_is_not_there_is_named(capsys):
    assert main(["data", "eliminate", "no/such.jsonl"]) == 2
    assert "no/such.jsonl" in capsys.readouterr().err


def test_out_never_overwrites_the_input(tmp_path, capsys):
    file = rows_file(tmp_path)
    for command in (["eliminate", file], ["select", file, "--size", "1"]):
        assert main(["data", *command, "--out", file]) == 2
        assert "is the input itself" in capsys.readouterr().err
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 5
