"""Community dumps, mixing, the review page, and `evoltune select` and `export` over them."""

import json
from html import escape
from pathlib import Path

import pytest

from evoltune.cli import main
from evoltune.curate.select.sources import read_decisions
from evoltune.dataset.mix import mix_sources
from evoltune.domain import Domain
from evoltune.errors import DataError
from evoltune.recipe import Curate, Recipe, Seeds, Source
from evoltune.record import Answer, Record, Task, Verdict
from evoltune.report.review_page import write_review
from evoltune.rows.dumps import read_dump
from evoltune.rows.readers import BadRow

BODY = (
    "<p>Heat moves from warm things to cold things until both are alike. <a href='http://x'>More</a></p>" * 20
)
TOY = Domain(name="toy", seeds=list, operators=(), verify=lambda *_: Verdict(status="pass"))


def posts(folder: Path, *rows: dict) -> str:
    folder.mkdir(exist_ok=True)
    lines = "".join(
        "<row " + " ".join(f'{k}="{escape(str(v))}"' for k, v in row.items()) + "/>" for row in rows
    )
    (folder / "Posts.xml").write_text(
        f'<?xml version="1.0" encoding="utf-8"?><posts>{lines}</posts>', encoding="utf-8"
    )
    return f"stackexchange:{folder}/Posts.xml"


def question(number, **more):
    return {
        "Id": number,
        "PostTypeId": 1,
        "Score": 5,
        "Title": f"Why {number}?",
        "Body": "<p>Please explain.</p>",
        **more,
    }


def answer(number, parent, score, body=BODY):
    return {
        "Id": number,
        "PostTypeId": 2,
        "ParentId": parent,
        "Score": score,
        "Body": body,
        "ContentLicense": "CC BY-SA 4.0",
    }


def test_stack_exchange_gives_the_best_answer_of_each_question_as_text(tmp_path):
    better = BODY.replace("Heat", "Energy")
    ref = posts(
        tmp_path / "physics", question(1), answer(10, 1, 12), answer(11, 1, 30, better), question(2), answer(12, 2, 9),
        question(3), answer(13, 3, 50, "<p>short</p>"), question(4, Score=0), answer(14, 4, 40),
    )  # fmt: skip
    (row,) = read_dump(ref)
    assert (
        row["output"].startswith("Energy moves") and "<" not in row["output"] and "http" not in row["output"]
    )
    assert (row["id"], row["source"], row["skill"], row["licence"]) == (
        "physics/1",
        "stackexchange",
        "physics",
        "CC-BY-SA-4.0",
    )
    assert row["instruction"] in ("Why 1?", "Please explain.")


def test_titles_and_bodies_both_become_prompts(tmp_path):
    many = [p for i in range(20) for p in (question(i), answer(100 + i, i, 20))]
    prompts = {row["instruction"].startswith("Why") for row in read_dump(posts(tmp_path / "cooking", *many))}
    assert prompts == {True, False}


def test_a_cut_dump_is_named_with_its_line(tmp_path):
    (tmp_path / "Posts.xml").write_text("<posts>\n<row Id='1'/>\n<row")
    with pytest.raises(DataError, match=r"Posts\.xml:3: not well-formed"):
        list(read_dump(f"stackexchange:{tmp_path}/Posts.xml"))


def test_wikihow_asks_by_title_and_names_rows_without_text(tmp_path):
    (tmp_path / "w.csv").write_text(
        'headline,title,text\n"x","How to Juggle2","Throw one ball.\n;\nThrow two."\n"x","","y"\n'
    )
    bad: list[BadRow] = []
    (row,) = read_dump(f"wikihow:{tmp_path}/w.csv", bad)
    assert row["instruction"] == "How to Juggle?" and row["output"] == "Throw one ball.\nThrow two."
    assert bad[0].where == "w.csv:5" and "no title and text" in bad[0].reason


