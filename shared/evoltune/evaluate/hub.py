"""Download a suite from the Hugging Face hub, at one revision, as JSONL with the hub's own columns.

An address has the form of evoltune.rows.hub. Without a config it means the dataset's only one, `main`, or all of them one
after another (the subjects of MATH); without a split it means `test`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evoltune.errors import DataError, MissingExtraError
from evoltune.rows.files import jsonl_writer
from evoltune.rows.hub import Address, parse_address


def fetch(address: str, out: Path, pinned: str = "") -> str:
    """Downloads a dataset into the JSONL file `out`.

    Args:
        pinned: revision to fetch where the address names none; "": the newest.

    Returns:
        `owner/name@revision` of what was downloaded.

    Raises:
        DataError: with the reason in one line.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("datasets", "data", f"fetching {address} from the hub") from error
    where = parse_address(address)
    try:
        revision = where.revision or pinned or _newest(where.repo)
        rows: list[dict[str, Any]] = []
        for config in _configs(where, revision):
            rows += datasets.load_dataset(where.repo, config, split=where.split or "test", revision=revision)
    except Exception as error:  # the hub's client raises a dozen unrelated types when offline
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise DataError(f"the download from the hub failed ({reason})") from error
    with jsonl_writer(out) as write:
        for row in rows:
            write(row)
    return f"{where.repo}@{revision}"


def _newest(repo: str) -> str:
    from huggingface_hub import HfApi

    return str(HfApi().dataset_info(repo, timeout=10).sha)


def _configs(where: Address, revision: str) -> Sequence[str | None]:
    if where.config:
        return [where.config]
    import datasets

    names: list[str] = datasets.get_dataset_config_names(where.repo, revision=revision)
    return ["main"] if "main" in names else names or [None]
