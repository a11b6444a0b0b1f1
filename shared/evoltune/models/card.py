"""The model card (`README.md`) of a checkpoint: recipe, data and its certificate, template, scores. Imports no torch.

write_card(Path("runs/smoke-math/checkpoint"))     # once more when the run has scores
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from evoltune.rows.files import read_json, write_file
from evoltune.run.paths import AFTER, BEFORE, EVAL, MANIFEST, SCORES, TEMPLATE


def write_card(folder: Path, manifest: Mapping[str, Any] | None = None) -> Path:
    """Writes the card from the folder's files and from the scores in `../eval`; `manifest` if it is not written yet. A folder
    without a checkpoint, as of a model that a server has, gets none."""
    if manifest := manifest or read_json(folder / MANIFEST):
        write_file(folder / "README.md", "\n".join(_lines(folder, manifest)))
    return folder / "README.md"


def _lines(folder: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    recipe, data, template = manifest["recipe"], manifest["data"], read_json(folder / TEMPLATE) or {}
    train = recipe["train"]
    adapter = train["finetuning_type"] != "full" and (folder / "adapter_config.json").is_file()
    front = {
        "base_model": train["model_name_or_path"],
        "library_name": "peft" if adapter else "transformers",
        "tags": ["evoltune", recipe["domain"]],
    }
    yield f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n"
    yield f"# {recipe['name']}\n"
    if recipe["description"]:
        yield f"{recipe['description']}\n"
    loss = manifest["final_loss"]
    yield (
        f"{train['finetuning_type']} fine-tuning of `{train['model_name_or_path']}` (revision {train['model_revision']}), "
        f"{manifest['steps']} steps{f', last loss {loss:.4f}' if loss is not None else ''}.\n"
    )
    yield "## Data\n"
    yield (
        f"{data['kept']} of {data['rows']} rows, {data['tokens']} tokens, {data['label_tokens']} of them with loss; "
        f"{data['dropped_too_long']} dropped and {data['truncated']} truncated as longer than {train['max_length']}.\n"
    )
    yield _certificate(manifest["certificate"])
    yield "## Prompt\n"
    yield (
        f"Template `{template['template']}`; answers end with `{template['stop_token']}` (id {template['stop_id']}). "
        f"The ids of training, evaluation and the saved tokenizer were compared on {template['conversations_checked']} rows.\n"
    )
    yield from _scores(folder.parent / EVAL)
    yield f"## Recipe\n\n```yaml\n{yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True)}```\n"


def _certificate(path: str) -> str:
    if not path or not Path(path).is_file():
        return "The dataset has no certificate of decontamination.\n"
    suites = (read_json(Path(path)) or {}).get("suites", {})
    return f"Decontaminated against: {', '.join(sorted(suites)) or 'no suite'} (certificate.json of the dataset).\n"


def _scores(folder: Path) -> Iterator[str]:
    rows = []
    for label in (BEFORE, AFTER):
        suites = (read_json(folder / label / SCORES) or {}).get("suites", {})
        for suite, entry in suites.items():
            if entry.get("not_judged"):
                rows.append(f"| {suite} | | {label} | not judged | | {entry['n']} |")
            for measure, value in entry.get("measures", {}).items():
                low, high = value["interval"]
                rows.append(
                    f"| {suite} | {measure} | {label} | {value['value']:.1%} | {low:.1%} to {high:.1%} | {entry['n']} |"
                )
    if rows:
        yield "## Scores\n"
        yield "| suite | measure | | score | 95% interval | n |\n|---|---|---|---|---|---|"
        yield "\n".join(rows) + "\n"
