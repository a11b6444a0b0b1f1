"""Second turns: asked after each system's own answer, judged by themselves, and shown beside the first."""

from __future__ import annotations

import json

import pytest
import yaml

from evoltune.arena.comparisons import comparisons
from evoltune.arena.dialogues import judged_texts, turn_by_turn
from evoltune.arena.judge import judge_prompt, judge_study
from evoltune.arena.judged_run import judge_run
from evoltune.arena.study import collect_answers, load_study, suite_of
from evoltune.errors import DataError
from evoltune.evaluate.suites import load_suite
from evoltune.recipe import load_recipe
from evoltune.report.pages import write_report

KEY = "k"
WORTH = {"after": {"a": 7, "a#2": 2, "b": 7}, "before": {"a": 3, "a#2": 8, "b": 3}}


@pytest.fixture
def judged(openai_server, tmp_path, write):
    """judged(protocol): the standings of a run that answered two problems, one with a second turn, in which it is worse than before."""

    def make(protocol):
        rows = [{"id": "a", "instruction": "Why?", "later_turns": ["And then?"]}, {"id": "b", "instruction": "How?"}]
        suite = write(tmp_path / "mine.jsonl", rows)
        folder = tmp_path / "run"
        for label, worth in WORTH.items():
            place = folder / "eval" / label
            place.mkdir(parents=True)
            texts = [
                {"problem": p, "sample": 0, "settings": KEY, "text": f"By {label}: worth {n}"} for p, n in worth.items()
            ]
            write(place / "mine.jsonl", texts)
            entry = {
                "suite": "general/mine",
                "settings_key": KEY,
                "statuses": {"unverifiable": 2},
                "measures": {},
                "n": 2,
            }
            (place / "scores.json").write_text(json.dumps({"suites": {"mine": entry}, "environment": {}}))
        server = openai_server(judge="fair")  # an answer is worth its last number
        teacher = {"kind": "http", "model": "judge", "endpoints": [{"url": f"{server.url}/v1"}]}
        judge = {"teacher": teacher, "planted": 0, "repeats": 0, "protocol": protocol}
        tree = {"domain": "general", "name": "x", "eval": {"suites": [f"general:{suite}"], "judge": judge}}
        for path in (tmp_path / "recipe.yaml", folder / "recipe.yaml"):
            path.write_text(yaml.safe_dump(tree))
        (result,) = judge_run(load_recipe(tmp_path / "recipe.yaml"), folder)
        return result, folder

    return make


@pytest.mark.parametrize("protocol", ["scores", "preference"])
def test_the_second_turn_has_a_result_of_its_own(judged, protocol):
    result, folder = judged(protocol)
    (pair,) = result["pairs"]
    assert (pair["win"], pair["lose"], pair["not_counted"]) == (2, 1, 0) and pair["points"] == {
        "a": 1,
        "a#2": 0,
        "b": 1,
    }
    assert {turn: (t["win"], t["tie"], t["lose"]) for turn, t in pair["by_turn"].items()} == {
        "1": (2, 0, 0),
        "2": (0, 0, 1),
    }
    scores = {turn: tally.get("scores") for turn, tally in pair["by_turn"].items()}
    if protocol == "scores":
        assert scores == {"1": {"n": 2, "a": 7, "b": 3}, "2": {"n": 1, "a": 2, "b": 8}}
    else:
        assert scores == {"1": None, "2": None}
    page = write_report(folder).read_text()
    rows = page.split("By turn of the dialogue: after against before")[1].split("</table>")[0].split("<tr>")[2:]
    cells = [row.replace("</td>", "").split("<td>")[1:4] for row in rows]
    assert cells == [["1", "2", "0"], ["2", "0", "0"]] and ("8.0" in rows[1]) == (protocol == "scores")


def test_a_suite_without_second_turns_has_no_such_table(openai_server, study_file, tmp_path):
    server = openai_server(judge="fair")
    result = judge_study(load_study(study_file(f"{server.url}/v1")), tmp_path / "out")
    assert result["pairs"][0]["by_turn"] == {}


