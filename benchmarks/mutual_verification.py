"""Mutual verification of code on labelled solutions: how many of the agreed values are right, and how far they reach.

    EVOLTUNE_DATA=../shared/data python benchmarks/mutual_verification.py [--tasks 20] [--share 0.5] [--solutions 3]

HumanEval: up to 23 solutions a problem, of CodeGen-16B (20 samples), StarCoder2-15B-Instruct, a fine-tuned Replit-3B and GPT-4.
MBPP: GPT-4's solution and the dataset's own, so two must agree; the truth is the mended reference of MBPP+. A label is right when the
reference returns the same value for the same arguments (floats to 1e-6); arguments for which it returns none are counted apart.
Reference solutions of HumanEval never vote. rStar-Coder reports 96.8% right labels (2505.21297).
"""

import argparse
import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from public_data import data_folder

from evoltune.cluster.engine import open_pool
from evoltune.domain import Context
from evoltune.evolve.rewriting import context_of, run_jobs
from evoltune.record import Task
from evoltune.sandbox.values import same
from evoltune.sandbox.worker_protocol import WorkerConfig
from evoltune_code.assembly import assemble
from evoltune_code.mutual import agree, doubt_about, examples_in, inputs_of
from evoltune_code.rewrites.exercise import results_of
from evoltune_code.verification import POLICY

DATA = data_folder()


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """A problem with solutions whose verdicts are known."""

    task: Task
    programs: tuple[str, ...]
    passes: tuple[bool, ...]
    reference: str


def rows(name: str) -> list[dict[str, Any]]:
    with gzip.open(DATA / name, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def humaneval() -> Iterator[Labelled]:
    folder = "humaneval_model_solutions"
    sources = (
        ("codegen16b_20_samples", "completion", "rerun"), ("starcoder2_15b_instruct", "solution", "base_rerun"),
        ("reflexion_gpt4", "solution", "rerun"), ("evol_teacher_replit3b", "completion", "rerun"),
    )  # fmt: skip
    found: dict[str, list[tuple[str, bool]]] = defaultdict(list)
    for name, text, label in sources:
        for row in rows(f"{folder}/{name}.jsonl.gz"):
            found[row["task_id"]].append((row[text], row[label] == "pass"))
    for problem in rows("humaneval/HumanEval.jsonl.gz"):
        prompt, name = problem["prompt"], problem["entry_point"]
        if solutions := found.get(problem["task_id"]):
            yield Labelled(
                task=Task(instruction=prompt, fields={"entry_point": name}, name=problem["task_id"]),
                programs=tuple(assemble(prompt, name, text) for text, _ in solutions),
                passes=tuple(is_right for _, is_right in solutions),
                reference=assemble(prompt, name, problem["canonical_solution"]),
            )  # fmt: skip


def mbpp() -> Iterator[Labelled]:
    mended = {int(row["task_id"].partition("/")[2]): row for row in rows("mbpp_plus/MbppPlus.jsonl.gz")}
    own = {row["task_id"]: row for row in rows("mbpp/mbpp.jsonl.gz")}
    for row in rows("mbpp_model_solutions/gpt4_simple.jsonl.gz"):
        number, name = row["mbpp_id"], row["entry_point"]
        if number in mended and number in own and mended[number]["entry_point"] == name:
            asserts = "\n".join(own[number]["test_list"])
            yield Labelled(
                task=Task(instruction=f"{row['prompt']}\n{asserts}", fields={"entry_point": name}, name=f"Mbpp/{number}"),
                programs=(assemble(row["prompt"], name, row["solution"]), own[number]["code"].replace("\r\n", "\n")),
                passes=(row["rerun"] == "pass", True),
                reference=mended[number]["canonical_solution"],
            )  # fmt: skip


@dataclass(kw_only=True)
class Counts:
    counts: Counter[str]
    wrong: list[str]

    def line(self, name: str) -> str:
        c = self.counts
        judged = c["right"] + c["wrong"]
        verdicts = c["true pass"] + c["false pass"] + c["true fail"] + c["false fail"]
        right = c["true pass"] + c["true fail"]
        return (
            f"{name}: {c['right']} of {judged} labels right ({c['right'] / max(1, judged):.1%}; {c['outside']} more where the reference "
            f"returns nothing); labels for {c['labelled'] / max(1, c['inputs']):.0%} of {c['inputs']} inputs and "
            f"{c['tasks labelled'] / max(1, c['tasks']):.0%} of {c['tasks']} tasks; {c['tasks believed']} tasks believed; on these "
            f"{right} of {verdicts} verdicts as labelled ({c['false pass']} passes wrong, {c['false fail']} fails wrong)"
        )


def measured(problems: Sequence[Labelled], context: Context) -> Counts:
    found = Counts(counts=Counter(), wrong=[])
    c = found.counts
    for problem in problems:
        name = str(problem.task.fields["entry_point"])
        inputs = inputs_of(problem.task, name, (), context)
        c.update({"tasks": 1, "inputs": len(inputs)})
        agreement = agree(problem.programs, name, inputs, context, examples_in(problem.task.instruction, name))
        c.update({"tasks labelled": bool(agreement.cases), "labelled": len(agreement.cases)})
        truth = results_of(problem.reference, name, [args for args, _ in agreement.cases], context)
        values = {repr(args): value for args, value in truth}
        for args, value in agreement.cases:
            if repr(args) not in values:
                c["outside"] += 1
            elif same(value, values[repr(args)], 1e-6):
                c["right"] += 1
            else:
                c["wrong"] += 1
                found.wrong.append(
                    f"{problem.task.name} {agreement.agreeing}/{agreement.voters} {name}{tuple(args)!r}: {value!r}, not {values[repr(args)]!r}"
                )
        if not doubt_about(agreement, context):
            c["tasks believed"] += 1
            for i, is_right in enumerate(problem.passes):
                c[
                    f"{'true' if (i in agreement.passing) == is_right else 'false'} {'pass' if i in agreement.passing else 'fail'}"
                ] += 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=0, help="of each suite, evenly spread; 0: all")
    parser.add_argument("--share", type=float, default=POLICY["mutual_share"])
    parser.add_argument("--solutions", type=int, default=POLICY["mutual_solutions"])
    parser.add_argument("--verbose", action="store_true", help="print wrong labels")
    args = parser.parse_args()
    config = WorkerConfig(domain="", check_s=5.0, program_s=5.0, memory_mb=1024, require="L0", policy={})
    pool = open_pool(config, 2)
    try:
        for name, load, least in (("HumanEval", humaneval, args.solutions), ("MBPP", mbpp, 2)):
            policy = {**POLICY, "mutual_share": args.share, "mutual_solutions": least}
            context = context_of(lambda jobs: run_jobs(pool, jobs), policy)
            problems = list(load())
            found = measured(problems[:: max(1, len(problems) // args.tasks)] if args.tasks else problems, context)
            print(found.line(name), flush=True)
            if args.verbose:
                print("\n".join(f"  {line[:200]}" for line in found.wrong))
    finally:
        pool.close()


if __name__ == "__main__":
    main()
