"""`evoltune verify`: verify the rows of a file, or the evolved rows of a recipe.

    evoltune verify solutions.jsonl --domain math --out verdicts.jsonl
    evoltune verify samples.jsonl --domain code --suite humaneval --require-isolation L3 --fail-under 0.5
    evoltune verify solutions.jsonl --domain math --out verdicts.jsonl --audit 50
    evoltune verify verdicts.audit.key.json --audit-score decisions.json
    evoltune verify recipes/smoke/math.yaml

Rows are read and written as a stream, in order; with --out a killed command resumes after its last finished row.
Exit 0: every row has a verdict, whatever it is; 1: --fail-under was missed, or not one row could be judged; 2: misuse.
"""

import argparse
import json
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from typing import Any

from evoltune import pipeline
from evoltune.cli import options
from evoltune.domain import load_domain
from evoltune.errors import DataError, DomainError, WorkError, nearest
from evoltune.evaluate import several
from evoltune.evaluate.audit import audit_page, audit_report, drawn_rows, key_beside, write_audit
from evoltune.evaluate.measure import environment
from evoltune.evaluate.samples import ID_COLUMNS, QUESTION_COLUMNS, TEXT_COLUMNS, located_samples, records_of
from evoltune.evaluate.suites import Suite, load_suite
from evoltune.evaluate.verdict_scores import VerdictScores, scores_beside
from evoltune.recipe import Verification
from evoltune.record import STATUSES, Record
from evoltune.rows.files import write_json
from evoltune.rows.storage import download, is_address
from evoltune.run.paths import user_path
from evoltune.sandbox.worker_protocol import WHOSE
from evoltune.terminal import printable
from evoltune.verification.checker import open_checker
from evoltune.verification.reasons import Reasons, name_of, why
from evoltune.verification.row_forms import ANSWER_LISTS, Repeats, answer_text, each_answer, with_our_names
from evoltune.verification.rows import (
    ROW_COLUMNS,
    file_key,
    partial_beside,
    read_any_rows,
    refuse_other_content,
    verify_to_file,
    verify_with_profiles,
)

PROGRESS_EVERY = 500
LISTED = 20
"""With more rows than this that do not pass, the reasons are counted too."""


class _MissedError(WorkError):
    """--fail-under was not reached, or nothing could be judged."""


def add_verify(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "file",
        help="rows (.jsonl, .json, .csv, .parquet, also .gz and .zst; - for standard input), or a recipe (.yaml)",
    )
    add("overrides", nargs="*", help="with a recipe: key.path=value")
    add("--domain", help="domain by name, module:attribute or path (with a rows file)")
    options.add_verification(parser, require="L1")
    add("--timeout-s", dest="program_s", type=options.positive_float, action=options.Renamed, help=argparse.SUPPRESS)
    options.add_engine(parser)
    add("--profiles", default="", help="scorers, comma-separated; more than one: print disagreements")
    add("--map", action="append", default=[], metavar="OURS=THEIRS", help="rename a column: answer=output")
    add("--suite", default="", help="join rows (task_id, completion) with the problems of a suite")
    add("--data", type=user_path, help="folder with suite files (default: EVOLTUNE_DATA)")
    add("--policy", action="append", default=[], metavar="KEY=VALUE", help="set an option of the domain's verifier")
    add(
        "--out",
        type=options.out_path,
        default="",
        help="write verdict rows here (JSONL, in input order), and scores beside them",
    )
    options.add_json(parser, "verdict rows and counts as JSON on standard output")
    add("--fail-under", type=options.share, default=None, help="exit 1 when fewer than this share pass (0 to 1)")
    add("--k", type=options.counts, default=[], metavar="K,K", help="pass@k, maj@k and best@k of several answers a row")
    add("--rank-by", default="", metavar="COLUMN", help="column with the number that ranks a row's answers, for best@k")
    add(
        "--audit",
        type=options.positive_int,
        default=0,
        metavar="N",
        help="draw N accepted answers for a page for people",
    )
    add(
        "--audit-score", default="", metavar="FILE", help="score the decisions of such a page; the rows file is its key"
    )
    parser.set_defaults(execute=run)


