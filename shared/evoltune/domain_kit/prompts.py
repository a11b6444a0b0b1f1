"""Laws about a domain's prompts: each has the slots that its kind needs, is whole and clean, and gives nothing away.

for finding in laws_of_prompts(domain, sources): ...
"""

import math
import re
from collections.abc import Iterator, Sequence

from evoltune.domain import Domain, Operator
from evoltune.domain_kit.findings import Finding, Sources, broken, holds
from evoltune.domain_kit.seeds import CONTROL, unclean_text
from evoltune.evolve.rules.leaks import repeats_label
from evoltune.record import Task
from evoltune.text.residue import is_residue

KINDS = ("depth", "breadth", "down", "fuse", "turn")
SLOTS = {"fuse": {"instruction", "other"}, "turn": {"instruction", "answer"}}
MOST = 40_000
"""Characters of a prompt: more leaves no room for the task in most models."""
RARELY = 0.001
"""An operator with a smaller share of the weights is as good as never drawn."""
_SLOT_LIKE = re.compile(r"(?<![\\\w^_}{$])\{ ?([A-Za-z][A-Za-z_]{2,30}) ?\}(?![}{])")
_DOUBLED = re.compile(r"\{\{ ?(instruction|other|answer) ?\}\}")
_OF_OTHERS = re.compile(
    r"\$\{\w{3,30}\}|%\(\w{3,30}\)[sdr]|(?<![\w\\{}])\{\{[ -]?\w{3,30}[ -]?\}\}(?![{}])|<<\w{3,30}>>"
)
"""Slots of other template languages: string.Template, %, Jinja."""
_TO_DO = re.compile(r"\b(?:TODO|FIXME|TBD|XXX|lorem ipsum|[Pp]laceholder text)\b")


def laws_of_prompts(domain: Domain, sources: Sources) -> Iterator[Finding]:
    law = "prompts render"
    found = next(_wrong_prompts(domain, sources, law), None)
    count = len(domain.operators) + 1 + len(domain.evidence)
    yield found or holds(law, f"{len(domain.operators)} operators, {count} prompts")
    law = "no marker of a prompt can leak into a row unseen"
    leak = next(
        (
            (o, line)
            for o in domain.operators
            if isinstance(o.template, str) and o.template
            for line in _leaks(o.template)
        ),
        None,
    )
    if leak:
        todo = "word the marker otherwise (as a sentence, say), so that a copy of it is noticed"
        yield broken(
            law,
            f"operator {leak[0].name!r}: {leak[1]!r}",
            sources.line_of(leak[1]) or sources.named(leak[0].name),
            todo,
        )
    elif domain.operators:
        yield holds(law, f"{len(domain.operators)} templates")


def _wrong_prompts(domain: Domain, sources: Sources, law: str) -> Iterator[Finding]:
    if not domain.operators:
        yield broken(
            law,
            "there is no operator",
            sources.start(),
            "give at least one: Operator(name=..., template='... {instruction}')",
        )
    seen: dict[str, str] = {}
    texts: dict[str, str] = {}
    for o in domain.operators:
        at, called = sources.named(str(o.name)), f"operator {o.name!r}"
        yield from _wrong_operator(o, law, called, at)
        if not isinstance(o.template, str):
            continue
        if o.name in seen:
            yield broken(
                law, f"operator names are not distinct: {o.name!r}", at, "rename one: results are counted by name"
            )
        if o.rewrite is not None and not o.template:  # it words the new task itself
            seen[o.name] = o.name
            continue
        if o.rewrite is None and o.template.strip() in texts:
            yield broken(
                law,
                f"{called} has the template of {texts[o.template.strip()]!r}",
                at,
                "give it a template of its own, or a larger weight to one",
            )
        seen[o.name] = o.name
        if o.rewrite is None:  # rewrites may share the prompt that words their tasks again
            texts[o.template.strip()] = o.name
        needs = SLOTS.get(o.kind, {"instruction"}) if o.rewrite is None else {"instruction"}
        yield from _slots(
            law, called, o.template, needs, needs - {"instruction"} if o.kind == "turn" else needs, sources, at
        )
    weights = [o.weight for o in domain.operators if isinstance(o.weight, int | float)]
    if weights and not any(weight > 0 for weight in weights):
        yield broken(
            law, "every operator has the weight 0", sources.start(), "give one a weight above 0: none would be drawn"
        )
    yield from _never_drawn(domain, law, sources)
    yield from _slots(
        law, "answer_prompt", domain.answer_prompt, {"instruction"}, {"instruction"}, sources, sources.start()
    )
    for name, prompt in domain.evidence.items():
        yield from _slots(
            law, f"evidence {name!r}", prompt, {"instruction"}, {"instruction"}, sources, sources.named(name)
        )
    for name, profile in domain.profiles.items():
        if isinstance(profile.prompt, str):
            slot, at = {"instruction"}, sources.named(name)
            yield from _slots(law, f"profile {name!r}", profile.prompt, slot, slot, sources, at)


def _never_drawn(domain: Domain, law: str, sources: Sources) -> Iterator[Finding]:
    weights = {o.name: o.weight for o in domain.operators if isinstance(o.weight, int | float) and o.weight > 0}
    total = sum(weights.values())
    for name, weight in weights.items():
        if math.isfinite(total) and weight < RARELY * total:
            todo = "give the weights one order of magnitude, or 0 to an operator that is not to be used"
            detail = f"operator {name!r}: weight {weight:g} of {total:g} in all, so that it is as good as never drawn"
            yield broken(law, detail, sources.named(name), todo)


