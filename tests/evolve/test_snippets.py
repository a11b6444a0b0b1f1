"""Seeds inspired by lines of source code."""

from towns import ScriptedTeacher, grown, recipe

from evoltune import recipe as recipes
from evoltune.teacher.protocol import Reply


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