def run(args: argparse.Namespace) -> None:
    if args.audit_score:
        report = audit_report(Path(args.audit_score), Path(args.file))
        options.say(args, {name: value for name, value in report.items() if name != "lines"}, report["lines"])
        return
    if is_address(args.file):
        args.file = str(download(args.file))
    names_recipe = not args.domain and args.file != "-" and not Path(args.file).exists()
    if names_recipe or args.file.endswith((".yaml", ".yml")):
        _verify_recipe(args)
        return
    if args.overrides:
        raise DataError(f"unexpected argument {args.overrides[0]!r}: overrides go with a recipe, not with a rows file")
    if not args.domain:
        raise DomainError("--domain is missing: which domain verifies these rows? e.g. --domain math")
    for written in _written(args):
        options.refuse_input(written, args.file)
    if args.audit and (not args.out or not Path(args.file).is_file()):
        raise DataError("--audit draws from a file of rows and writes beside the verdicts: give a file, and --out FILE")
    if args.rank_by and args.suite:
        raise DataError(
            "--rank-by reads a column of rows with a reference; for the samples of a suite: evoltune rescore"
        )
    if args.out:
        refuse_other_content(Path(args.out))
    _Verification(args).run()


def _written(args: argparse.Namespace) -> Iterator[Path]:
    """The files that --out makes the command write."""
    if args.out:
        out = Path(args.out)
        if not out.name:  # `.` and `/`, to which no ending can be given
            raise DataError(f"--out {args.out} is a folder: name a file to write")
        page = audit_page(out)
        yield from (out, partial_beside(out), scores_beside(out), page, key_beside(page))