def fastchat(path, answers):
    """A file of model answers as FastChat's MT-Bench writes it."""
    rows = [
        {"question_id": n, "answer_id": f"x{n}", "model_id": "m", "tstamp": 1.0, "choices": [{"index": 0, "turns": turns}]} for n, turns in answers.items()
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def mt_bench(tmp_path, write):
    """mt_bench(theirs): a study of two systems on two dialogues, one with answers in rows and one in FastChat's layout."""

    def make(theirs):
        questions = [
            {"question_id": n, "category": "writing", "turns": [f"Write {n}.", f"Shorten {n}."]} for n in (2, 81)
        ]
        (tmp_path / "mt_bench").mkdir()
        write(tmp_path / "mt_bench" / "question.jsonl", questions)
        rows = [{"problem": "mt-bench/2", "text": "o1"}, {"problem": "2#2", "text": "o2"}]
        rows += [{"problem": "mt-bench/81", "text": "o3"}, {"problem": "mt-bench/81#2", "text": "o4"}]
        ours = write(tmp_path / "ours.jsonl", rows)
        systems = [
            {"name": "ours", "answers": str(ours)},
            {"name": "theirs", "answers": str(fastchat(tmp_path / "theirs.jsonl", theirs))},
        ]
        judge = {"kind": "http", "model": "judge", "endpoints": [{"url": "http://127.0.0.1:9/v1"}]}
        tree = {
            "suite": "general/mt-bench",
            "data": str(tmp_path),
            "systems": systems,
            "judge": judge,
            "planted": 0,
            "repeats": 0,
        }
        (tmp_path / "study.yaml").write_text(yaml.safe_dump(tree))
        return load_study(tmp_path / "study.yaml")

    return make


def test_each_turn_is_asked_in_both_orders_with_each_systems_own_dialogue(mt_bench, tmp_path):
    study = mt_bench({2: ["t1", "t2"], 81: ["t3", "t4"]})
    suite = suite_of(study)
    answers = collect_answers(study, suite, tmp_path)
    asked = list(comparisons(study, turn_by_turn(suite), answers, {}))
    assert [(c.task.name, c.shown) for c in asked] == [
        (name, order) for name in ("mt-bench/2", "mt-bench/2#2", "mt-bench/81", "mt-bench/81#2") for order in (("ours", "theirs"), ("theirs", "ours"))
    ]  # fmt: skip
    first, second = judge_prompt("scores", asked[4]), judge_prompt("scores", asked[7])
    assert (
        "Write 81." in first and "Shorten" not in first and first.index("o3") < first.index("t3") and "o4" not in first
    )
    places = [second.index(part) for part in ("Write 81.", "Shorten 81.", "t3", "t4", "o3", "o4")]
    assert not [text for text in ("Write 2.", "o1", "o2", "t1", "t2") if text in second]  # of the other dialogue
    assert places == sorted(places) and "Only the answers to request 2 are to be judged" in second


def test_a_baseline_without_second_answers_is_named(mt_bench, tmp_path):
    study = mt_bench({2: ["t1"], 81: ["t3", "t4"]})
    with pytest.raises(DataError, match=r"'theirs' has no answer to 1 of 4 problems, e\.g\. 'mt-bench/2#2'"):
        collect_answers(study, suite_of(study), tmp_path)


def test_a_third_turn_follows_both_answers_before_it_and_the_next_dialogue_begins_anew(tmp_path, write):
    rows = [{"id": "a", "instruction": "1?", "later_turns": ["2?", "3?"]}, {"id": "b", "instruction": "4?"}]
    turns = turn_by_turn(load_suite(f"general:{write(tmp_path / 'rows.jsonl', rows)}"))
    assert [task.name for task in turns.tasks] == ["a", "a#2", "a#3", "b"]
    texts = judged_texts(turns, {"a": "x", "a#2": "[Answer to request 3]\ny", "a#3": "z", "b": "w"})
    assert (texts["a"], texts["b"]) == ("x", "w") and texts["a#3"].split("\n\n")[1:] == [
        "[Answer to request 2]\n(Answer to request 3)\ny",
        "[Answer to request 3]\nz",
    ]
