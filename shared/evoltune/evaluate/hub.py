"""Suites from the Hugging Face hub: one revision, pinned at the first load, written as JSONL in upstream's own fields.

`Benchmark.hub` is an address as in `rows.hub`; without a config the dataset's only one, `main`, or all of
them one after another (MATH's subjects); without a split `test`.
Invariant: a file in the cache is complete (renamed last), and `revisions.json` beside it names the revision it holds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evoltune.errors import DataError, MissingExtraError
from evoltune.rows.files import write_file, write_json
from evoltune.rows.hub import Address, parse_address

if TYPE_CHECKING:
    from evoltune.evaluate.suites import Entry


def fetch(entry: Entry, cache: Path) -> tuple[Path, str]:
    """Downloads a suite into `cache` and pins its revision. Raises DataError, the reason in one line, when that fails."""
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("datasets", "data", f"fetching suite {entry.name} from the hub") from error
    where = parse_address(entry.benchmark.hub)
    pins_file, key = cache / "revisions.json", f"{entry.domain}/{entry.name}"
    pins: dict[str, str] = json.loads(pins_file.read_text(encoding="utf-8")) if pins_file.is_file() else {}
    try:
        revision = where.revision or pins.get(key) or _newest(where.repo)
        rows: list[dict[str, Any]] = []
        for config in _configs(where, revision):
            rows += list(
                datasets.load_dataset(where.repo, config, split=where.split or "test", revision=revision)
            )
    except Exception as error:  # the hub's client raises a dozen unrelated types when offline
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise DataError(f"the hub gave nothing ({reason})") from error
    path = cache / f"{entry.domain}-{entry.name}.jsonl"
    write_file(path, "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows))
    write_json(pins_file, {**pins, key: revision}, sort_keys=True)
    return path, f"{where.repo}@{revision}"


def _newest(repo: str) -> str:
    from huggingface_hub import HfApi

    return str(HfApi().dataset_info(repo, timeout=10).sha)


def _configs(where: Address, revision: str) -> Sequence[str | None]:
    if where.config:
        return [where.config]
    import datasets

    names: list[str] = datasets.get_dataset_config_names(where.repo, revision=revision)
    if "main" in names:
        return ["main"]
    return names or [None]
