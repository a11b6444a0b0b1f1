"""`evoltune runs publish DIR ADDRESS`, `evoltune runs fetch ADDRESS DIR`: a run or dataset folder on any fsspec storage."""

import argparse
from pathlib import Path

from evoltune.cli import options
from evoltune.errors import DataError
from evoltune.rows.storage import fetch, is_address
from evoltune.run.publish import publish


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", help="publish: a folder; fetch: an address, e.g. s3://bucket/run")
    parser.add_argument("target", help="publish: an address; fetch: a folder")
    options.add_json(parser)


def run(args: argparse.Namespace) -> int:
    address, folder = (args.target, args.source) if args.verb == "publish" else (args.source, args.target)
    if not is_address(address):
        raise DataError(f"{address}: not an address: give SCHEME://..., e.g. s3://bucket/run or file:///mnt/run")
    manifest = publish(Path(folder), address) if args.verb == "publish" else fetch(address, Path(folder))
    files, version = manifest["files"], manifest["version"]
    size = sum(entry["bytes"] for entry in files.values())
    facts = {"address": address, "folder": folder, "version": version, "files": len(files), "bytes": size}
    line = f"{args.verb}: {len(files)} files, {size / 1e6:.1f} MB, {address} (version {version[:12]})"
    options.say(args, facts, [line])
    return 0
