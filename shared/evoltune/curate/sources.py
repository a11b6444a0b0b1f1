"""A small good set chosen from large sources: what `evoltune data select` does.

selection = select_from_sources(["stackexchange:physics/Posts.xml"], load_domain("general"), Curate(size=1000, mode="lima"))
selection.rows, selection.left_out   ->  [Record(...), ...], Counter({"too short": 812, ...})
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from evoltune.curate.dedup import dedup
from evoltune.curate.select import check_quotas, choose, grouped, shortfalls, source_of, target_size
from evoltune.domain import Domain
from evoltune.errors import DataError, require
from evoltune.recipe import Curate, Source
from evoltune.record import Drop, Record
from evoltune.rows.lima_rules import objection
from evoltune.rows.readers import BadRow
from evoltune.rows.records import source_records
from evoltune.text.words import words


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The chosen rows in id order, and how many were left out for which reason: each row of the sources is one or the other."""

    rows: Sequence[Record]
    left_out: Counter[str]
    unreadable: Sequence[BadRow] = ()
    short: Sequence[str] = ()
    """A line for each source that could not fill its quota."""


def select_from_sources(
    sources: Iterable[str], domain: Domain, options: Curate, *,
    accepted: Collection[str] = (), rejected: Collection[str] = (),
) -> Selection:  # fmt: skip
    """Reads all sources, drops duplicates and what the mode's rules refuse, and chooses rows: `options.size`, or what the quotas name.

    Args:
        options: size, mode, balance, quotas and embeddings are used.
        accepted: names of rows that are always chosen, if they pass the rules.
        rejected: names of rows that are never chosen.

    Raises RecipeError for quotas above the size, DataError for an unknown source or more accepted rows than its quota.
    """
    check_quotas(options)

    def refuse(record: Record) -> str:
        if record.task.name in rejected:
            return "rejected by hand"
        return objection(record.answers[0].text, source_of(record)) if options.mode == "lima" else ""

    left_out: Counter[str] = Counter()
    bad: list[BadRow] = []
    candidates = []
    names: set[str] = set()

    def read() -> Iterator[Record]:
        seen: Counter[str] = Counter()
        for record in (
            record for path in sources for record in source_records(Source(path=path), domain, bad, left_out)
        ):
            names.add(source_of(record))
            name = record.task.name
            seen[name] += 1
            if seen[name] > 1:  # two files that both count from 1: a decision about one row must not be about both
                record = replace(record, task=replace(record.task, name=f"{name}#{seen[name]}"))
            yield record

    for result in dedup(Curate(embeddings=options.embeddings), refuse=refuse)(read()):
        if isinstance(result, Drop):
            left_out[result.reason] += 1
        else:
            candidates.append(result)
    if unknown := next((name for name in options.quotas if name not in names), ""):
        raise DataError(f"--quota {unknown}: no row has this source: allowed: {', '.join(sorted(names)) or 'none'}")
    required = [r for r in candidates if r.task.name in accepted]
    others = [r for r in candidates if r.task.name not in accepted]
    rest = msgspec.structs.replace(options, quotas=_left_of(options.quotas, required))
    chosen = [*required, *choose(others, rest, max(0, target_size(options) - len(required)))]
    left_out["unreadable"] += len(bad)
    left_out["not selected"] += len(candidates) - len(chosen)
    short = shortfalls(chosen, options.quotas)
    return Selection(rows=sorted(chosen, key=lambda r: r.id), left_out=+left_out, unreadable=bad, short=short)


def _left_of(quotas: Mapping[str, int], accepted: Sequence[Record]) -> dict[str, int]:
    """What the quotas leave beside the rows that were accepted by hand."""
    taken = Counter(map(source_of, accepted)) if quotas else Counter[str]()
    for name, rows in taken.items():
        if rows > quotas.get(name, 0):
            raise DataError(f"--quota {name}={quotas.get(name, 0)}: {rows} of its rows were accepted by hand")
    return {name: wanted - taken[name] for name, wanted in quotas.items()}


def selected_row(record: Record) -> dict[str, Any]:
    """A chosen record as a row of the output file and of the review page."""
    task = record.task
    fields = {k: v for k, v in task.fields.items() if isinstance(v, str)}
    text: dict[str, Any] = {"instruction": task.instruction, "output": record.answers[0].text}
    if task.history:
        turns = (*task.history, ("user", task.instruction), ("assistant", record.answers[0].text))
        text["messages"] = [{"role": role, "content": content} for role, content in turns]
    return {"id": task.name, **text, "source": source_of(record), **fields}


def counts_by_source(
    records: Sequence[Record], count_tokens: Callable[[str], int] | None = None
) -> Iterator[list[object]]:
    """[source, rows, words asked, words answered(, tokens)] for each source, and for all."""
    for name, rows in [*sorted(grouped(records, source_of).items()), ("all", records)]:
        asked, answered = [r.task.instruction for r in rows], [r.answers[0].text for r in rows]
        sums = [len(rows), *(sum(len(words(text)) for text in texts) for texts in (asked, answered))]
        if count_tokens:
            sums.append(sum(map(count_tokens, [*asked, *answered])))
        yield [name, *(f"{n:,}" for n in sums)]


def token_counter(model: str) -> Callable[[str], int]:
    """Counts tokens with the tokenizer of a model (a folder or a hub id). Raises DataError when there is none."""
    require("counting tokens", "train", "transformers")
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise DataError(
            f"--tokenizer {model!r}: no such model ({type(error).__name__}: {error}): give a folder or a hub id"
        ) from error
    return lambda text: len(tokenizer(text)["input_ids"])


def read_decisions(path: Path) -> tuple[frozenset[str], frozenset[str]]:
    """(accepted ids, rejected ids) of a `decisions.json` that the review page saved. Raises DataError: something else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as decisions: {error}: save it again from the review page") from error
    known = {"accept", "reject", ""}
    if not isinstance(found, dict) or not all(isinstance(v, str) and v in known for v in found.values()):
        raise DataError(f"{path}: must map ids to 'accept' or 'reject', as the review page saves it")
    accepted = frozenset(i for i, decision in found.items() if decision == "accept")
    return accepted, frozenset(i for i, decision in found.items() if decision == "reject")
