"""`evoltune verify`: judge the rows of a file, or the evolved rows of a recipe.

    evoltune verify solutions.jsonl --domain math --out verdicts.jsonl
    evoltune verify samples.jsonl --domain code --suite humaneval --require-isolation L3 --fail-under 0.5
    evoltune verify recipes/smoke/math.yaml

Rows are read and written as a stream, in order; with --out a killed run goes on where it stopped.
Exit 0: every row was judged, whatever the verdicts; 1: --fail-under was missed; 2: misuse, or a file that is no rows.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from evoltune.cli import options
from evoltune.domain import Domain, load_domain, source_hash
from evoltune.errors import DataError, DomainError, EvoltuneError, MissingExtraError, nearest
from evoltune.record import STATUSES, Answer, Record, Task
from evoltune.rows.files import atomic_path
from evoltune.rows.storage import download, is_address
from evoltune.verification.checker import Checker, open_checker
from evoltune.verification.rows import verify_rows

LEVELS = ("L0", "L1", "L2", "L3")
PROGRESS_EVERY = 500


class _Missed(EvoltuneError):
    """--fail-under was not reached."""

    exit_code = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", help="rows (.jsonl, .jsonl.gz, .parquet, or - for standard input), or a recipe (.yaml)"
    )
    parser.add_argument("overrides", nargs="*", help="with a recipe: key.path=value")
    parser.add_argument("--domain", help="domain by name, module:attribute or path (with a rows file)")
    parser.add_argument(
        "--workers", type=int, default=0, help="worker processes (0: cores / LOCAL_WORLD_SIZE)"
    )
    options.add_engine(parser)
    parser.add_argument("--timeout-s", type=float, default=5.0, help="CPU seconds of one program")
    parser.add_argument(
        "--check-s", type=float, default=2.0, help="CPU seconds of our own code for one answer"
    )
    parser.add_argument("--memory-mb", type=int, default=1024, help="memory of one program")
    parser.add_argument(
        "--require-isolation", default="L1", choices=LEVELS, help="refuse to run on a weaker sandbox"
    )
    parser.add_argument(
        "--profiles", default="", help="scorers, comma-separated; more than one: print disagreements"
    )
    parser.add_argument(
        "--map", action="append", default=[], metavar="OURS=THEIRS", help="rename a column: answer=output"
    )
    parser.add_argument(
        "--suite", default="", help="join rows (task_id, completion) with a known suite of the domain"
    )
    parser.add_argument("--data", default="", help="folder with suite files (default: EVOLTUNE_DATA)")
    parser.add_argument(
        "--policy", action="append", default=[], metavar="KEY=VALUE", help="a knob of the domain's verifier"
    )
    parser.add_argument("--out", default="", help="write verdict rows here (JSONL, in input order)")
    parser.add_argument(
        "--json", action="store_true", help="verdict rows and counts as JSON on standard output"
    )
    parser.add_argument(
        "--fail-under", type=float, default=None, help="exit 1 when fewer than this share pass (0 to 1)"
    )


def run(args: argparse.Namespace) -> int:
    if is_address(args.file):
        args.file = str(download(args.file))
    if args.file.endswith((".yaml", ".yml")) or (
        not args.domain and args.file != "-" and not Path(args.file).exists()
    ):
        from evoltune.pipeline import run_stage

        args.recipe = args.file
        recipe, folder = options.recipe_of(args)
        every_s = recipe.compute.publish_every_s
        with options.published(args.out, folder, every_s) as publish, options.engine_of(args):
            run_stage(recipe, "verify", folder)
            publish()
        return 0
    if args.overrides:
        raise DataError(
            f"unexpected argument {args.overrides[0]!r}: overrides go with a recipe, not with a rows file"
        )
    if not args.domain:
        raise DomainError("--domain is missing: which domain judges these rows? e.g. --domain math")
    domain = load_domain(args.domain)
    profiles = [p for p in args.profiles.split(",") if p] or [_suite_profile(domain, args.suite)]
    with options.engine_of(args):
        counts = _judge(args, domain, profiles)
    return _report(args, counts)


def _suite_profile(domain: Domain, suite: str) -> str:
    return domain.benchmarks[suite].profile if suite in domain.benchmarks else "sound"


def _judge(args: argparse.Namespace, domain: Domain, profiles: list[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    rows = _joined(args, domain, _rows(args.file), _renames(args.map))
    with ExitStack() as stack:
        limits = {
            "workers": args.workers, "check_s": args.check_s, "program_s": args.timeout_s, "memory_mb": args.memory_mb,
            "require": args.require_isolation, "policy": _policy(args.policy),
        }  # fmt: skip
        checkers = [stack.enter_context(open_checker(args.domain, profile=p, **limits)) for p in profiles]
        workers, level = checkers[0].pool.size, checkers[0].level
        print(
            f"judging {args.file} as {domain.name}, {workers} workers, isolation {level}"
            + (f", writing {args.out}" if args.out else ""),
            file=sys.stderr,
        )
        if args.out:
            sink = stack.enter_context(closing(_Output(args, domain, profiles)))
            counts.update(sink.counts)
            rows = islice(rows, sink.done, None)
        for row in _verdicts(checkers, profiles, rows):
            counts[row["status"]] += 1
            if "profiles" in row and len(set(row["profiles"].values())) > 1:
                counts["disagreements"] += 1
            if args.out:
                sink.write(row)
            _show(args, row)
            if sum(counts[s] for s in STATUSES) % PROGRESS_EVERY == 0 and sys.stderr.isatty():
                print(f"\r{sum(counts[s] for s in STATUSES)} rows", end="", file=sys.stderr)
        if args.out:
            sink.finish()
    return counts


def _verdicts(checkers: list[Checker], profiles: list[str], rows: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Output rows; with several profiles the first one's, and under "profiles" the status by each."""
    if len(checkers) == 1:
        yield from verify_rows(checkers[0], rows)
        return
    source = iter(rows)
    while chunk := list(islice(source, 256)):
        judged = [list(verify_rows(checker, chunk)) for checker in checkers]
        for by_profile in zip(*judged, strict=True):
            statuses = {p: row["status"] for p, row in zip(profiles, by_profile, strict=True)}
            yield by_profile[0] | {"profiles": statuses}


