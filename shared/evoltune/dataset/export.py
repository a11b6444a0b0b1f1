"""Export of a dataset: its rows as JSONL in the form that another trainer reads, or the whole folder to the hub.

evoltune data export runs/x/dataset --form sharegpt --out rows.jsonl
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from evoltune.errors import DataError, nearest, require
from evoltune.rows.files import jsonl_writer
from evoltune.rows.readers import read_rows
from evoltune.run.paths import MANIFEST

Row = Mapping[str, Any]


def _alpaca(row: Row) -> dict[str, Any]:
    """With LLaMA-Factory's `system` and `history` (pairs of question and answer) where a row has earlier turns."""
    earlier = row["messages"][:-2]
    roles = [m["role"] for m in earlier]
    spoken = [role for role in roles if role != "system"]
    if spoken != ["user", "assistant"] * (len(spoken) // 2) or "system" in roles[1:]:
        raise DataError(
            f"row {row['id']!r}: roles {', '.join(roles)} have no place in Alpaca's columns: use --form chat"
        )
    said = [[m["content"] for m in earlier if m["role"] == role] for role in ("system", "user", "assistant")]
    plain = {"instruction": row["instruction"], "input": row["input"], "output": row["output"]}
    more = {"system": "\n\n".join(said[0]), "history": list(zip(said[1], said[2], strict=False))}
    return plain | {column: value for column, value in more.items() if value}


def _sharegpt(row: Row) -> dict[str, Any]:
    names = {"user": "human", "assistant": "gpt"}
    turns = [{"from": names.get(m["role"], m["role"]), "value": m["content"]} for m in row["messages"]]
    return {"conversations": turns}


FORMS: Mapping[str, Callable[[Row], dict[str, Any]]] = {
    "alpaca": _alpaca, "chat": lambda row: {"messages": row["messages"]}, "sharegpt": _sharegpt
}  # fmt: skip


def export_jsonl(source: Path, target: Path, form: str) -> int:
    """Writes the rows of a dataset written by evoltune as JSONL, `id` first; returns their number."""
    if form not in FORMS:
        raise DataError(f"form {form!r}: {nearest(form, FORMS)}")
    count = 0
    with jsonl_writer(target) as write:
        for row in read_rows(source):
            if "messages" not in row or "output" not in row:
                raise DataError(f"{source}: not a dataset written by evoltune: give its folder or its train.parquet")
            write({"id": row["id"], **FORMS[form](row)})
            count += 1
    return count


def push_to_hub(folder: Path, repository: str, *, private: bool = True) -> str:
    """Uploads a finished dataset folder, with card and certificate, and returns its address; the hub's client finds the
    token. Called only for `evoltune data export --push REPOSITORY`."""
    if not (folder / MANIFEST).is_file():
        raise DataError(f"{folder}: no manifest.json: only a finished dataset is pushed; run `evoltune build` first")
    require("pushing to the hub", "data", "huggingface_hub")
    from huggingface_hub import HfApi

    api = HfApi()
    api.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
    api.upload_folder(folder_path=str(folder), repo_id=repository, repo_type="dataset", ignore_patterns=["*.tmp"])
    return f"https://huggingface.co/datasets/{repository}"