def _texts(domain: Domain) -> Iterator[tuple[str, str]]:
    """(what it is called, text) of each prompt."""
    yield from ((f"operator {o.name!r}", o.template) for o in domain.operators if isinstance(o.template, str))
    yield from (("answer_prompt", domain.answer_prompt), *((f"evidence {n!r}", t) for n, t in domain.evidence.items()))
    yield from ((f"profile {n!r}", p.prompt) for n, p in domain.profiles.items() if isinstance(p.prompt, str))


def laws_of_what_prompts_hold(domain: Domain, problems: Sequence[Task], sources: Sources) -> Iterator[Finding]:
    """Prompts are whole and clean texts, and hold no problem of a suite: the teacher would write rows like it."""
    law = "prompts are whole texts and hold no problem of a suite"
    asked = {key: t for t in problems if len(key := _plain(t.instruction)) > 12}
    count, said = 0, dict[str, str]()
    # Rewrites may share their wording, and evidence may ask the same twice: each reply is drawn anew.
    evolving = {f"operator {o.name!r}" for o in domain.operators if o.rewrite is None}
    for called, text in _texts(domain):
        count += 1
        place, plain = sources.line_of(text) or sources.start(), _plain(text)
        if found := _TO_DO.search(text):
            yield broken(law, f"{called} says {found[0]!r}", place, "write what the teacher shall do")
            return
        if wrong := unclean_text(text):
            yield broken(law, f"{called} {wrong}", place, "save the file in UTF-8 and write the text again")
            return
        if not called.startswith("profile") and (token := CONTROL.search(text)):
            yield broken(
                law,
                f"{called} holds {token[0]!r}",
                place,
                "leave it out: the teacher's chat template puts such tokens around turns",
            )
            return
        if called in evolving and (same := said.setdefault(plain, called)) != called:
            todo = "ask for something else, or delete one and give the other its weight"
            yield broken(law, f"{called} says what {same} says, blanks and signs aside", place, todo)
            return
        if len(text) > MOST:
            yield broken(
                law,
                f"{called} has {len(text)} characters (at most {MOST})",
                place,
                "shorten it: the task must fit beside it",
            )
            return
        if held := next((t for key, t in asked.items() if key in plain), None):
            detail = f"{called} holds the problem {held.instruction[:60]!r} of a suite ({held.name})"
            yield broken(law, detail, place, "take another example: what is held out must not shape what is trained on")
            return
    yield holds(law, f"{count} prompts, {len(asked)} problems")


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _wrong_operator(o: Operator, law: str, called: str, at: str) -> Iterator[Finding]:
    """What is wrong with one operator by itself, its slots aside."""
    if not isinstance(o.name, str) or not re.fullmatch(r"[\w.-]+", o.name):
        yield broken(law, f"{called}: the name is no word", at, "use letters, digits, hyphens and underscores")
    if o.kind not in KINDS:
        yield broken(law, f"{called}: unknown kind {o.kind!r}", at, f"use one of {', '.join(KINDS)}")
    if (
        isinstance(o.weight, bool)
        or not isinstance(o.weight, int | float)
        or not math.isfinite(o.weight)
        or o.weight < 0
    ):
        yield broken(law, f"{called}: weight {o.weight!r}", at, "give a number of at least 0")
    if not isinstance(o.template, str):
        yield broken(law, f"{called}: the template is a {type(o.template).__name__}", at, "give a text")
    if o.rewrite is not None and not callable(o.rewrite):
        yield broken(law, f"{called}: rewrite is a {type(o.rewrite).__name__}", at, "give a function or None")


def _slots(
    law: str, called: str, text: str, known: set[str], needed: set[str], sources: Sources, at: str
) -> Iterator[Finding]:
    """Slots that are missing, unknown, or of another kind of operator."""
    place = (sources.line_of(text) if text.strip() else "") or at
    for slot in sorted(needed | {"instruction"}):
        if f"{{{slot}}}" not in text:
            yield broken(
                law, f"{called}: the template has no {{{slot}}} slot", place, f"write {{{slot}}} where the text belongs"
            )
    if doubled := _DOUBLED.search(text):
        yield broken(
            law,
            f"{called}: {doubled[0]} keeps its outer braces",
            place,
            f"write {{{doubled[1]}}}: this is no str.format",
        )
    if other := _OF_OTHERS.search(text):
        todo = "write {instruction} and the like: nothing else is replaced, and the teacher would read the slot as text"
        yield broken(
            law,
            f"{called}: {other[0]} is a slot of another template language",
            sources.line_of(other[0]) or place,
            todo,
        )
    for like in _SLOT_LIKE.finditer(text):
        if like[1] not in known and (like[1].casefold() in ("instruction", "other", "answer") or like[0].islower()):
            filled = " and ".join(f"{{{s}}}" for s in sorted(known))
            yield broken(
                law,
                f"{called}: {like[0]} is filled with nothing",
                sources.line_of(like[0]) or place,
                f"only {filled} is replaced here",
            )
    if not re.sub(r"\{\w+\}", "", text).strip() and called.startswith(("operator", "evidence")):
        yield broken(law, f"{called}: the template asks for nothing", place, "write what the teacher shall do")


def _leaks(template: str) -> Iterator[str]:
    """Marker lines (`### Rewritten:`) that an echoing teacher would copy and the eliminator would not notice."""
    for line in template.splitlines():
        bare = line.strip().replace("{instruction}", "").replace("{other}", "").strip()
        marker = re.fullmatch(r"[#*\[\s]*[\w ]{3,40}[#*\]\s]*:?", bare) and re.match(r"[#*\[]", bare)
        leaked = Task(instruction=f"{bare}\nName a prime number.")
        if marker and not (is_residue(leaked.instruction) or repeats_label((template,), None, leaked)):
            yield bare
