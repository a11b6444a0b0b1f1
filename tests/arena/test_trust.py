"""How far a judge can be trusted, against judges on loopback whose faults are known."""

from __future__ import annotations

import random

import pytest
import yaml

from evoltune.arena.judge import judge_study
from evoltune.arena.standings import report
from evoltune.arena.study import Judgement, load_study
from evoltune.arena.trust import trust

PROBLEMS = 218


@pytest.fixture
def large_study(tmp_path, write):
    """large_study(url, systems, **keys): 218 problems; the k-th system's answers are worth k points more or less, and all are of
    one length."""

    def make(url, systems, **more):
        rng = random.Random(7)
        rows = [{"idx": i, "Skill": "Math", "Difficulty": 1, "Instruction": f"Question {i}?"} for i in range(PROBLEMS)]
        (tmp_path / "wizardlm").mkdir()
        write(tmp_path / "wizardlm" / "WizardLM_testset.jsonl", rows)
        named = []
        for k in range(systems):
            texts = [
                {"id": f"wizardlm/{i}", "text": f"After some thought about this question and its many sides, it is worth {rng.randint(1, 5) + k}"}
                for i in range(PROBLEMS)
            ]  # fmt: skip
            named.append({"name": f"s{k}", "answers": str(write(tmp_path / f"s{k}.jsonl", texts))})
        judge = {"kind": "http", "model": "judge", "endpoints": [{"url": url}], "max_retries": 0}
        tree = {"suite": "general/wizardlm", "data": str(tmp_path), "systems": named, "judge": judge, **more}
        (tmp_path / "study.yaml").write_text(yaml.safe_dump(tree))
        return load_study(tmp_path / "study.yaml")

    return make


def ranking(result, systems):
    """Systems by the pairs that they win, the best first."""
    points = dict.fromkeys(systems, 0)
    for pair in result["pairs"]:
        points[pair["a"] if pair["win"] > pair["lose"] else pair["b"]] += 1
    return sorted(points, key=lambda name: -points[name])


@pytest.mark.parametrize(
    ("traits", "systems", "position", "length"),
    [
        pytest.param("first:0.3 noisy:0.1", 3, 0.3 * 0.9, 0.0, id="first, noisy, three systems"),
        pytest.param("first:0.3 noisy:0.1", 5, 0.3 * 0.9, 0.0, id="first, noisy", marks=pytest.mark.slow),
        pytest.param("longer:0.4", 5, 0.0, 0.4, id="longer", marks=pytest.mark.slow),
        pytest.param("noisy:0.1", 5, 0.0, 0.0, id="noisy", marks=pytest.mark.slow),
        pytest.param("fair", 5, 0.0, 0.0, id="fair", marks=pytest.mark.slow),
    ],
)
def test_the_bias_of_a_judge_is_found_and_the_ranking_recovered(
    openai_server, large_study, tmp_path, traits, systems, position, length
):
    """Later traits overrule earlier ones: of 30% for the first, a tenth is noise. The bar is three points."""
    server = openai_server(judge=traits)
    each = (
        PROBLEMS * 5
    )  # a bias of 40% needs 2,180 judgements to be found within three points, and noise of a tenth more than 436
    study = large_study(f"{server.url}/v1", systems, planted=each if systems == 5 else 0, repeats=100)
    result = judge_study(study, tmp_path / "out")
    names = [f"s{k}" for k in range(systems)]
    assert ranking(result, names) == names[::-1]  # Kendall's tau is 1
    found = result["trust"]
    assert found["position"]["bias"] == pytest.approx(position, abs=0.03)
    assert found["position"]["interval"][0] <= found["position"]["bias"] <= found["position"]["interval"][1]
    if systems == 5:
        assert found["length"]["bias"] == pytest.approx(length, abs=0.03) and found["length"]["n"] == 2 * each
        assert found["planted"]["truncated"]["n"] == each
    assert bool(found["warnings"]) == (position > 0.2 or length > 0.2)
    if traits == "fair":
        assert found["repeats"]["value"] == 1.0
    elif "noisy" in traits:
        assert 0.5 < found["repeats"]["value"] < 1.0


def planted(kind, *values):
    return [
        Judgement(problem="p", shown=shown, values=value, replies=1, kind=kind)
        for shown, value in zip((("better", kind), (kind, "better")), values, strict=True)
    ]


def test_planted_pairs_count_only_when_both_orders_could_be_read(study_file):
    study = load_study(study_file())
    right = planted("truncated", (8.0, 2.0), (2.0, 8.0))
    assert trust(study, right)["accuracy"]["value"] == 1.0
    assert trust(study, planted("truncated", (8.0, 2.0), None))["accuracy"] is None
    split = trust(study, planted("truncated", (8.0, 2.0), (8.0, 2.0)))
    assert split["planted"]["truncated"] == {"n": 1, "better": 0, "tie": 1, "worse": 0}
    assert split["accuracy"]["value"] == 0.5 and split["position"]["bias"] == 1.0
    wrong = trust(study, planted("wrong number", (2.0, 8.0), (8.0, 2.0)))
    assert wrong["planted"]["wrong number"]["worse"] == 1 and "below the bar of 80.0%" in wrong["warnings"][0]