def test_reddit_joins_submissions_with_their_best_top_level_comment(tmp_path):
    submissions = [
        {"id": "a", "title": "[WP] A dragon learns law", "selftext": "", "subreddit": "WritingPrompts"},
        {"id": "b", "title": "No comment here", "selftext": "", "subreddit": "x"},
        {"id": 7, "title": None},
    ]
    comments = [
        {"link_id": "t3_a", "parent_id": "t3_a", "score": 11, "body": "Once, [a](http://b) dragon."},
        {"link_id": "t3_a", "parent_id": "t3_a", "score": 90, "body": "The court rose."},
        {"link_id": "t3_a", "parent_id": "t1_z", "score": 999, "body": "a reply"},
        {"link_id": "t3_b", "parent_id": "t3_b", "score": 2, "body": "low"},
    ]
    for name, rows in (("s", submissions), ("c", comments)):
        (tmp_path / f"{name}.ndjson").write_text("".join(json.dumps(r) + "\n" for r in rows))
    bad: list[BadRow] = []
    (row,) = read_dump(f"reddit:{tmp_path}/s.ndjson+{tmp_path}/c.ndjson", bad)
    assert (row["instruction"], row["output"]) == ("Write a story: A dragon learns law", "The court rose.")
    assert row["source"] == "reddit/WritingPrompts" and bad[0].where == "s.ndjson:3"


@pytest.mark.parametrize("ref", ["stackexchang:x.xml", "reddit:only-one.ndjson", "wikihow:nowhere.csv"])
def test_a_wrong_source_says_what_is_right(ref):
    with pytest.raises(DataError, match=r"did you mean 'stackexchange'|give two files|no such file"):
        list(read_dump(ref))


# ---- mixing


def own(count=10):
    answers = (Answer(text="a", model="seed", verdict=Verdict(status="pass")),)
    return [
        Record(
            domain="toy",
            task=Task(instruction=f"own question {i * 97} about thing {i}", name=str(i)),
            answers=answers,
        )
        for i in range(count)
    ]


def source(path: Path, rows, **more) -> Source:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Source(path=str(path), **more)


def mix(sources, suites=None, **curate):
    recipe = Recipe(domain="toy", seeds=Seeds(licence="MIT"), curate=Curate(mix=tuple(sources), **curate))
    rows, ledger = mix_sources(own(), recipe, TOY, suites or {}, None)
    return list(rows), ledger


def foreign(count, word="foreign"):
    return [{"instruction": f"{word} request {i * 31} on topic {i}", "output": f"o{i}"} for i in range(count)]


def test_weights_are_rows_per_own_row_and_caps_bind(tmp_path):
    rows, ledger = mix([
        source(tmp_path / "a.jsonl", foreign(30), weight=0.5), source(tmp_path / "b.jsonl", foreign(30, "other"), weight=9, cap=7),
    ])  # fmt: skip
    sources = [r.task.fields.get("source", "own").rpartition("/")[2] for r in rows]
    assert {name: sources.count(name) for name in set(sources)} == {"own": 10, "a.jsonl": 5, "b.jsonl": 7}
    assert ledger == {"in": 60, "kept": 12, "over weight or cap": 48}
    assert [r.id for r in rows] == sorted(r.id for r in rows)


def test_mixed_rows_pass_the_same_gates_and_are_conserved(tmp_path):
    problem = "A baker makes 14 loaves at dawn and 23 loaves at noon, and sells 30 of them; how many loaves are left over?"
    rows = [
        *foreign(2), foreign(1)[0], {"instruction": "own question 97 about thing 1", "output": "x"}, {"nothing": 1},
        {"instruction": "no answer"}, {"instruction": problem, "output": "7"}, {**foreign(9)[8], "licence": "secret"},
    ]  # fmt: skip
    kept, ledger = mix(
        [source(tmp_path / "a.jsonl", rows, weight=5, licence="MIT")],
        {"s": (Task(instruction=problem, name="p"),)},
        licences=("MIT",),
    )
    dropped = {k: v for k, v in ledger.items() if k not in ("in", "kept")}
    assert dropped == {
        "unreadable": 2, "exact duplicate": 2, "contaminated: s by 13-gram": 1, "licence secret not allowed": 1,
    }  # fmt: skip
    assert ledger["in"] == len(rows) == ledger["kept"] + sum(dropped.values()) and len(kept) == 12


