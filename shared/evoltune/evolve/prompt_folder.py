"""Prompts that a recipe brings: `evolve.prompts: FOLDER` with a text file for each prompt.

    prompts/constraints.txt      replaces the template of the operator `constraints`
    prompts/debate.txt           a new operator, where `evolve.operators` gives `debate` a weight
    prompts/constraints@short.txt  a second version of `constraints`, drawn as often as the first: yields are kept by version
    prompts/answer.txt           replaces `Domain.answer_prompt`; a name of `Domain.evidence` replaces that prompt

Slots are `{instruction}`, and `{other}` (the second task of a fusion) or `{answer}` (the reply that a next turn follows): a new
operator's kind follows from them. Leading lines that begin with `# ` are comments. Invariant: the texts are part of the step's
version, so a changed prompt begins new draws.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from evoltune.domain import Domain, Operator
from evoltune.errors import RecipeError, nearest
from evoltune.recipe import Recipe
from evoltune.run.paths import user_path
from evoltune.text.prompts import without_comments

ANSWER = "answer"
SLOT_OF_KIND = {"fuse": "{other}", "turn": "{answer}"}


def with_prompts(recipe: Recipe, domain: Domain) -> Domain:
    """The domain with the prompts of `evolve.prompts`. Raises RecipeError for a file that is unreadable or names nothing."""
    if not recipe.evolve.prompts:
        return domain
    texts = {path.stem: f"{without_comments(text)}\n" for path, text in prompt_files(recipe)}
    # The first of each name: applied to its own result, this changes nothing.
    operators = {operator.name: operator for operator in reversed(domain.operators)}
    operators = {name: operators[name] for name in dict.fromkeys(o.name for o in domain.operators)}
    versions: list[Operator] = []
    known = list(dict.fromkeys([*operators, *recipe.evolve.operators, *domain.evidence, ANSWER]))
    for stem, text in texts.items():
        name, _, label = stem.partition("@")
        where = f"evolve.prompts: {stem}.txt"
        if name not in known:
            raise RecipeError(f"{where}: no prompt has this name: {nearest(name, known)}; a new operator needs a weight in "
                              f"evolve.operators")  # fmt: skip
        if "{instruction}" not in text:
            raise RecipeError(f"{where}: has no {{instruction}} slot, where the task is put in")
        if "{{instruction}}" in text:
            raise RecipeError(f"{where}: {{{{instruction}}}} has a pair of braces too many: write {{instruction}}")
        if name in operators and (slot := SLOT_OF_KIND.get(operators[name].kind)) and slot not in text:
            raise RecipeError(f"{where}: has no {slot} slot, which an operator of kind {operators[name].kind!r} needs")
        if label and name not in operators:
            raise RecipeError(
                f"{where}: is a second version of {name!r}, which is no operator: {nearest(name, operators)}"
            )
        if label:
            versions.append(replace(operators[name], template=text))
        elif name in operators:
            operators[name] = replace(operators[name], template=text)
        elif name not in domain.evidence and name != ANSWER:
            operators[name] = _new_operator(name, text)
    return replace(
        domain, operators=(*operators.values(), *versions), answer_prompt=texts.get(ANSWER, domain.answer_prompt),
        evidence={name: texts.get(name, prompt) for name, prompt in domain.evidence.items()},
    )  # fmt: skip


def _new_operator(name: str, text: str) -> Operator:
    if "{other}" in text:
        return Operator(name=name, template=text, kind="fuse", weight=0.0)
    return Operator(name=name, template=text, kind="turn" if "{answer}" in text else "depth", weight=0.0)


def prompt_files(recipe: Recipe) -> list[tuple[Path, str]]:
    """(path, text with its comments) of each file in `evolve.prompts`; [] without a folder. Raises RecipeError."""
    return list(_read_folder(user_path(recipe.evolve.prompts))) if recipe.evolve.prompts else []


def _read_folder(folder: Path) -> Iterator[tuple[Path, str]]:
    if not folder.is_dir():
        raise RecipeError(f"evolve.prompts: {str(folder)!r} is not a folder: give one with a NAME.txt for each prompt")
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() == ".txt"):
        try:
            yield path, path.read_text(encoding="utf-8-sig")  # some editors put a mark before the first comment
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"evolve.prompts: {path} cannot be read as UTF-8 text: {error}") from error
