"""Answers, evidence and difficulty of kept instructions and of seeds."""

from towns import ScriptedTeacher, grown, recipe, seed, towns

from evoltune.teacher.protocol import GivenUpError, Reply


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


def test_an_answer_that_ended_at_the_token_limit_is_rejected(tmp_path):
    domain = towns([seed(i, answers=()) for i in range(3)])
    reply = Reply(texts=("A bridge of stone.", "A bridge of"), truncated=(1,))
    rules, teacher = recipe(rounds=0, answer_seeds=True), ScriptedTeacher({"answer": lambda r: reply})
    rows, _, _ = grown(tmp_path, rules, domain, teacher)
    assert [a["verdict"] and a["verdict"]["reason"] for a in rows[0]["answers"]] == [None, "truncated"]


def test_a_seed_without_a_rating_is_kept_and_one_without_an_answer_is_dropped(tmp_path):
    given_up = {"difficulty": lambda r: GivenUpError("HTTP 400")}
    rows, _, _ = grown(tmp_path / "a", recipe(rounds=0, difficulty=True), teacher=ScriptedTeacher(given_up))
    assert len(rows) == 6 and not any(r["evidence"] for r in rows)
    domain = towns([seed(i, answers=()) for i in range(3)])
    teacher = ScriptedTeacher({"answer": lambda r: GivenUpError("HTTP 400")})
    _, ledger, _ = grown(tmp_path / "b", recipe(rounds=0, answer_seeds=True), domain, teacher)
    assert ledger["teacher gave up: HTTP 400"] == 3
