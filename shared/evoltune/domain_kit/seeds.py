"""Laws of seeds and of other rows that a domain brings: each is whole, clean, named, and there once.

for finding in laws_of_seeds(domain, seeds, sources): ...
"""

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence

from evoltune.domain import Domain
from evoltune.domain_kit.findings import Finding, Sources, broken, holds
from evoltune.record import Record, Task

PLACEHOLDER = "Replace this line:"
"""How the lines of a fresh skeleton begin."""
_MISSING = re.compile(
    r"\s*(nan|n/a|todo|tbd|fixme|xxx+|lorem ipsum.*|<\w+>|\.\.\.|undefined)\s*", re.IGNORECASE | re.DOTALL
)
"""Texts that stand for one that is missing."""
_MOJIBAKE = re.compile(r"\ufffd|\ufeff|\u00c3[\u0080-\u00bf]|\u00e2\u20ac|[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff]")
_LEAK = 0.8
CONTROL = re.compile(
    r"<\|(?:im_start|im_end|endoftext|eot_id|begin_of_text|start_header_id|end_header_id|user|assistant|system)\|>|\[/?INST\]|<</?SYS>>"
)
"""Tokens that a chat template puts around turns; a model reads them as turns wherever they stand."""
_SLOT = re.compile(r"(?<![\w\\{$^])\{\{? ?(?:instruction|question|input|prompt|problem|text|query|answer) ?\}?\}(?!\})")
_ENTITY = re.compile(r"&(?:quot|amp|lt|gt|nbsp|apos|#39|#x27|#34);")
_REFUSAL = re.compile(
    r"^\W*(?:as an ai\b|i'?m sorry,? but|i am sorry,? but|i cannot (?:help|assist)|i can't (?:help|assist))",
    re.IGNORECASE,
)


def same_question(task: Task) -> tuple[str, object, str]:
    """Equal for tasks that ask the same, whatever their spacing, case and final punctuation."""
    text = " ".join(unicodedata.normalize("NFKC", task.instruction).split()).casefold().rstrip(" .?!:;\"'")
    return text, tuple(task.history), json.dumps(task.fields, sort_keys=True, default=str)


def unclean_text(text: str) -> str:
    """What a text holds that no author wrote; "" where there is nothing of the kind."""
    found = _MOJIBAKE.search(text)
    return f"holds {found[0]!a}: its text was read in another encoding, or is broken" if found else ""


def is_missing(text: str) -> bool:
    """Whether a text stands for one that is still to be written."""
    return _MISSING.fullmatch(text) is not None


def unclean(task: Task, answers: Sequence[str] = ()) -> str:
    """What is wrong with a row's texts, in words; "" where nothing is."""
    for name, text in (
        ("instruction", task.instruction),
        ("reference", task.reference or "-"),
        *(("answer", a) for a in answers),
    ):
        if wrong := unclean_text(text):
            return f"the {name} {wrong}"
        if is_missing(text):
            return f"the {name} is {text.strip()[:20]!r}, which stands for a missing one"
    return ""


def in_most_rows(tasks: Sequence[Task], answers: Sequence[str]) -> str:
    """What most rows hold that no author wrote: it comes from the source or from a script that made them; "" where there is nothing."""
    for what, pattern, texts in (
        ("instructions hold a slot that was never filled", _SLOT, [t.instruction for t in tasks]),
        ("instructions hold entities of HTML", _ENTITY, [t.instruction for t in tasks]),
        ("instructions hold control tokens of a chat template", CONTROL, [t.instruction for t in tasks]),
        ("answers hold control tokens of a chat template", CONTROL, answers),
        ("answers begin as a refusal does", _REFUSAL, answers),
    ):
        held = [found[0] for text in texts if (found := pattern.search(text))]
        if len(held) >= 3 and len(held) >= 0.5 * len(texts):
            return f"{len(held)} of {len(texts)} {what}: {held[0][:40]!r}"
    references = [t.reference for t in tasks if t.reference and t.tests is None]
    if len(references) >= 5 and len({*references}) == 1:
        return f"all {len(references)} rows have the same reference, {references[0][:60]!r}"
    asked = [t for t in tasks if t.reference and len(t.reference) > 12 and t.reference.strip() == t.instruction.strip()]
    if len(asked) >= 2 and len(asked) >= 0.5 * len(tasks):
        return f"{len(asked)} of {len(tasks)} rows have their own question as reference"
    return ""


