"""`evoltune data export DATASET --form chat --out rows.jsonl`, or `--push OWNER/NAME` to upload the folder to the hub."""

import argparse
import sys
from pathlib import Path

from evoltune.cli import options
from evoltune.dataset.export import FORMS, export_jsonl, push_to_hub
from evoltune.dataset.write import SPLITS
from evoltune.errors import DataError
from evoltune.run.paths import DATASET


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("dataset", type=Path, help="dataset folder or run directory")
    add("--form", choices=sorted(FORMS), default="chat", help="default: chat")
    add("--split", choices=SPLITS, default="train")
    add("--out", type=Path, metavar="FILE", help="JSONL file to write")
    add("--push", metavar="OWNER/NAME", help="upload the dataset folder, card and certificate included")
    add("--public", action="store_true", help="with --push: visible to everybody (default: private)")
    options.add_json(parser)


def run(args: argparse.Namespace) -> int:
    folder = args.dataset / DATASET if (args.dataset / DATASET).is_dir() else args.dataset
    if not args.out and not args.push:
        raise DataError("export: give --out FILE, or --push OWNER/NAME")
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
    return 0
