"""Prompts of a recipe's own folder: they replace the domain's, add operators, and begin new draws when they change."""

import pytest
from towns import grown, recipe, towns

from evoltune.errors import RecipeError
from evoltune.evolve.loop import draws_step, operators_of
from evoltune.evolve.prompt_folder import with_prompts


def folder(tmp_path, **texts):
    place = tmp_path / "prompts"
    place.mkdir(exist_ok=True)
    for name, text in texts.items():
        (place / f"{name}.txt").write_text(text, encoding="utf-8")
    return str(place)


def test_a_file_replaces_the_prompt_of_its_name(tmp_path):
    own = folder(
        tmp_path,
        harder="# why\n# still why\nMach es schwerer: {instruction}",
        answer="Antworte: {instruction}",
        check="Prüfe {instruction}",
    )
    rules = recipe(rounds=1, prompts=own, operators={"harder": 1.0})
    domain = towns(3, evidence={"check": "Check {instruction}"})
    _, _, teacher = grown(tmp_path / "run", rules, domain)
    starts = {r.purpose: r.messages[-1][1].split()[0] for r in teacher.asked}
    assert starts["evolve"] == "Mach" and starts["answer"] == "Antworte:" and starts.get("check", "Prüfe") == "Prüfe"


def test_a_mark_of_the_editor_is_no_prompt_and_the_ending_may_be_in_capitals(tmp_path):
    (tmp_path / "harder.TXT").write_bytes(b"\xef\xbb\xbf# why\r\nHarder: {instruction}\r\n")
    (operator,) = (o for o in operators_of(recipe(prompts=str(tmp_path)), towns(1)) if o.name == "harder")
    assert operator.template == "Harder: {instruction}\n"


def test_a_new_operator_takes_its_kind_from_its_slots(tmp_path):
    own = folder(tmp_path, a="{instruction}", b="{instruction} {other}", c="{instruction} {answer}")
    rules = recipe(prompts=own, operators={"a": 1.0, "b": 2.0, "c": 0.5})
    assert [(o.name, o.kind, o.weight) for o in operators_of(rules, towns(1))] == [
        ("a", "depth", 1),
        ("b", "fuse", 2),
        ("c", "turn", 0.5),
    ]


def test_the_texts_and_not_the_place_are_part_of_the_step(tmp_path):
    (tmp_path / "x").mkdir(), (tmp_path / "y").mkdir()
    one, two = folder(tmp_path / "x", harder="A {instruction}"), folder(tmp_path / "y", harder="A {instruction}")
    steps = {draws_step(recipe(prompts=place), towns(1)).key for place in (one, two)}
    folder(tmp_path / "y", harder="B {instruction}")
    assert len(steps) == 1 and draws_step(recipe(prompts=two), towns(1)).key not in steps


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"hardr": "{instruction}"}, r"hardr.txt: no prompt has this name: did you mean 'harder'"),
        ({"harder": "Harder: {{instruction}}"}, r"harder.txt: \{\{instruction\}\} has a pair of braces too many"),
        ({"harder": "Make it harder."}, r"harder.txt: has no \{instruction\} slot"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error(tmp_path, texts, message):
    with pytest.raises(RecipeError, match=message):
        with_prompts(recipe(prompts=folder(tmp_path, **texts)), towns(1))


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(RecipeError, match="is not a folder"):
        operators_of(recipe(prompts=str(tmp_path / "no")), towns(1))
