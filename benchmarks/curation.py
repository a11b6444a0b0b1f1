"""Curation's figures: near-dedup against datasketch, n-gram throughput, a million rows, recall on rephrased benchmarks.

    python benchmarks/curation.py                      # every table; datasketch goes into a venv of its own
    python benchmarks/curation.py --only dedup,ngrams  # some of: dedup, ngrams, million, rephrased, copies

CPU seconds, medians of interleaved passes in one process per arm. `rephrased` and `copies` (contamination.py) read
EVOLTUNE_DATA.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PEER_VENV = Path(__file__).resolve().parents[1] / ".venv-peers" / "curation"
PASSES = 5
THRESHOLD, PERMUTATIONS = 0.7, 128
Figures = dict[str, float]
Pairs = list[tuple[int, int]]

VERBS = "write explain sort count merge parse filter compare rotate encode validate split".split()
ADJECTIVES = "red old fast nested sparse signed local remote".split()
NOUNS = "list graph matrix string queue table file tree".split()
TAILS = [
    "in linear time", "without extra memory", "and explain every step", "for a beginner", "with three examples",
    "using recursion",
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="dedup,ngrams,million,rephrased,copies")
    parser.add_argument("--rows", type=int, default=10_000, help="rows of the dedup and n-gram tables")
    parser.add_argument("--arm", choices=tuple(ARMS), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.arm:
        print(json.dumps(ARMS[args.arm](args.rows)))
        return
    tables = {"dedup": dedup_table, "ngrams": ngram_table, "million": million_table}
    if {"rephrased", "copies"} & set(args.only.split(",")):
        import contamination

        tables |= {"rephrased": contamination.rephrased_table, "copies": contamination.copies_table}
    for name in args.only.split(","):
        tables[name](args.rows)


# ---- synthetic rows


def instructions(count: int, seed: int = 5) -> tuple[list[str], Pairs]:
    """Short templated instructions, a fifth of them one-word changes of another; and those pairs."""
    rng = random.Random(seed)
    things = [f"{a} {b}" for a in ADJECTIVES for b in NOUNS]
    vocabulary = [f"word{i}" for i in range(5000)]
    rows = []
    for i in range(count * 4 // 5):
        free = " ".join(rng.choices(vocabulary, k=rng.randint(8, 22)))
        rows.append(f"{rng.choice(VERBS)} a {rng.choice(things)} number {i} {free} {rng.choice(TAILS)}")
    pairs = []
    for _ in range(count - len(rows)):
        source = rng.randrange(count * 4 // 5)
        tokens = rows[source].split()
        tokens[rng.randrange(len(tokens))] = rng.choice(vocabulary)
        pairs.append((len(rows), source))
        rows.append(" ".join(tokens))
    return rows, pairs


def grams(text: str, n: int = 3) -> list[str]:
    tokens = text.split()
    return [" ".join(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]


def dedup_figures(removed: set[int], rows: list[str], pairs: Pairs, cpu: float) -> Figures:
    """Recall counts the planted pairs whose true Jaccard reaches the threshold."""
    sets = [(i, set(grams(rows[i])), set(grams(rows[k]))) for i, k in pairs]
    near = [i for i, a, b in sets if len(a & b) >= THRESHOLD * len(a | b)]
    recall = sum(i in removed for i in near) / len(near)
    return {"cpu": cpu, "recall": recall, "removed": len(removed), "rate": len(rows) / cpu}


# ---- arms: each runs in a process of its own


def ours(count: int) -> Figures:
    import numpy  # noqa: F401  as for the peer, imported before the clock starts

    from evoltune.curate.dedup import near_duplicates

    rows, pairs = instructions(count)
    began = time.process_time()
    found = near_duplicates(rows, THRESHOLD)
    cpu = time.process_time() - began
    return dedup_figures({i for i, partner in enumerate(found) if partner is not None}, rows, pairs, cpu)


def datasketch(count: int, bulk: bool = False) -> Figures:
    """The peer: one sketch per row by `update`, as its documentation shows, or its bulk generator; LSH at the threshold,
    insert when nothing is found."""
    from datasketch import MinHash, MinHashLSH

    rows, pairs = instructions(count)
    began = time.process_time()
    lsh, removed = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS), set()

    def sketch_of(text: str) -> MinHash:
        sketch = MinHash(num_perm=PERMUTATIONS)
        for gram in grams(text):
            sketch.update(gram.encode())
        return sketch

    tokens = ([gram.encode() for gram in grams(text)] for text in rows)
    sketches = MinHash.generator(tokens, num_perm=PERMUTATIONS) if bulk else map(sketch_of, rows)
    for i, sketch in enumerate(sketches):
        if lsh.query(sketch):
            removed.add(i)
        else:
            lsh.insert(i, sketch)
    return dedup_figures(removed, rows, pairs, time.process_time() - began)


def datasketch_bulk(count: int) -> Figures:
    return datasketch(count, bulk=True)


def ngrams(count: int) -> Figures:
    """The 13-gram check alone, against 1,983 synthetic problems and 50 planted ones."""
    from evoltune.curate.text_matches import build_index, find_hits
    from evoltune.recipe import Curate
    from evoltune.record import Task

    def search(rows: list[str], problems: list[str]) -> Callable[[str], bool]:
        tasks = [Task(instruction=text, name=str(i)) for i, text in enumerate(problems)]
        options = Curate(ngrams=(13,), contamination_jaccard=1.0, paraphrase=False)
        index = build_index({"suite": tasks}, options)
        return lambda text: bool(find_hits(index, text))

    return search_figures(count, search)


def plain_set(count: int) -> Figures:
    """The peer of the n-gram check: a Python set of joined 13-grams, as the scripts of open-r1 and BigCode do it."""

    def search(rows: list[str], problems: list[str]) -> Callable[[str], bool]:
        known = {gram for text in problems for gram in grams(text.lower(), 13)}
        return lambda text: any(gram in known for gram in grams(text.lower(), 13))

    return search_figures(count, search)


def search_figures(count: int, build: Callable[[list[str], list[str]], Callable[[str], bool]]) -> Figures:
    rows, _ = instructions(count)
    problems, _ = instructions(1983, seed=77)
    is_hit = build(rows, [*problems, *rows[:50]])
    began = time.process_time()
    found = [is_hit(text) for text in rows]
    cpu = time.process_time() - began
    return {"cpu": cpu, "rate": len(rows) / cpu, "hit": sum(found), "planted": sum(found[:50])}


def million(count: int) -> Figures:
    """The whole dedup stage over a million records (20% near copies): seconds and peak memory of the process."""
    from evoltune.curate.dedup import dedup
    from evoltune.recipe import Curate
    from evoltune.record import Answer, Record, Task

    rng = random.Random(1)
    vocabulary = [f"word{i}" for i in range(20_000)]

    def texts():
        originals: list[str] = []
        for i in range(1_000_000):
            if i % 5 == 4:
                tokens = originals[rng.randrange(len(originals))].split()
                tokens[rng.randrange(len(tokens))] = rng.choice(vocabulary)
                yield " ".join(tokens)
                continue
            text = " ".join(rng.choices(vocabulary, k=rng.randint(10, 30)))
            if len(originals) < 50_000:
                originals.append(text)
            yield text

    records = (
        Record(domain="x", task=Task(instruction=text, name=str(i)), answers=(Answer(text=f"answer {i}", model="m"),))
        for i, text in enumerate(texts())
    )
    began = time.process_time()
    kept = sum(isinstance(r, Record) for r in dedup(Curate(near_threshold=THRESHOLD))(records))
    cpu = time.process_time() - began
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"cpu": cpu, "rate": 1e6 / cpu, "kept": kept, "gib": gib}


ARMS = {
    "ours": ours,
    "datasketch": datasketch,
    "datasketch-bulk": datasketch_bulk,
    "ngrams": ngrams,
    "plain": plain_set,
    "million": million,
}


def run_arm(arm: str, rows: int, python: str = sys.executable) -> Figures:
    """One pass in a fresh process."""
    command = [python, __file__, "--arm", arm, "--rows", str(rows)]
    environment = {**os.environ, "RAYON_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout.strip().split("\n")[-1])


def medians(pythons: dict[str, str], rows: int) -> dict[str, Figures]:
    """The medians of each arm's passes; the arms take turns."""
    passes: dict[str, list[Figures]] = {arm: [] for arm in pythons}
    for _ in range(PASSES):
        for arm, python in pythons.items():
            passes[arm].append(run_arm(arm, rows, python))
    return {arm: {key: statistics.median(p[key] for p in found) for key in found[0]} for arm, found in passes.items()}