def gives_answer(tasks: Sequence[tuple[Task, str]]) -> str:
    """Whether the questions end with their answers, as rows do that were joined; an example, or ""."""
    known = [(t, a.strip()) for t, a in tasks if a.strip()]
    leaks = [
        t.instruction
        for t, a in known
        if t.instruction.rstrip(" .\n").endswith(a.rstrip(".")) and t.instruction.strip() != a
    ]
    return leaks[0] if len(known) >= 3 and len(leaks) >= _LEAK * len(known) else ""


def laws_of_seeds(domain: Domain, seeds: Sequence[Record], sources: Sources) -> Iterator[Finding]:
    answered = sum(bool(s.answers) for s in seeds)
    law = "seeds have instructions, distinct ids, and answers"
    found = next(_wrong_seeds(domain, seeds, sources, law), None)
    known = sum(s.task.reference is not None or s.task.tests is not None for s in seeds)
    held = in_most_rows([s.task for s in seeds], [a.text for s in seeds for a in s.answers])
    if held and not found:
        todo = "read the rows as their source means them, and look at one of them"
        found = broken(law, held, sources.function(domain.seeds), todo)
    yield found or holds(law, f"{len(seeds)} seeds, {answered} with an answer, {known} with a reference or tests")


def _wrong_seeds(domain: Domain, seeds: Sequence[Record], sources: Sources, law: str) -> Iterator[Finding]:
    place = sources.function(domain.seeds)
    if not seeds:
        yield broken(law, "seeds() gives nothing", place, "give at least one Record with a task")
    names: dict[str, str] = {}
    texts: dict[object, int] = {}
    for seed in seeds:
        task = seed.task
        at = sources.line_of(task.instruction) or place
        called = repr(task.name or task.instruction[:40])
        key = same_question(task)
        texts[key] = texts.get(key, 0) + 1
        if not task.instruction.strip():
            yield broken(
                law,
                f"the seed {called} has no instruction",
                sources.line_of(task.name) or place,
                "write one, or leave the seed out",
            )
        if task.instruction.startswith(PLACEHOLDER):
            yield broken(
                law, f"the seed {called} is the skeleton's own line", at, "write a task of your domain in its place"
            )
        if seed.domain != domain.name:
            yield broken(
                law,
                f"the seed {called} says domain {seed.domain!r}",
                sources.named(str(seed.domain), place),
                f"write {domain.name!r}",
            )
        if seed.parents or seed.operator or seed.round or seed.draw:
            yield broken(
                law,
                f"the seed {called} has a lineage (parents, operator, round or draw)",
                place,
                "a seed has none: leave them out",
            )
        if texts[key] > 1:
            again = sources.line_of(task.instruction, nth=texts[key]) or place
            yield broken(law, f"two seeds ask the same: {task.instruction[:60]!r}", again, "delete one of them")
        if not task.name.strip():
            yield broken(
                law,
                f"the seed {called} has no name",
                at,
                "give its Task a `name` of its own (file:line will do): rows are traced by it",
            )
        elif names.setdefault(task.name, seed.id) != seed.id or list(names).count(task.name) > 1:
            yield broken(law, f"two seeds have the name {task.name!r}", at, "give each task a name of its own")
        yield from _wrong_answers(seed, law, called, at, sources.roots)
    if found := gives_answer([(s.task, s.task.reference or (s.answers[0].text if s.answers else "")) for s in seeds]):
        yield broken(
            law,
            f"the instructions end with their answers: {found[-80:]!r}",
            place,
            "keep the answer out of the instruction",
        )
    if seeds and len({s.id for s in seeds}) != len(seeds):
        yield broken(law, "two seeds have the same id", place, "give each task a name")


def _wrong_answers(seed: Record, law: str, called: str, at: str, roots: Sequence[str]) -> Iterator[Finding]:
    """What is wrong with a seed's answers and with the texts of the row. `roots`: the package's folders."""
    if any(not a.text.strip() for a in seed.answers):
        yield broken(law, f"the seed {called} has an empty answer", at, "write the answer, or give no Answer")
    if any(a.verdict is not None for a in seed.answers):
        yield broken(law, f"the seed {called} brings a verdict", at, "leave `verdict` out: verify gives it")
    if machine := next((root for root in roots if root.rstrip("/") in repr(seed.task)), ""):
        todo = "name rows by the file's name and line: this path is another one on each machine, and so is the row's id"
        yield broken(law, f"the seed {called} holds the path {machine!r}", at, todo)
    if wrong := unclean(seed.task, [a.text for a in seed.answers]):
        yield broken(law, f"the seed {called}: {wrong}", at, "correct this row, or leave it out")
