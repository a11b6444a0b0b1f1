"""The dataset: records in; Parquet, card, certificate and manifest out. The same records give the same bytes.

    write_dataset(store.kept(step), Path("runs/x/dataset"), recipe, certificate, ledgers)

Invariants: rows are sorted by id; a row's split depends on its id alone; no time, path or measurement enters a byte;
`manifest.json` is written last, so its presence means that the folder is complete.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from evoltune import __version__
from evoltune.curate.quality import LEVELS, chosen_answers, level_of
from evoltune.dataset.card import render_card
from evoltune.dataset.export import FORMS, export_jsonl
from evoltune.dataset.schema import Row, arrow_schema, to_rows
from evoltune.errors import DataError, MissingExtraError
from evoltune.recipe import Recipe, fingerprint
from evoltune.record import Record, digest
from evoltune.report.charts import difficulty_svg
from evoltune.rows.files import atomic_path, file_digest, write_file, write_json
from evoltune.run.paths import CERTIFICATE, DIFFICULTY_CHART, MANIFEST

CARD = "README.md"
SPLITS = ("train", "validation")
BATCH = 10_000  # rows per Parquet row group
MIN_TO_SPLIT = 20  # with fewer rows there is nothing to validate on: all go to train
COUNTED = ("licence", "skill", "reasoning_kind", "operator", "round")
"""Columns whose values the card counts."""


@dataclass(kw_only=True)
class _Counts:
    """What is counted while rows stream to the files."""

    splits: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(SPLITS, 0)))
    values: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in COUNTED})
    levels: dict[int, Counter[str]] = field(default_factory=dict)
    """round -> level of difficulty -> rows"""

    def add(self, row: Row, split: str) -> None:
        self.splits[split] += 1
        self.levels.setdefault(row["round"], Counter())[level_of(row["difficulty"] or None)] += 1
        for name, counter in self.values.items():
            counter[str(row[name])] += 1


def write_dataset(
    records: Iterable[Record], folder: Path, recipe: Recipe, certificate: Mapping[str, Any],
    ledgers: Mapping[str, Mapping[str, int]], rows_of: Mapping[str, int] | None = None,
) -> Path:  # fmt: skip
    """Writes both splits as Parquet and as JSONL in `curate.form`, the card, the certificate and the manifest.

    Args:
        records: in id order, as the store gives them; without any row, DataError.
        certificate: without its `files`.
        ledgers: stage -> its ledger, for card and manifest.
        rows_of: Record id -> its rows, where they are bounded; the others give `curate.answers_per_task`.
    """
    rows = (row for record in records for row in to_rows(record, recipe, (rows_of or {}).get(record.id)))
    first = list(islice(rows, MIN_TO_SPLIT))
    if not first:
        raise DataError(f"{folder}: no row was kept: see the reasons above; loosen verify.keep or curate, or add seeds")
    share = recipe.curate.validation if len(first) == MIN_TO_SPLIT else 0.0
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    for leftover in folder.glob(".*.tmp"):  # of a process that was killed
        leftover.unlink()
    _remove_old(folder)
    counts = _Counts()
    _write_parquet(_counted(chain(first, rows), counts, share), folder, recipe)
    files = [f"{split}.parquet" for split in SPLITS]
    form = recipe.curate.form
    for split, file in zip(SPLITS, files, strict=True):
        export_jsonl(folder / file, folder / form / f"{split}.jsonl", form)
    proof = {**certificate, "files": {name: file_digest(folder / name) for name in files}}
    write_json(folder / CERTIFICATE, proof, sort_keys=True)
    picture = difficulty_svg({f"round {n}": found for n, found in sorted(counts.levels.items())}, LEVELS)
    if picture:
        write_file(folder / DIFFICULTY_CHART, picture)
    write_file(folder / CARD, render_card(recipe, proof, ledgers, counts.splits, counts.values))
    hashed = [*files, CERTIFICATE, *([DIFFICULTY_CHART] if picture else []), CARD]
    manifest = {
        "format": 1, "evoltune": __version__, "recipe": fingerprint(recipe), "rows": dict(counts.splits),
        "files": {name: file_digest(folder / name) for name in hashed},
        "ledger": {stage: dict(ledger) for stage, ledger in ledgers.items()},
    }  # fmt: skip
    write_json(folder / MANIFEST, manifest, sort_keys=True)
    return folder


def rows_of_tasks(records: Iterable[Record], recipe: Recipe) -> dict[str, int] | None:
    """How many rows each task gives, by record id, where `curate.size` bounds them: unique prompts come before more answers, so a
    task gives a second row only when every task has given one and `size` is not reached. None: all have `answers_per_task`."""
    options = recipe.curate
    if not options.size or options.answers_per_task == 1:
        return None
    available = {r.id: len(chosen_answers(r, recipe.verify.keep, options.answers_per_task)) for r in records}
    rows = {record: min(1, n) for record, n in available.items()}
    left = options.size - sum(rows.values())
    for turn in range(2, options.answers_per_task + 1):
        with_more = [record for record, n in available.items() if n >= turn]
        with_more.sort(key=lambda record: digest(["rows", recipe.seed, turn, record]))
        for record in with_more[: max(0, left)]:
            rows[record] = turn
        left -= len(with_more)
    return rows


def _remove_old(folder: Path) -> None:
    """Removes what an earlier build wrote and this one may not: the copy in another form, the chart."""
    (folder / DIFFICULTY_CHART).unlink(missing_ok=True)
    for form in FORMS:
        for split in SPLITS:
            (folder / form / f"{split}.jsonl").unlink(missing_ok=True)
        if (folder / form).is_dir() and not any((folder / form).iterdir()):
            (folder / form).rmdir()


def split_of(row_id: str, share: float) -> str:
    """validation for about `share` of all ids, by their hash; answers to one task share a split."""
    number = int(digest(["split", row_id.partition(".")[0]])[:8], 16)
    return "validation" if number < share * 2**32 else "train"


def _counted(rows: Iterable[Row], counts: _Counts, share: float) -> Iterator[tuple[str, Row]]:
    for row in rows:
        split = split_of(row["id"], share)
        counts.add(row, split)
        yield split, row


def _write_parquet(rows: Iterator[tuple[str, Row]], folder: Path, recipe: Recipe) -> None:
    """Streams rows into one Parquet file per split."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = arrow_schema(recipe)
    except ImportError as error:
        raise MissingExtraError(error.name or "datasets", "data", "writing the dataset") from error
    with ExitStack() as stack:
        writers = {}
        for split in SPLITS:
            temporary = stack.enter_context(atomic_path(folder / f"{split}.parquet"))
            writers[split] = stack.enter_context(pq.ParquetWriter(temporary, schema, compression="zstd"))
        while batch := list(islice(rows, BATCH)):
            for split, writer in writers.items():
                if part := [row for name, row in batch if name == split]:
                    writer.write_table(pa.Table.from_pylist(part, schema=schema), row_group_size=BATCH)
