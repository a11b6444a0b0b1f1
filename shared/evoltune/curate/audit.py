"""The audit of any rows against suites: what `evoltune data decontaminate` prints, and may certify.

audit = audit_dataset("rows.jsonl", {"humaneval": load_suite("humaneval")}, Curate(), Verification())
audit.hits    ->  {"rows.jsonl:7": [Hit(suite="humaneval", task="HumanEval/3", method="13-gram", score=1.0)]}
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from evoltune.curate.certificate import Suite, build_certificate, certificate_path, methods_of
from evoltune.curate.decontaminate import (
    DomainOverlap,
    Findings,
    Suites,
    Unchecked,
    domain_overlap,
    find_overlap,
    overlap_methods,
    seed_texts,
)  # fmt: skip
from evoltune.curate.embedding_matches import build_embedding_index
from evoltune.curate.text_matches import Hit, build_index
from evoltune.domain import Domain, load_domain, seeds_of
from evoltune.recipe import Curate, Verification
from evoltune.record import Record
from evoltune.rows.columns import recognise
from evoltune.rows.files import WriteRow, file_digest, jsonl_writer, write_json
from evoltune.rows.readers import BadRow, Row, read_located
from evoltune.rows.records import to_record
from evoltune.run.paths import user_path
from evoltune.terminal import row_counter
from evoltune.verification.checker import open_checker


@dataclass(frozen=True, kw_only=True)
class SuiteGroup:
    """Suites of one domain, and that domain's overlap functions if they are to run."""

    suites: Suites
    overlap: DomainOverlap | None = None
    seeds: Sequence[str] = ()
    """What the domain's own seeds ask, of which its frame is learnt."""


@dataclass(kw_only=True)
class Audit:
    """Counts and findings; filled while rows stream through `audit_records`."""

    rows: int = 0
    hits: dict[str, list[Hit]] = field(default_factory=dict)
    """Row name (file:line) -> its hits; other rows are left out."""
    unchecked: dict[str, list[Unchecked]] = field(default_factory=dict)
    """Row name -> its checks that gave no result; rows with hits are left out."""
    unreadable: list[BadRow] = field(default_factory=list)

    @property
    def clean_rows(self) -> int:
        return self.rows - len(self.hits) - len(self.unchecked)


def audit_dataset(
    ref: str, suites: Mapping[str, Suite], options: Curate, verification: Verification, clean: Path | None = None
) -> Audit:
    """Checks all rows of a source, by every method, against the suites.

    Args:
        ref: what `read_located` reads; of a dataset folder, all splits.
        clean: where to write the clean rows, as they were read, as JSONL.
    """
    audit = Audit()
    domains = {ref: load_domain(ref) for ref in (suite.domain for suite in suites.values())}
    reader = next(iter(domains.values()))
    with ExitStack() as stack:
        groups = []
        for name, domain in domains.items():
            tasks = {suite: found.tasks for suite, found in suites.items() if found.domain == name}
            overlap = None
            if overlap_methods(domain, options):
                checker = stack.enter_context(open_checker(name, verification))
                overlap = domain_overlap(domain, options, tasks, checker)
            groups.append(SuiteGroup(suites=tasks, overlap=overlap, seeds=seed_texts(seeds_of(domain))))
        write: WriteRow = stack.enter_context(jsonl_writer(clean)) if clean else lambda row: None
        count = stack.enter_context(row_counter("audit"))
        rows: deque[Row] = deque()

        def records() -> Iterator[Record]:
            for record, row in _read(ref, reader, audit.unreadable):
                rows.append(row)
                yield record

        for _, is_clean in audit_records(records(), groups, options, audit):
            row = rows.popleft()
            if is_clean:
                write(row)
            count(f", {len(audit.hits)} hit")
    return audit


def _read(ref: str, domain: Domain, bad: list[BadRow]) -> Iterator[tuple[Record, Row]]:
    splits = sorted(str(path) for path in user_path(ref).glob("*.parquet"))
    for source in splits or [ref]:
        for where, row in read_located(source, bad):
            turns = recognise(row)
            if isinstance(turns, str):
                bad.append(BadRow(where=where, reason=turns))
            else:
                yield to_record(domain, {**row, "id": where}, turns, where), row


def audit_records(
    records: Iterable[Record], groups: Sequence[SuiteGroup], options: Curate, audit: Audit
) -> Iterator[tuple[Record, bool]]:
    """(record, whether it is clean), in order; all that every method finds is added to `audit`."""
    stream: Iterator[tuple[Record, Findings]] = ((record, Findings()) for record in records)
    for group in groups:
        index = build_index(group.suites, options, group.seeds)
        embeddings = build_embedding_index(group.suites, options, group.seeds)
        stream = find_overlap(stream, index, group.suites, group.overlap, embeddings=embeddings, every_method=True)
    for record, findings in stream:
        audit.rows += 1
        if findings.hits:
            audit.hits[record.task.name] = findings.hits
        elif findings.unchecked:
            audit.unchecked[record.task.name] = findings.unchecked
        yield record, findings.clean


def certify(audit: Audit, suites: Mapping[str, Suite], options: Curate, dataset: Path) -> Path:
    """Writes the certificate of a finished audit for the files of `dataset` (a folder or one file); returns its path."""
    methods = {name for suite in suites.values() for name in load_domain(suite.domain).overlap}
    hits = [{"row": row, "hits": msgspec.to_builtins(found)} for row, found in sorted(audit.hits.items())]
    unchecked = [{"row": row, "checks": msgspec.to_builtins(found)} for row, found in sorted(audit.unchecked.items())]
    dropped = {"contaminated": len(audit.hits), "unchecked": len(audit.unchecked)}
    rows = {"in": audit.rows, "kept": audit.clean_rows, **dropped}
    proof = build_certificate(suites, methods_of(options, methods), rows=rows, hits=hits, unchecked=unchecked)
    files = sorted(dataset.glob("*.parquet")) if dataset.is_dir() else [dataset]
    path = certificate_path(dataset)
    write_json(path, {**proof, "files": {file.name: file_digest(file) for file in files}}, sort_keys=True)
    return path