class _Verification:
    """One command on a rows file."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.suite: Suite | None = _suite_of(args) if args.suite else None
        self.profiles = options.words(args.profiles) or [self.suite.profile if self.suite else "sound"]
        self.settings: Verification = options.verification_of(args, options.policy_of(args.policy))
        self.renames = options.pairs(args.map, "--map", "OURS=THEIRS")
        self.counts: Counter[str] = Counter()
        self.reasons = Reasons()
        self.repeats = Repeats()
        self.columns: tuple[str, ...] = ()
        self.accepted: list[int] = []
        self.rejected: list[int] = []

    def run(self) -> None:
        args = self.args
        first_rows = self._rows(self.repeats)
        domain = load_domain(args.domain)
        self.scores = VerdictScores(domain, args.domain, self.suite, args.rank_by)
        with options.engine_of(args), ExitStack() as stack:
            first = stack.enter_context(open_checker(args.domain, self.settings, profile=self.profiles[0]))
            checkers = {self.profiles[0]: first, **{name: first.with_profile(name) for name in self.profiles[1:]}}
            how = f"{first.pool.size} workers, isolation {first.level}{f', writing {args.out}' if args.out else ''}"
            print(f"verifying {args.file} as {domain.name}, {how}", file=sys.stderr)
            rows = _Waiting(first_rows)
            if args.out:
                sha256 = self.suite.sha256 if self.suite else ""
                key = file_key(args.file, domain, self.settings, self.profiles, self.renames, sha256)
                verdicts = verify_to_file(checkers, rows, Path(args.out), key, _resumed)
            else:
                verdicts = verify_with_profiles(checkers, rows)
            for number, verdict in enumerate(verdicts, 1):
                self._take(number, verdict, rows.next())
        self._report()

    def _rows(self, repeats: Repeats | None = None) -> Iterator[Any]:
        """What is verified: records of the suite's problems, or the file's rows, one for each answer."""
        if self.suite:
            return records_of(self._renamed(located_samples(self.args.file, self.suite)), self.suite)
        located = read_any_rows(self.args.file, self.renames)
        return each_answer((row for _, row in self._renamed(located)), repeats)

    def _renamed(self, located: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
        """Raises DataError where --map names a column that we or the first row lack."""
        args, renames = self.args, self.renames
        samples = (
            (*ID_COLUMNS, *TEXT_COLUMNS, *QUESTION_COLUMNS, "sample") if args.suite else (*ROW_COLUMNS, *ANSWER_LISTS)
        )
        ours = dict.fromkeys((*samples, *load_domain(args.domain).columns))
        first = list(islice(located, 1))
        if not first:
            raise DataError(f"{args.file}: holds no row: is this the file, and was it written to its end?")
        row = first[0][1] if first and isinstance(first[0][1], Mapping) else dict.fromkeys(renames.values())
        self.columns = tuple(row)
        if isinstance(first[0][1], Mapping):
            self._refuse_no_ranks(row)
        for name, theirs in renames.items():
            for word, known, whose in ((name, ours, "we read no"), (theirs, row, "the first row has no")):
                if word not in known:
                    raise DataError(f"--map {name}={theirs}: {whose} column {word!r}: allowed: {', '.join(known)}")
        found = chain(first, located)
        if not args.suite:  # read_any_rows has renamed them
            return found
        return ((where, {**r, **{n: r[t] for n, t in renames.items() if t in r}}) for where, r in found)

    def _refuse_no_ranks(self, row: Mapping[str, Any]) -> None:
        """Raises DataError where --rank-by names no column of the first row: before anything is verified."""
        name = self.args.rank_by
        if name and name not in row:
            raise DataError(f"--rank-by {name}: the first row has no column {name!r}: {nearest(name, map(str, row))}")

    def _take(self, number: int, verdict: dict[str, Any], row: Any) -> None:
        """Counts and shows one verdict."""
        args, status = self.args, verdict["status"]
        self.counts[status] += 1
        self.counts["disagreements"] += len(set(verdict.get("profiles", {}).values())) > 1
        self.reasons.add(verdict, row)
        self.scores.add(verdict, row)
        if args.audit and verdict["score"] is not None:
            (self.accepted if status == "pass" else self.rejected).append(number)
        by_profile = verdict.get("profiles", {})
        if args.json:
            if not args.out:
                print(json.dumps(verdict))
        elif len(set(by_profile.values())) > 1:
            print(f"{name_of(verdict)}\t" + "\t".join(f"{p}={s}" for p, s in by_profile.items()))
        elif not args.out and status != "pass" and not by_profile:
            print(f"{name_of(verdict)}\t{status}\t{why(verdict, row)}")
        if number % PROGRESS_EVERY == 0 and sys.stderr.isatty():
            print(f"\r{number} rows", end="", file=sys.stderr)

    def _report(self) -> None:
        args, counts = self.args, self.counts
        total = sum(counts[s] for s in STATUSES)
        passing = counts["pass"] / total if total else 0.0
        lines = list(self.reasons.lines()) if args.out or total - counts["pass"] > LISTED else []
        facts: dict[str, Any] = {"rows": total, **{s: counts[s] for s in STATUSES}, "pass_rate": round(passing, 6)}
        facts["reasons"] = self.reasons.facts()
        for more, text in (_repeated(self.repeats), self._scored(total), self._audited(total)):
            facts |= more
            lines += text
        parts = ", ".join(f"{counts[s]} {s}" for s in STATUSES if counts[s])
        more_text = f", {counts['disagreements']} disagreements between profiles" if "," in args.profiles else ""
        options.say(args, facts, [*lines, f"{total} rows: {parts or 'none'} ({passing:.1%} pass){more_text}"])
        if total and not any(counts[s] for s in ("pass", "fail", "timeout", "memory")):
            (status, reason), _ = self.reasons.counts.most_common(1)[0]
            todo = "name the columns with --map, e.g. --map answer=output --map reference=gold"
            if self.columns:
                todo += f" (the first row has {printable(', '.join(map(str, self.columns)))[:200]})"
            if reason.startswith(WHOSE):
                todo = "correct the domain; `evoltune domains check` finds more of the kind"
            raise _MissedError(f"not one of {total} rows could be judged ({status}: {reason}): {todo}")
        if args.fail_under is not None and passing < args.fail_under:
            raise _MissedError(f"{passing:.4f} of {total} rows pass, --fail-under asks {args.fail_under:g}")

    def _scored(self, total: int) -> tuple[dict[str, Any], list[str]]:
        """Measures over problems, and the scores file beside --out."""
        args, scores = self.args, self.scores
        facts: dict[str, Any] = {}
        lines: list[str] = []
        if note := several.coverage(self.suite, scores.outcomes) if self.suite and total else "":
            print(note, file=sys.stderr)
            facts["incomplete"] = note
        if not total or not (args.out or args.k or scores.several()):
            return facts, lines
        fewest = scores.fewest()
        ks = [k for k in args.k or sorted({1, fewest}) if k <= fewest]
        out = Path(args.out or "verdicts.jsonl")
        entry = scores.entry(self.profiles[0], self.settings, out, ks)
        if scores.several() or args.k:
            facts["measures"] = entry["measures"]
            lines = [*several.lines(entry["measures"], entry["n"])]
            lines += [
                f"  pass@{k}: not given, a problem has only {fewest} answer{'s' * (fewest != 1)}"
                for k in args.k
                if k > fewest
            ]
        if args.out:
            file = scores_beside(out)
            content = {"model": args.file, "suites": {scores.suite.name: entry}, "environment": environment()}
            write_json(file, content)
            facts["scores"] = str(file)
            lines.append(f"scores: {file} (for `evoltune compare`)")
        return facts, lines

    def _audited(self, total: int) -> tuple[dict[str, Any], list[str]]:
        """The page of --audit and its key."""
        if not self.args.audit:
            return {}, []
        if not self.accepted:
            raise _MissedError("--audit: no answer was accepted, so there is none to look at")
        chosen = drawn_rows(self.accepted, self.rejected, self.args.audit, seed=0)
        wanted = dict.fromkeys(chosen)
        contents = {i: row for i, row in enumerate(self._rows(), 1) if i in wanted}
        accepted = set(self.accepted)
        items = [_audit_item(number, contents[number], number in accepted) for number in chosen]
        page = audit_page(Path(self.args.out))
        counts = {"accepted": len(self.accepted), "rejected": len(self.rejected)}
        key = write_audit(items, page, counts)
        todo = f"evoltune verify {key} --audit-score decisions.json"
        lines = [f"page for people: {page} (keys: a right, r wrong)", f"key, not for people: {key}", f"then: {todo}"]
        return {"audit": {"page": str(page), "key": str(key), "answers": len(items)}}, lines


def _suite_of(args: argparse.Namespace) -> Suite:
    """The suite of --suite. Raises DataError where another domain judges it: its verdicts would mean nothing."""
    suite = load_suite(args.suite, args.data, domain=args.domain)
    owner, given = load_domain(suite.domain).name, load_domain(args.domain).name
    if owner != given:
        raise DataError(
            f"--domain {args.domain}: the domain {owner!r} judges suite {suite.name}: give --domain {owner}"
        )
    return suite


def _repeated(repeats: Repeats) -> tuple[dict[str, Any], list[str]]:
    """What is said of ids that stand on several rows."""
    if not repeats.ids:
        return {}, []
    name, rows = next(iter(repeats.ids.items()))
    several = f"{len(repeats.ids)} id{'s stand' if len(repeats.ids) > 1 else ' stands'} on several rows"
    line = f"{several} (e.g. {printable(name)[:80]!r} on {rows}): `sample` numbers their verdicts"
    return {"repeated_ids": len(repeats.ids)}, [line]


class _Waiting:
    """Rows that have been read and have no verdict yet."""

    def __init__(self, rows: Iterable[Any]) -> None:
        self._rows, self._waiting = iter(rows), deque[Any]()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        row = next(self._rows)
        self._waiting.append(row)
        return row

    def next(self) -> Any:
        """The row of the next verdict; None for a verdict of an earlier command whose row is gone."""
        return self._waiting.popleft() if self._waiting else None


def _audit_item(number: int, row: Any, accepted: bool) -> dict[str, Any]:
    if isinstance(row, Record):
        task = row.task
        question, reference, tests, answer = task.instruction, task.reference, task.tests, row.answers[0].text
    else:
        known = with_our_names(dict(row))
        names = ("instruction", "prompt", "question", "problem")
        question = next((str(known[name]) for name in names if known.get(name)), "")
        reference, tests, answer = known.get("reference"), known.get("tests"), answer_text(known["answer"])
    shown = reference if reference is not None else tests
    text = shown if isinstance(shown, str | int | float) else json.dumps(shown, indent=1, default=str)
    return {"row": number, "accepted": accepted, "question": question, "reference": str(text), "answer": answer}


def _resumed(rows: int) -> None:
    print(f"{rows} rows were verified before the last stop; resuming", file=sys.stderr)


def _verify_recipe(args: argparse.Namespace) -> None:
    args.recipe = args.file
    recipe, folder = options.recipe_of(args)
    with options.published(args, recipe, folder) as publish:
        pipeline.run(recipe, folder, ("verify",))
        publish()
