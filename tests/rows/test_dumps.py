"""Community dumps: Stack Exchange, wikiHow, Reddit."""

import json
from html import escape
from pathlib import Path

import pytest

from evoltune.errors import DataError
from evoltune.rows.dumps import read_dump
from evoltune.rows.readers import BadRow

BODY = "<p>Heat moves from warm things to cold things until both are alike. <a href='http://x'>More</a></p>" * 20


def posts(folder: Path, *rows: dict) -> str:
    folder.mkdir(exist_ok=True)
    lines = "".join("<row " + " ".join(f'{k}="{escape(str(v))}"' for k, v in row.items()) + "/>" for row in rows)
    (folder / "Posts.xml").write_text(f'<?xml version="1.0" encoding="utf-8"?><posts>{lines}</posts>', encoding="utf-8")
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
    assert row["output"].startswith("Energy moves") and "<" not in row["output"] and "http" not in row["output"]
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
