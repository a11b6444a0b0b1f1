"""The deduplication stage: exact duplicates, near duplicates, and (optional) semantic duplicates.

Rows are visited best first (`rank`: verified, harder, earlier, id); a row is dropped when it equals, or nearly equals, a
row that was kept. So the result depends on the set of rows alone, never on their order, and every dropped row has a kept
partner at or above the threshold.

    stage = dedup(recipe.curate)
    list(find_duplicates(["Name a prime.", "name a prime."], recipe.curate))   ->  [("", 0), ("exact duplicate", 0)]
"""

import pickle
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from hashlib import blake2b

from evoltune.curate.answers import is_verified
from evoltune.curate.dedup.near_duplicates import near_duplicates
from evoltune.curate.dedup.semantic_duplicates import semantic_duplicates
from evoltune.curate.difficulty import difficulty
from evoltune.recipe import Curate
from evoltune.record import Drop, Record, Stage, Task
from evoltune.text.words import normalise

Note = Callable[[str, str], None]
"""(record id, evidence): called for each drop that has evidence; the run store keeps it for `explain`."""


def rank(record: Record) -> tuple[int, float, int, int, str]:
    """Sort key, the better of two equal rows first: verified, then harder, then earlier round and draw, then id.
    Ids differ, so this is a total order, and what is kept never depends on the order of arrival."""
    return (not is_verified(record), -(difficulty(record) or 0.0), record.round, record.draw, record.id)


def key_text(task: Task) -> str:
    """What two rows are compared by: the earlier turns and the instruction, never the answers."""
    return "\n".join([*(content for _, content in task.history), task.instruction])


def dedup(
    options: Curate, *, refuse: Callable[[Record], str] = lambda record: "", note: Note = lambda record_id, text: None
) -> Stage:
    """A stage that drops what `refuse` gives a reason for, then all duplicates.

    It needs the whole set, but not in memory: records wait in a temporary file; only texts and ranks are held.
    """

    def stage(records: Iterable[Record]) -> Iterator[Record | Drop]:
        with tempfile.TemporaryFile() as spool:
            rows = []
            for record in records:
                reason = refuse(record)
                if reason:
                    yield Drop(record=record, reason=reason)
                    continue
                rows.append((rank(record), spool.tell(), key_text(record.task)))
                pickle.dump(record, spool, protocol=pickle.HIGHEST_PROTOCOL)
            rows.sort()
            found = find_duplicates([text for _, _, text in rows], options)
            for (reason, partner), (_, offset, _) in zip(found, rows, strict=True):
                spool.seek(offset)
                record = pickle.load(spool)
                if reason:
                    partner_id = rows[partner][0][-1]
                    note(record.id, f"{reason} of {partner_id}")
                yield Drop(record=record, reason=reason) if reason else record

    return stage


def find_duplicates(texts: Sequence[str], options: Curate) -> Iterator[tuple[str, int]]:
    """For each text, best first: (reason, index of the kept partner); the reason is empty where the text is kept."""
    first: dict[bytes, int] = {}
    exact = [first.setdefault(_digest(text), i) for i, text in enumerate(texts)]
    first.clear()
    reasons = {i: ("exact duplicate", partner) for i, partner in enumerate(exact) if i != partner}
    searches: list[tuple[str, Callable[[Sequence[str]], list[int | None]]]] = []
    if options.near_threshold < 1:
        searches.append(("near duplicate", partial(near_duplicates, threshold=options.near_threshold)))
    if options.semantic_threshold < 1:
        semantic = partial(semantic_duplicates, threshold=options.semantic_threshold, model=options.embeddings)
        searches.append(("semantic duplicate", semantic))
    for reason, search in searches:
        left = [i for i in range(len(texts)) if i not in reasons]
        partners = search([texts[i] for i in left])
        reasons |= {left[i]: (reason, left[k]) for i, k in enumerate(partners) if k is not None}
    for i in range(len(texts)):
        yield reasons.get(i, ("", i))


def _digest(text: str) -> bytes:
    # 128 bits instead of the text itself: a tenth of the memory for a million texts.
    return blake2b(normalise(text).encode("utf-8", "surrogatepass"), digest_size=16).digest()
