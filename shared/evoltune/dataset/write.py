"""The dataset: records in, Parquet with card, certificate and manifest out; the same records give the same bytes.

    write_dataset(store.kept(step), Path("runs/x/dataset"), recipe, certificate, counts)

Invariants: rows are sorted by id; a row's split depends on its id alone; no time, path or measurement enters a byte;
`manifest.json` is written last, so its presence means that the folder is whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

from evoltune import __version__
from evoltune.curate.answers import chosen_answers
from evoltune.curate.certificate import FILE as CERTIFICATE
from evoltune.curate.certificate import write_certificate
from evoltune.curate.difficulty import LEVELS, difficulty, level_of
from evoltune.curate.licences import licence_of, terms_of
from evoltune.dataset.card import render_card
from evoltune.dataset.export import write_jsonl
from evoltune.errors import DataError, MissingExtraError
from evoltune.recipe import Recipe, fingerprint
from evoltune.record import Answer, Record, digest
from evoltune.report.pictures import difficulty_picture
from evoltune.rows.files import atomic_path, file_digest, write_file, write_json

MANIFEST = "manifest.json"
PICTURE = "difficulty.svg"
BATCH = 10_000  # rows per Parquet row group
LEAST_TO_SPLIT = 20  # with fewer rows there is nothing to validate on: all go to train
COUNTED = ("licence", "skill", "operator", "round")
Row = dict[str, Any]


def write_dataset(
    records: Iterable[Record], folder: Path, recipe: Recipe, certificate: Mapping[str, Any],
    counts: Mapping[str, Mapping[str, int]],
) -> Path:  # fmt: skip
    """Writes train.parquet, validation.parquet, a JSONL copy in `curate.form`, README.md, certificate.json, manifest.json.

    records: in id order (as the store gives them). Returns the folder. Raises DataError when there is no row at all.
    """
    rows = (row for record in records for row in to_rows(record, recipe))
    first = list(islice(rows, LEAST_TO_SPLIT))
    if not first:
        raise DataError(
            f"{folder}: no row was kept: see the reasons above; loosen verify.keep or curate, or add seeds"
        )
    share = recipe.curate.validation if len(first) == LEAST_TO_SPLIT else 0.0
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    for leftover in folder.glob(".*.tmp"):  # of a process that was killed
        leftover.unlink()
    splits: Counter[str] = Counter({"train": 0, "validation": 0})
    seen: dict[str, Counter[str]] = {name: Counter() for name in COUNTED}
    levels: dict[str, Counter[str]] = {}
    _write_parquet(_counted(_chain(first, rows), splits, seen, levels, share), folder)
    files = [f"{split}.parquet" for split in splits]
    for split in splits:
        write_jsonl(
            folder / f"{split}.parquet", folder / recipe.curate.form / f"{split}.jsonl", recipe.curate.form
        )
    proof = {**certificate, "files": {name: file_digest(folder / name) for name in files}}
    write_certificate(folder / CERTIFICATE, proof)
    picture = difficulty_picture(dict(sorted(levels.items())), LEVELS)
    if picture:
        write_file(folder / PICTURE, picture)
    write_file(folder / "README.md", render_card(recipe, proof, counts, splits, seen))
    manifest = {
        "format": 1, "evoltune": __version__, "recipe": fingerprint(recipe), "rows": dict(splits),
        "files": {name: file_digest(folder / name) for name in (*files, CERTIFICATE, *([PICTURE] if picture else []), "README.md")},
        "ledger": {stage: dict(ledger) for stage, ledger in counts.items()},
    }  # fmt: skip
    write_json(folder / MANIFEST, manifest, sort_keys=True)
    return folder


def to_rows(record: Record, recipe: Recipe) -> Iterator[Row]:
    """The rows of a record: one for each chosen answer (`curate.answers_per_task`); none where no answer may stay."""
    answers = chosen_answers(record, recipe.verify.keep, recipe.curate.answers_per_task)
    for i, answer in enumerate(answers):
        yield _row(record, answer, record.id if i == 0 else f"{record.id}.{i}", recipe)


def _row(record: Record, answer: Answer, row_id: str, recipe: Recipe) -> Row:
    task = record.task
    turns = [*task.history, ("user", task.instruction), ("assistant", answer.text)]
    verified_by, confidence = _verified_by(answer)
    return {
        "id": row_id,
        "domain": record.domain,
        "instruction": task.instruction,
        "input": "",
        "output": answer.text,
        "messages": [{"role": role, "content": content} for role, content in turns],
        "operator": record.operator,
        "round": record.round,
        "parents": list(record.parents),
        "skill": str(task.fields.get("skill") or record.domain),
        "verified_by": verified_by,
        "confidence": confidence,
        "difficulty": round(difficulty(record) or 0.0, 3),
        "licence": licence_of(record, recipe),
        "teacher_terms": terms_of(record, recipe),
    }


def _verified_by(answer: Answer) -> tuple[str, float]:
    if answer.verdict is None or answer.verdict.status != "pass":
        return "", 0.0
    evidence = answer.verdict.evidence
    how = evidence.get("verified_by") or evidence.get("method") or "verifier"
    sure = evidence.get("confidence", 1.0)
    return str(how), float(sure) if isinstance(sure, int | float) else 1.0


def split_of(row_id: str, share: float) -> str:
    """validation for about `share` of all ids, by their hash; answers of one task share a split."""
    return (
        "validation" if int(digest(["split", row_id.partition(".")[0]])[:8], 16) < share * 2**32 else "train"
    )


def _chain(first: list[Row], rest: Iterable[Row]) -> Iterator[Row]:
    yield from first
    yield from rest


def _counted(
    rows: Iterable[Row],
    splits: Counter[str],
    seen: Mapping[str, Counter[str]],
    levels: dict[str, Counter[str]],
    share: float,
) -> Iterator[tuple[str, Row]]:
    for row in rows:
        split = split_of(row["id"], share)
        splits[split] += 1
        levels.setdefault(f"round {row['round']}", Counter())[
            level_of(row["difficulty"] or None, row["round"])
        ] += 1
        for name, counter in seen.items():
            counter[str(row[name])] += 1
        yield split, row


def _write_parquet(rows: Iterator[tuple[str, Row]], folder: Path) -> None:
    """Streams rows into one Parquet file per split, with the schema that `datasets` writes."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
        from datasets import Features
    except ImportError as error:
        raise MissingExtraError(error.name or "datasets", "data", "writing the dataset") from error
    schema = Features(_features()).arrow_schema
    with ExitStack() as stack:
        writers = {
            split: stack.enter_context(
                pq.ParquetWriter(
                    stack.enter_context(atomic_path(folder / f"{split}.parquet")), schema, compression="zstd"
                )
            )
            for split in ("train", "validation")
        }
        while batch := list(islice(rows, BATCH)):
            for split, writer in writers.items():
                part = [row for name, row in batch if name == split]
                if part:
                    writer.write_table(pa.Table.from_pylist(part, schema=schema), row_group_size=BATCH)


def _features() -> dict[str, Any]:
    from datasets import List, Value

    text, number = Value("string"), Value("float64")
    columns: dict[str, Any] = dict.fromkeys(("id", "domain", "instruction", "input", "output"), text)
    columns["messages"] = List({"role": text, "content": text})
    columns |= {
        "operator": text,
        "round": Value("int32"),
        "parents": List(text),
        "skill": text,
        "verified_by": text,
    }
    return columns | {"confidence": number, "difficulty": number, "licence": text, "teacher_terms": text}
