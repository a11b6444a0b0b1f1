"""More seeds: self-instruct, and exercises inspired by lines of source code."""

import random

from towns import ScriptedTeacher, grown, recipe

from evoltune import recipe as recipes
from evoltune.teacher.protocol import Reply


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


def test_snippets_of_source_files_become_seeds(tmp_path):
    sources = tmp_path / "sources"
    sources.mkdir()
    for i in range(3):
        (sources / f"f{i}.py").write_text(
            f"def area{i}(width, height):\n    total = width * height + {i}\n    return total\n" * 4
        )
    (sources / "blob.bin").write_bytes(bytes(range(256)))
    teacher = ScriptedTeacher(
        {"snippet": lambda r: [f"Write a function that adds {r.seed} to the product of two numbers."]}
    )
    rows, ledger, teacher = grown(
        tmp_path / "run", recipe(rounds=1, seeds=recipes.Seeds(snippets=str(sources))), teacher=teacher
    )
    made = [r for r in rows if r["operator"] == "snippet"]
    assert len(made) == 3
    assert made[0]["task"]["name"].startswith("f") and "total" in str(made[0]["evidence"]["snippet"])
    assert ledger["in"] == 6 + 3 + 9


def test_an_exercise_that_ended_at_the_token_limit_is_no_seed(tmp_path):
    (tmp_path / "area.py").write_text("def area(width, height):\n    return width * height\n" * 5)
    text = "Write a function that returns the area of"
    teacher = ScriptedTeacher({"snippet": lambda r: Reply(texts=(text,), truncated=(0,))})
    rules = recipe(rounds=0, seeds=recipes.Seeds(snippets=str(tmp_path)))
    _, ledger, _ = grown(tmp_path / ".run", rules, teacher=teacher)
    assert ledger["truncated"] == 1