def test_few_judgements_that_agree_leave_a_wide_interval(study_file):
    """As with the packaged model as judge: both pairs that it could read, it gave to the first answer."""
    study = load_study(study_file())
    first, tied = (trust(study, planted("truncated", *[values] * 2))["position"] for values in ((8.0, 2.0), (5.0, 5.0)))
    assert first["bias"] == 1.0 and first["n"] == 2 and first["interval"] == pytest.approx((-0.32, 1.0), abs=0.01)
    assert tied["bias"] == 0.0 and tied["interval"] == pytest.approx((-0.66, 0.66), abs=0.01)


def test_filler_may_leave_a_tie_and_counts_against_a_judge_that_likes_it(study_file):
    study = load_study(study_file())
    tie = trust(study, planted("verbose", (5.0, 5.0), (5.0, 5.0)))
    assert tie["accuracy"]["value"] == 1.0 and tie["length"]["bias"] == 0.0 and not tie["warnings"]
    fooled = trust(study, planted("verbose", (5.0, 9.0), (9.0, 5.0)))
    assert fooled["accuracy"]["value"] == 0.0 and fooled["length"]["bias"] == 1.0
    assert any("go for the longer answer whatever it says" in line for line in fooled["warnings"])


def test_a_study_without_tests_of_the_judge_has_only_its_position(study_file):
    study = load_study(study_file())
    one, two = ("ours", "theirs"), ("theirs", "ours")
    judgements = [
        Judgement(problem=str(i), shown=shown, values=values, replies=1)
        for i in range(10)
        for shown, values in ((one, (7.0, 3.0)), (two, (3.0, 7.0)))
    ]
    found = trust(study, judgements)
    assert found["position"]["bias"] == 0.0 and found["position"]["n"] == 20
    assert (found["length"], found["accuracy"], found["repeats"], found["planted"]) == (None, None, None, {})


def test_criteria_are_averaged_for_each_system_and_their_mean_decides(openai_server, study_file, tmp_path):
    server = openai_server(judge="fair")
    study = load_study(study_file(f"{server.url}/v1", protocol="criteria", planted=2, repeats=3))
    result = judge_study(study, tmp_path / "out")
    means = result["criteria"]["ours"]  # 8, 8, 3, 5
    assert means == {"relevance": 6.0, "knowledge": 6.0, "reasoning": 10.0, "calculation": 10.0, "accuracy": 6.0}
    pair = result["pairs"][0]  # against 4, 8, 6, 2
    assert (pair["win"], pair["tie"], pair["lose"]) == (2, 1, 1)
    assert pair["share"]["value"] == pytest.approx((4 * 20 + 3 * 24) / (4 * 20 + 3 * 20))
    assert any("reasoning 10.0" in line for line in report(result))


def test_grades_are_counted_and_compared(openai_server, study_file, tmp_path):
    server = openai_server(judge="fair")
    study = load_study(study_file(f"{server.url}/v1", protocol="grades", planted=2, repeats=3))
    result = judge_study(study, tmp_path / "out")
    assert result["grades"]["ours"] == {  # 8, 8, 3, 5
        "n": 4, "excellent": 2, "pass": 1, "fail": 1, "at_least_pass": result["grades"]["ours"]["at_least_pass"],
    }  # fmt: skip
    assert result["grades"]["ours"]["at_least_pass"]["value"] == 0.75
    pair = result["pairs"][0]  # against 4, 8, 6, 2
    assert (pair["win"], pair["tie"], pair["lose"]) == (2, 1, 1)
    assert result["trust"]["position"] is None and result["trust"]["repeats"]["value"] == 1.0
    assert any("2 excellent, 1 pass, 1 fail of 4" in line for line in report(result))


def test_a_judge_that_answers_can_talk_over_is_found_without_a_key_for_it(openai_server, large_study, tmp_path):
    study = large_study(f"{openai_server(judge='pleaded:1').url}/v1", 2, limit=20)
    found = judge_study(study, tmp_path / "out")["trust"]
    assert found["planted"]["pleading"] == {"n": 12, "better": 0, "tie": 0, "worse": 12}
    assert any("sentences to the judge" in warning for warning in found["warnings"]) and found["length"]["n"] == 24


def test_what_a_program_can_check_is_decided_without_the_judge(openai_server, tmp_path, write):
    rows = [
        {"id": "a", "instruction": "Explain rain in at most five words."},
        {"id": "b", "instruction": "Explain rain."},
    ]
    write(tmp_path / "mine.jsonl", rows)
    write(tmp_path / "one.jsonl", [{"id": "a", "text": "Water falls: 1"}, {"id": "b", "text": "Water falls: 1"}])
    write(
        tmp_path / "two.jsonl",
        [{"id": "a", "text": "It is much more than five words: 9"}, {"id": "b", "text": "It is 9"}],
    )
    server = openai_server(judge="fair")
    tree = {
        "suite": f"general:{tmp_path / 'mine.jsonl'}",
        "systems": [{"name": name, "answers": str(tmp_path / f"{name}.jsonl")} for name in ("one", "two")],
        "judge": {"kind": "http", "model": "judge", "endpoints": [{"url": f"{server.url}/v1"}]},
        "planted": 0,
        "repeats": 0,
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(tree))
    result = judge_study(load_study(tmp_path / "study.yaml"), tmp_path / "out")
    pair = result["pairs"][0]
    assert (pair["win"], pair["lose"], pair["decided_by_checks"]) == (1, 1, 1)
    assert server.stats()["ok"] == 2  # both orders of the open problem
    assert any("1 decided by checks" in line for line in report(result))
    tree["checks"] = False
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(tree))
    assert judge_study(load_study(tmp_path / "study.yaml"), tmp_path / "out")["pairs"][0]["lose"] == 2
