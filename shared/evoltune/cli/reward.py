"""`evoltune reward FILE --domain math --steps runs/x/reward-steps`: the reward of each row, as a trainer would give it.

A pass is worth instruction score x least step score, a fail nothing (or `--fail-share`); without models a pass is 1. A row that
could not be judged has the reward null and a reason.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from evoltune.cli import options
from evoltune.domain import Domain, load_domain
from evoltune.errors import DataError, WorkError
from evoltune.rows.files import jsonl_writer
from evoltune.run.paths import user_path
from evoltune.train.reward.product import ProductReward
from evoltune.train.reward.rows import reward_rows
from evoltune.verification.checker import open_checker
from evoltune.verification.row_forms import each_answer
from evoltune.verification.rows import read_any_rows


def add_reward(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", help="rows (.jsonl, .json, .csv, .parquet, also .gz and .zst; - for standard input)")
    add("--domain", required=True, help="domain by name, module:attribute or path")
    add_models(parser)
    options.add_verification(parser, require="L1")
    add("--map", action="append", default=[], metavar="OURS=THEIRS", help="rename a column: answer=output")
    add("--policy", action="append", default=[], metavar="KEY=VALUE", help="set an option of the domain's verifier")
    add("--out", type=options.jsonl_path, help="write the rewards here (JSONL, in input order)")
    options.finish(parser, _reward)


def add_models(parser: argparse.ArgumentParser) -> None:
    """What a product reward is made of, besides the verifier."""
    add = parser.add_argument
    add("--steps", type=user_path, metavar="FOLDER", help="a process reward model, e.g. runs/x/reward-steps")
    add("--instructions", type=user_path, metavar="FOLDER", help="an instruction reward model")
    add(
        "--fail-share",
        type=options.share,
        default=0.0,
        help="share of the models' reward that a fail keeps (default: 0)",
    )


def product_of(args: argparse.Namespace, domain: str | Domain) -> ProductReward:
    """The product of `--steps` and `--instructions`; its own verifier is not opened. Raises DataError."""
    return ProductReward(domain, steps=args.steps, instructions=args.instructions, fail_share=args.fail_share)


def _reward(args: argparse.Namespace) -> None:
    domain = load_domain(args.domain)
    settings = options.verification_of(args, options.policy_of(args.policy))
    renames = options.pairs(args.map, "--map", "OURS=THEIRS")
    if args.out:
        options.refuse_input(args.out, args.file)
    rewards: list[float] = []
    unjudged: list[str] = []
    with ExitStack() as stack:
        product = stack.enter_context(product_of(args, args.domain))
        checker = stack.enter_context(open_checker(args.domain, settings))
        print(f"rewarding {args.file} as {domain.name}, isolation {checker.level}", file=sys.stderr)
        write = stack.enter_context(jsonl_writer(args.out)) if args.out else _printed
        rows = each_answer(row for _, row in read_any_rows(args.file, renames))
        for row in reward_rows(product, checker, rows):
            write(row)
            if row["reward"] is None:
                unjudged.append(f"{row['status']}: {row['reason']}")
            else:
                rewards.append(row["reward"])
    if not rewards and not unjudged:
        raise DataError(f"{args.file}: holds no row: is this the file, and was it written to its end?")
    average = statistics.fmean(rewards) if rewards else None
    facts = {"rows": len(rewards) + len(unjudged), "not_judged": len(unjudged), "reward": average}
    text = f", mean reward {average:.4f} of {len(rewards)}" if average is not None else ""
    print(f"{facts['rows']} rows: {len(unjudged)} not judged{text}", file=sys.stderr)
    if args.json:
        print(json.dumps(facts))
    if not rewards:
        raise WorkError(f"not one of {len(unjudged)} rows could be judged ({unjudged[0]})")


def _printed(row: Mapping[str, Any]) -> None:
    print(json.dumps(row))