def test_without_a_mix_the_own_rows_stream_through():
    rows, ledger = mix([])
    assert rows == own() and ledger == {}


# ---- the review page and the verbs


def test_the_review_page_escapes_everything_and_its_decisions_read_back(tmp_path):
    evil = "</script><img src=x onerror=alert(1)>"
    write_review(
        tmp_path / "r.html", evil, [{"id": evil, "source": "s", "instruction": evil, "output": evil}]
    )
    page = (tmp_path / "r.html").read_text()
    assert "<img" not in page and page.count("</script>") == 1 and "default-src 'none'" in page
    (tmp_path / "d.json").write_text('{"a": "accept", "b": "reject", "c": ""}')
    assert read_decisions(tmp_path / "d.json") == ({"a"}, {"b"})
    (tmp_path / "d.json").write_text('["a"]')
    with pytest.raises(DataError, match="must map ids"):
        read_decisions(tmp_path / "d.json")


@pytest.fixture
def toy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "evoltune_toy_select"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from evoltune import Domain\ndomain = Domain(name='toy', seeds=list, operators=(), verify=None)\n"
    )
    return str(package)


def test_select_applies_rules_quotas_and_decisions_and_prints_the_table(toy, tmp_path, capsys):
    good = [
        p
        for i in range(8)
        for p in (question(i, Body=""), answer(100 + i, i, 20, BODY.replace("Heat", f"Heat {i * 7919}")))
    ]
    bad = [question(50), answer(500, 50, 99, BODY + "<p>I think so.</p>")]
    ref = posts(tmp_path / "physics", *good, *bad)
    write = [
        {"instruction": f"Describe tool {i * 577} for job {i}", "output": "It cuts wood. " * 100 + str(i)}
        for i in range(6)
    ]
    Path("own.jsonl").write_text("".join(json.dumps(r) + "\n" for r in write))
    command = [
        "select",
        ref,
        "own.jsonl",
        "--domain",
        toy,
        "--quota",
        "stackexchange=3,own.jsonl=2",
        "--out",
        "c.jsonl",
        "--page",
        "r.html",
    ]
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


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--quota", "a"], "must be SOURCE=N"),
        (["--size", "0"], "at least 1"),
        (["--decisions", "none.json"], "cannot be read as decisions"),
    ],
)
def test_misuse_of_select_is_one_line(toy, capsys, more, message):
    Path("own.jsonl").write_text('{"instruction": "a", "output": "b"}\n')
    assert main(["select", "own.jsonl", "--domain", toy, "--out", "c.jsonl", *more]) == 2
    assert message in capsys.readouterr().err.strip().split("\n")[-1]


def test_export_writes_a_form_and_refuses_what_is_no_dataset(toy, tmp_path, capsys):
    from evoltune.curate.certificate import build_certificate
    from evoltune.dataset.write import write_dataset

    write_dataset(
        own(),
        tmp_path / "run" / "dataset",
        Recipe(domain="toy"),
        build_certificate({}, {}, rows={}, hits=[]),
        {},
    )
    assert main(["export", "run", "--form", "sharegpt", "--out", "x.jsonl"]) == 0
    assert json.loads(Path("x.jsonl").read_text().split("\n")[0])["conversations"][0]["from"] == "human"
    assert main(["export", "run"]) == 2 and main(["export", ".", "--out", "y.jsonl"]) == 2
    assert main(["export", "run", "--out", "y.jsonl", "--public"]) == 2
    assert "no effect without --push" in capsys.readouterr().err