# ---- tables


def peer_python() -> str:
    """The Python of the peers' venv, made on first use."""
    python = PEER_VENV / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEER_VENV)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "datasketch"], check=True)
    return str(python)


def dedup_table(rows: int) -> None:
    peer = peer_python()
    found = medians({"ours": sys.executable, "datasketch": peer, "datasketch-bulk": peer}, rows)
    print(f"\nnear-dedup, {rows} short rows, Jaccard {THRESHOLD}, one thread, medians of {PASSES}")
    for name, m in found.items():
        ratio = found["ours"]["rate"] / m["rate"]
        print(
            f"  {name:15} {m['cpu']:7.3f} CPU s {m['rate']:9.0f} rows/CPU s  recall {m['recall']:.3f}  "
            f"removed {m['removed']:.0f}  ours is {ratio:.1f}x"
        )
    print("  bar: 20x datasketch at equal or better recall")


def ngram_table(rows: int) -> None:
    rows = max(rows, 50_000)
    found = medians({"ngrams": sys.executable, "plain": sys.executable}, rows)
    print(f"\n13-gram decontamination of {rows} short rows, medians of {PASSES}")
    for name, m in found.items():
        others = m["hit"] - m["planted"]
        print(f"  {name:10} {m['rate']:9.0f} rows/CPU s, found {m['planted']:.0f} of 50 planted, {others:.0f} others")
    print(f"  ratio {found['ngrams']['rate'] / found['plain']['rate']:.2f}x (bar: 50,000 rows/CPU s)")


def million_table(rows: int) -> None:
    m = run_arm("million", rows)
    print(
        f"\ndedup stage, 1,000,000 records: {m['cpu']:.0f} CPU s, kept {m['kept']:.0f}, peak {m['gib']:.2f} GiB (bar: under 4)"
    )


if __name__ == "__main__":
    main()