def _show(args: argparse.Namespace, row: dict[str, Any]) -> None:
    """Each row as JSON; or, without --out, what did not pass in a line; or the disagreements of profiles."""
    by_profile = row.get("profiles", {})
    if args.json:
        if not args.out:
            print(json.dumps(row))
    elif len(set(by_profile.values())) > 1:
        print(f"{row['id']}\t" + "\t".join(f"{p}={s}" for p, s in by_profile.items()))
    elif not args.out and row["status"] != "pass" and not by_profile:
        print(f"{row['id']}\t{row['status']}\t{row['reason'].splitlines()[0][:200] if row['reason'] else ''}")


def _report(args: argparse.Namespace, counts: Counter[str]) -> int:
    total = sum(counts[s] for s in STATUSES)
    share = counts["pass"] / total if total else 0.0
    if args.json:
        print(json.dumps({"rows": total, **{s: counts[s] for s in STATUSES}, "pass_rate": round(share, 6)}))
    else:
        parts = ", ".join(f"{counts[s]} {s}" for s in STATUSES if counts[s])
        more = f", {counts['disagreements']} disagreements between profiles" if "," in args.profiles else ""
        print(f"{total} rows: {parts or 'none'} ({share:.1%} pass){more}")
    if args.fail_under is not None and share < args.fail_under:
        raise _Missed(f"{share:.4f} of {total} rows pass, --fail-under asks {args.fail_under:g}")
    return 0


# ---- input


def _rows(file: str) -> Iterator[Any]:
    """Parsed rows of JSONL (plain or gzip), Parquet or standard input. Raises DataError with the line's number."""
    if file == "-":
        yield from _lines(sys.stdin.buffer, "standard input")
        return
    path = Path(file)
    if not path.is_file():
        raise DataError(
            f"{file!r} is not a file: give rows as .jsonl, .jsonl.gz or .parquet, or - for standard input"
        )
    if path.suffix == ".parquet":
        yield from _parquet(path)
        return
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
        yield from _lines(stream, file)


def _lines(stream: Any, name: str) -> Iterator[Any]:
    number = 0
    try:
        for number, line in enumerate(stream, 1):
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            if text.strip():
                yield json.loads(text)
    except UnicodeDecodeError as error:
        raise DataError(f"{name}:{number}: not UTF-8: {error.reason}") from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{name}:{number}: not a JSON object per line: {error}"[:300]) from error
    except (OSError, EOFError) as error:
        raise DataError(f"{name}: cannot be read: {error}") from error


def _parquet(path: Path) -> Iterator[Any]:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "data", "reading Parquet") from error
    try:
        for batch in parquet.ParquetFile(path).iter_batches(batch_size=256):
            yield from batch.to_pylist()
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a Parquet file: {error}"[:300]) from error


