"""Answers, evidence and difficulty of kept instructions and of seeds."""

from towns import ScriptedTeacher, grown, recipe, seed, towns


def test_a_rejected_answer_stays_with_its_reason_beside_a_good_one(tmp_path):
    teacher = ScriptedTeacher({
        "evolve": lambda r: [f"Explain the garden of {r.seed} with great care please."],
        "equal": lambda r: ["Not equal"],
        "answer": lambda r: ["Sorry, I do not know.", "A garden has beds and paths."],
    })  # fmt: skip
    rows, _, _ = grown(tmp_path, recipe(rounds=1, answers=2), teacher=teacher)
    child = next(r for r in rows if r["parents"])
    assert [a["verdict"] and a["verdict"]["reason"] for a in child["answers"]] == ["sorry", None]
    assert child["evidence"]["check"]


def test_unanswered_seeds_are_answered_when_the_recipe_says_so(tmp_path):
    domain = towns([seed(i, answers=()) for i in range(3)])
    rows, ledger, teacher = grown(tmp_path, recipe(rounds=0, answer_seeds=True), domain)
    assert [r["answers"][0]["model"] for r in rows] == ["author"] * 3
    assert ledger == {"in": 3, "kept": 3, "pending": 0}
    assert {r.purpose for r in teacher.asked} == {"answer"}


def test_difficulty_is_asked_for_when_the_recipe_says_so(tmp_path):
    teacher = ScriptedTeacher(
        {
            "evolve": lambda r: [f"Explain the garden of {r.seed} with great care please."],
            "equal": lambda r: ["Not equal"],
            "difficulty": lambda r: ["8"],
        }
    )
    rows, _, _ = grown(tmp_path, recipe(rounds=1, difficulty=True), teacher=teacher)
    assert len(rows) == 12  # the seeds too
    assert {tuple(r["evidence"]["difficulty"]) for r in rows} == {("8",)}
