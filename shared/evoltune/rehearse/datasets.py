"""Datasets of the hub in their real layout, filled with the seeds of our own domains.

    write_dataset_repository(Path("hub"), "openai/gsm8k")      # hub/datasets/openai/gsm8k/main/train-00000-of-00001.parquet ...

The layouts are in repositories.yaml. No row of the real datasets is here: only their file names, columns and types.
"""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from evoltune.domain import load_domain, seeds_of
from evoltune.record import Record
from evoltune.rehearse.hub import GATED

ROWS = 9
"""Rows of each split: enough for a batch, few enough for seconds."""
PARTS = 3
"""Seeds are cut into training rows (0), test rows (1) and validation rows (2). Like seeds stand together, so that no suite holds
a training row, nor its skeleton with other numbers; rows are drawn evenly from a part."""
_WHOLE = re.compile(r"\{(\w+):(int|float|list)\}")
_SLOT = re.compile(r"\{(\w+)(:line)?\}")


@cache
def layouts() -> Mapping[str, Mapping[str, Any]]:
    text = (files("evoltune.rehearse") / "repositories.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def write_dataset_repository(hub: Path, name: str) -> Path:
    """Writes one dataset repository; returns its folder. Raises KeyError for a dataset without a layout."""
    layout = layouts()[name]
    folder = hub / "datasets" / name
    configs = layout.get("configs") or {"default": layout["splits"]}
    for config, splits in configs.items():
        columns = layout.get("columns_of", {}).get(config, layout["columns"])
        for split in splits.values():
            at = split.get("at", layout["rows"]["at"])
            tasks = values_of(layout["rows"]["domain"], at, layout["rows"].get("form", ""))
            rows = [
                filled(split.get("columns", columns), {**values, **_place(config, split, i)})
                for i, values in enumerate(spread(tasks))
            ]
            _write_rows(folder / split["file"], rows)
    (folder / "README.md").write_text(_card(layout, configs), encoding="utf-8")
    if layout.get("gated"):
        (folder / GATED).touch()
    return folder


def write_suite_file(data: Path, name: str) -> Path:
    """Writes a suite's file below the folder that EVOLTUNE_DATA names. Raises KeyError for one without a layout."""
    layout = layouts()[name]
    values = spread(values_of(layout["rows"]["domain"], layout["rows"]["at"], ""))
    _write_rows(data / name, [filled(layout["columns"], {**v, **_place("", {}, i)}) for i, v in enumerate(values)])
    return data / name


def _place(config: str, split: Mapping[str, Any], i: int) -> dict[str, Any]:
    return {
        "index": i, "number": split.get("first_id", 1) + i, "level": 1 + i % 5,
        "config_title": config.replace("_", " ").title().replace(" And ", " & "),
    }  # fmt: skip


@cache
def values_of(domain: str, at: int, form: str) -> Sequence[Mapping[str, Any]]:
    """The values that a layout's templates may use, one dict for each seed. With `form: function`, only seeds that test one Python
    function."""
    every = [seed for seed in seeds_of(load_domain(domain)) if seed.answers]
    seeds = [seed for i, seed in enumerate(every) if i * PARTS // len(every) == at]
    return [_values(seed, form) for seed in seeds if form != "function" or _is_function(seed)]


def spread(values: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """At most ROWS of the items, evenly spread."""
    return [values[i * len(values) // ROWS] for i in range(ROWS)] if len(values) > ROWS else values


def _values(seed: Record, form: str) -> dict[str, Any]:
    task = seed.task
    values: dict[str, Any] = {
        "instruction": task.instruction, "answer": seed.answers[0].text, "reference": task.reference or "",
        "tests": task.tests, **task.fields,
    }  # fmt: skip
    if form == "function":
        values |= _function_values(seed)
    return values


def _is_function(seed: Record) -> bool:
    if not isinstance(seed.task.tests, str) or not seed.task.fields.get("entry_point"):
        return False
    return all(isinstance(node, ast.Assert) for node in ast.parse(seed.task.tests).body) and bool(
        _function_values(seed)
    )


def _function_values(seed: Record) -> dict[str, Any]:
    """Writes a task in HumanEval's form: a stub with its docstring, its body apart, and `check(candidate)`."""
    source, name = seed.task.reference or "", str(seed.task.fields["entry_point"])
    node = next((n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef) and n.name == name), None)
    if node is None:
        return {}
    lines = source.splitlines(keepends=True)
    head, body = "".join(lines[: node.body[0].lineno - 1]), "".join(lines[node.body[0].lineno - 1 : node.end_lineno])
    asserts = [ast.unparse(n) for n in ast.parse(str(seed.task.tests)).body]
    docstring = seed.task.instruction.replace("\\", "\\\\").replace('"""', "'''")
    called = re.compile(rf"\b{re.escape(name)}\b")
    checks = "".join(f"    {called.sub('candidate', text)}\n" for text in asserts)
    return {
        "stub": f'{head}    """{docstring}\n    """\n', "body": body, "asserts": asserts,
        "check": f"METADATA = {{}}\n\n\ndef check(candidate):\n{checks}",
    }  # fmt: skip


def filled(template: Any, values: Mapping[str, Any]) -> Any:
    """Fills each `{name}` of a template. A template that is only `{name:int}` becomes a number, only `{name:list}` a list;
    `{name:line}` is put on one line."""
    if isinstance(template, Mapping):
        return {key: filled(value, values) for key, value in template.items()}
    if isinstance(template, list):
        return [filled(value, values) for value in template]
    if not isinstance(template, str):
        return template
    if whole := _WHOLE.fullmatch(template):
        value = values[whole[1]]
        return list(value) if whole[2] == "list" else {"int": int, "float": float}[whole[2]](value)
    return _SLOT.sub(
        lambda slot: _text(values[slot[1]], one_line=bool(slot[2])) if slot[1] in values else slot[0], template
    )


def _text(value: Any, *, one_line: bool) -> str:
    text = "\n".join(value) if isinstance(value, list) else str(value)
    return " ".join(text.split()) if one_line else text


def _write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(list(rows), ensure_ascii=False), encoding="utf-8")
    else:
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def _card(layout: Mapping[str, Any], configs: Mapping[str, Mapping[str, Any]]) -> str:
    """The dataset card with the front matter by which the hub's reader finds configurations and splits."""
    front: dict[str, Any] = {"license": layout["licence"]}
    if layout.get("configs") or any("/" in split["file"] for split in layout["splits"].values()):
        front["configs"] = [
            {"config_name": config, "data_files": [{"split": s, "path": _glob(f["file"])} for s, f in splits.items()]}
            for config, splits in configs.items()
        ]
    return f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n\nRows of a rehearsal, in the layout of the dataset of this name.\n"


def _glob(file: str) -> str:
    return re.sub(r"-\d{5}-of-\d{5}.*$", "-*", file)


def hub_names() -> list[str]:
    """The datasets of the hub that have a layout."""
    return [name for name, layout in layouts().items() if not layout.get("suite_file")]