def _renames(pairs: list[str]) -> dict[str, str]:
    renames = dict(pair.partition("=")[::2] for pair in pairs)
    for ours, theirs in renames.items():
        if not ours or not theirs:
            raise DataError(f"--map {ours}={theirs}: must be OURS=THEIRS, e.g. answer=output")
    return renames


def _policy(pairs: list[str]) -> dict[str, Any]:
    import yaml

    return {key: yaml.safe_load(value) for key, _, value in (pair.partition("=") for pair in pairs)}


def _joined(
    args: argparse.Namespace, domain: Domain, rows: Iterator[Any], renames: dict[str, str]
) -> Iterator[Any]:
    """Rows under our names; with --suite as records of the suite's own tasks."""
    renamed = (
        {**row, **{ours: row[theirs] for ours, theirs in renames.items() if theirs in row}}
        if isinstance(row, Mapping)
        else row
        for row in rows
    )
    return _of_suite(domain, args, renamed) if args.suite else renamed


def _of_suite(domain: Domain, args: argparse.Namespace, rows: Iterator[Any]) -> Iterator[Any]:
    tasks = {task.name: task for task in _suite(domain, args)}
    for number, row in enumerate(rows, 1):
        name = str(row.get("task_id", row.get("id", ""))) if isinstance(row, Mapping) else ""
        text = (
            row.get("answer", row.get("completion", row.get("solution")))
            if isinstance(row, Mapping)
            else None
        )
        if name not in tasks:
            raise DataError(
                f"{args.file}: row {number}: task_id {name!r} is not in {args.suite}: {nearest(name, list(tasks)[:50])}"
            )
        if isinstance(text, str):
            yield Record(domain=domain.name, task=tasks[name], answers=(Answer(text=text, model=""),))
        else:
            yield {"id": name}


def _suite(domain: Domain, args: argparse.Namespace) -> list[Task]:
    import os

    if args.suite not in domain.benchmarks:
        raise DomainError(
            f"--suite {args.suite!r}: {domain.name!r} has none: {nearest(args.suite, domain.benchmarks)}"
        )
    benchmark = domain.benchmarks[args.suite]
    folder = args.data or os.environ.get("EVOLTUNE_DATA", "")
    file = Path(folder) / benchmark.file
    if not folder or not file.is_file():
        raise DataError(
            f"suite {args.suite!r}: {str(file)!r} is not there: give its folder with --data or EVOLTUNE_DATA"
        )
    return [replace(t) for t in benchmark.load(file)]


# ---- output


class _Output:
    """OUT.partial grows row by row and becomes OUT at the end. Its first line names the run that it belongs to."""

    def __init__(self, args: argparse.Namespace, domain: Domain, profiles: list[str]) -> None:
        self.path = Path(args.out)
        self.partial = self.path.with_name(self.path.name + ".partial")
        self.done, self.counts = 0, Counter[str]()
        head = json.dumps({"run": _fingerprint(args, domain, profiles)})
        kept = self._kept(head) if args.file != "-" and self.partial.exists() else []
        if kept:
            print(f"{self.partial}: {len(kept)} rows were judged before, going on", file=sys.stderr)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.file: TextIO = self.partial.open("w", encoding="utf-8")
        self.file.write(head + "\n")
        for row in kept:
            self.write(row)
            self.counts[row["status"]] += 1
        self.done = len(kept)

    def _kept(self, head: str) -> list[dict[str, Any]]:
        first, *lines = self.partial.read_text(encoding="utf-8").split("\n")
        rows: list[dict[str, Any]] = []
        for line in lines[:-1] if first == head else []:  # the last line may be torn
            rows.append(json.loads(line))
        return rows

    def write(self, row: dict[str, Any]) -> None:
        self.file.write(json.dumps(row) + "\n")
        self.file.flush()

    def finish(self) -> None:
        """The head line goes, the name becomes final."""
        self.file.close()
        with atomic_path(self.path) as final, self.partial.open("rb") as source, final.open("wb") as target:
            source.readline()
            shutil.copyfileobj(source, target)
        self.partial.unlink()

    def close(self) -> None:
        self.file.close()


def _fingerprint(args: argparse.Namespace, domain: Domain, profiles: list[str]) -> str:
    sha = hashlib.sha256(source_hash(domain).encode())
    options = [
        args.map,
        args.suite,
        args.timeout_s,
        args.check_s,
        args.memory_mb,
        args.require_isolation,
        args.policy,
        profiles,
    ]
    sha.update(json.dumps(options).encode())
    if args.file != "-":
        with Path(args.file).open("rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                sha.update(block)
    return sha.hexdigest()[:16]
