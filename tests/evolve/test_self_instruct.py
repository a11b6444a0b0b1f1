"""Self-instruct: from a few seeds to many."""

import random

from towns import ScriptedTeacher, grown, recipe

from evoltune import recipe as recipes


def test_self_instruct_grows_the_seeds_to_the_size_asked_for(tmp_path):
    def ten_tasks(request):
        rng = random.Random(request.seed)
        made = (" ".join("".join(rng.sample("abdeiklmnorstu", 5)) for _ in range(12)) for _ in range(10))
        return ["\n".join(f"{i}. Write about {words}." for i, words in enumerate(made, 1))]

    rules = recipe(rounds=1, seeds=recipes.Seeds(bootstrap="self_instruct", bootstrap_size=20))
    rows, ledger, teacher = grown(tmp_path / "a", rules, teacher=ScriptedTeacher({"self_instruct": ten_tasks}))
    made = [r for r in rows if r["operator"] == "self_instruct"]
    assert len(made) == 14
    assert all(r["round"] == 0 and len(r["parents"]) >= 6 and r["answers"] for r in made)
    assert ledger["in"] == 6 + sum(r.purpose == "self_instruct" for r in teacher.asked) * 10 + 20
    again, _, _ = grown(tmp_path / "b", rules, teacher=ScriptedTeacher({"self_instruct": ten_tasks}))
    assert again == rows
    resumed, same_ledger, silent = grown(tmp_path / "a", rules)
    assert (resumed, same_ledger, silent.asked) == (rows, ledger, [])


def test_self_instruct_refuses_near_copies_and_ends_when_nothing_new_comes(tmp_path):
    copies = ScriptedTeacher(
        {
            "self_instruct": lambda r: [
                "1. Describe the castle of town 1 in plain language.\n2. Describe the castle of town 1 in simple language."
            ]
        }
    )
    rules = recipe(rounds=0, seeds=recipes.Seeds(bootstrap="self_instruct", bootstrap_size=50))
    rows, ledger, _ = grown(tmp_path, rules, teacher=copies)
    assert len(rows) == 6
    assert ledger["too similar"] == 2 * ledger["no text"] / 8
