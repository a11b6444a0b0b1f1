"""An audit by people: what is drawn, what the page gives away, and the estimate with its interval."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.cli import main
from evoltune.errors import DataError
from evoltune.evaluate.audit import audit_report, drawn_rows, write_audit
from evoltune.evaluate.statistics import wilson


@given(st.sets(st.integers(0, 300)), st.sets(st.integers(301, 600)), st.integers(1, 50), st.integers(0, 9))
def test_the_draw_holds_what_was_asked_for_and_some_controls(accepted, rejected, size, seed):
    chosen = drawn_rows(sorted(accepted), sorted(rejected), size, seed)
    drawn = [row for row in chosen if row in accepted]
    assert len(set(chosen)) == len(chosen) and set(chosen) <= accepted | rejected
    assert len(drawn) == min(size, len(accepted)) and len(chosen) - len(drawn) == min(
        -(-len(drawn) // 4), len(rejected)
    )
    assert drawn_rows(sorted(accepted), sorted(rejected), size, seed) == chosen


def written(folder, count=10, controls=2):
    items = [
        {
            "row": i,
            "accepted": i < count,
            "question": f"<b>{i}?</b>",
            "reference": "4",
            "answer": f"<script>{i}</script>",
        }
        for i in range(count + controls)
    ]
    page = folder / "v.audit.html"
    return page, write_audit(items, page, {"accepted": 200, "rejected": 40})


def decide(folder, key, decision_of):
    decisions = {code: decision_of(item) for code, item in json.loads(key.read_text())["items"].items()}
    path = folder / "decisions.json"
    path.write_text(json.dumps(decisions))
    return path


def test_the_page_is_blind_and_escapes_what_it_shows(tmp_path):
    page, key = written(tmp_path)
    text = page.read_text()
    assert len(re.findall("<article", text)) == 12 and "accepted" not in re.sub(r"<script>.*", "", text, flags=re.S)
    assert "<b>0?" not in text and "<script>0" not in text and "keys: a accept, r reject" in text
    assert all(code in text for code in json.loads(key.read_text())["items"])


def test_what_an_answer_seems_to_say_on_the_page_is_what_it_says(tmp_path):
    answer = "line\r\nso \x1b[2J it is \u202e14\u2066\t!"
    item = {"row": 1, "accepted": True, "question": "\u2067?", "reference": "41", "answer": answer}
    write_audit([item], tmp_path / "v.audit.html", {"accepted": 1, "rejected": 0})
    text = (tmp_path / "v.audit.html").read_text()
    assert "line\nso \\u001b[2J it is \\u202e14\\u2066\t!" in text and "\\u2067?" in text


def test_the_report_estimates_the_rate_with_its_interval(tmp_path):
    _, key = written(tmp_path)
    path = decide(tmp_path, key, lambda item: "reject" if item["row"] in (3, 7, 11) else "accept")
    report = audit_report(path, key)
    assert report["false_positives"] == {"n": 10, "wrong": 2, "rate": 0.2, "interval": list(wilson(2, 10))}
    assert report["false_negatives"]["n"] == 2 and report["false_negatives"]["wrong"] == 1
    assert report["wrong"] == [3, 7] and report["open"] == 0
    assert (
        "2 of 10 accepted answers are wrong: 20.0%" in report["lines"][0]
        and "about 40 of the 200" in report["lines"][0]
    )


def test_open_answers_do_not_count_and_other_files_are_refused(tmp_path):
    _, key = written(tmp_path)
    some = decide(tmp_path, key, lambda item: "accept" if item["row"] < 4 else "")
    report = audit_report(some, key)
    assert report["false_positives"]["n"] == 4 and report["false_negatives"] is None and report["open"] == 8
    for content, message in (("[]", "no decisions"), ('{"x": "accept"}', "another page"), ("{}", "no accepted answer")):
        some.write_text(content)
        with pytest.raises(DataError, match=message):
            audit_report(some, key)
    with pytest.raises(DataError, match="no key of an audit"):
        audit_report(key, tmp_path / "v.audit.html")


def test_the_command_writes_the_page_and_scores_its_decisions(tmp_path, capsys):
    rows = [{"id": i, "question": f"{i} + 1?", "answer": str(i + i % 3 // 2), "reference": str(i)} for i in range(30)]
    file, out = tmp_path / "rows.jsonl", tmp_path / "v.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ["--domain", "math", "--workers", "1", "--out", str(out)]
    assert main(["verify", str(file), *options, "--audit", "5"]) == 0
    key = tmp_path / "v.audit.key.json"
    items = json.loads(key.read_text())["items"].values()
    assert sum(item["accepted"] for item in items) == 5 and len(items) == 7
    assert all(item["accepted"] == ((item["row"] - 1) % 3 != 2) for item in items)
    path = decide(tmp_path, key, lambda item: "accept")
    capsys.readouterr()
    assert main(["verify", str(key), "--audit-score", str(path)]) == 0
    assert "0 of 5 accepted answers are wrong: 0.0% (95% 0.0% to 43.4%, wilson)" in capsys.readouterr().out
    assert main(["verify", str(file), "--domain", "math", "--audit", "5"]) == 2
    assert "give a file, and --out FILE" in capsys.readouterr().err
