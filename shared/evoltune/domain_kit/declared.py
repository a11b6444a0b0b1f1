"""Laws about what a domain declares: its fields, prompts, columns, policy. No function of the domain runs here.

for finding in laws_of_fields(domain, sources): ...
"""

import importlib.util
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evoltune.domain import Benchmark, Domain, Operator, Profile
from evoltune.domain_kit.findings import Finding, Sources, broken, holds
from evoltune.evaluate.prompts import DECODING_KEYS
from evoltune.evolve.rules.leaks import repeats_label
from evoltune.record import Task
from evoltune.text.residue import is_residue

KINDS = ("depth", "breadth", "down", "fuse", "turn")
SLOTS = {"fuse": {"instruction", "other"}, "turn": {"instruction", "answer"}}
RESERVED = ("instruction", "reference", "tests")
_SLOT_LIKE = re.compile(r"(?<![\\\w^_}{$])\{ ?([A-Za-z][A-Za-z_]{2,30}) ?\}(?![}{])")
_DOUBLED = re.compile(r"\{\{ ?(instruction|other|answer) ?\}\}")


def laws_of_fields(domain: Domain, sources: Sources) -> Iterator[Finding]:
    """Whether every field of Domain has its type. Where one has not, no other law can be looked at."""
    name = "fields of the Domain have their types"
    wrong = next(_wrong_fields(domain, sources), None)
    yield wrong or holds(
        name, f"{len(domain.operators)} operators, {len(domain.benchmarks)} suites, {len(domain.profiles)} profiles"
    )


def _wrong_fields(domain: Domain, sources: Sources) -> Iterator[Finding]:
    law = "fields of the Domain have their types"

    def wrong(field: str, value: object, must: str, place: str = "") -> Finding:
        shown = (
            f"a {type(value).__name__}"
            if callable(value) or not isinstance(value, str | int | float | None)
            else repr(value)
        )
        return broken(
            law,
            f"{field} is {shown}",
            place or sources.line_of(field.partition("[")[0], (".py",)) or sources.start(),
            f"it must be {must}",
        )

    if not isinstance(domain.name, str) or not re.fullmatch(r"[A-Za-z0-9][\w.-]*", domain.name):
        yield wrong("name", domain.name, "a word of letters, digits, dots, hyphens and underscores")
    for field in ("seeds", "verify", "extract"):
        if not callable(getattr(domain, field)):
            yield wrong(field, getattr(domain, field), "a function")
    for field in ("confirm", "cases", "check_steps", "route", "stand_in"):
        if getattr(domain, field) is not None and not callable(getattr(domain, field)):
            yield wrong(field, getattr(domain, field), "a function or None")
    if not isinstance(domain.answer_prompt, str):
        yield wrong("answer_prompt", domain.answer_prompt, "a text with the slot {instruction}")
    for field, kind in (("operators", Operator), ("eliminators", object), ("columns", str), ("preload", str)):
        value = getattr(domain, field)
        if isinstance(value, str) or not isinstance(value, tuple | list):
            yield wrong(field, value, "a tuple: write a comma behind a single item, (item,)")
            continue
        for i, item in enumerate(value):
            if not isinstance(item, kind) or (field == "eliminators" and not callable(item)):
                yield wrong(f"{field}[{i}]", item, "a function" if field == "eliminators" else f"a {kind.__name__}")
    kinds: dict[str, Any] = {
        "evidence": str,
        "overlap": None,
        "benchmarks": Benchmark,
        "profiles": Profile,
        "policy": object,
    }
    for field, kind in kinds.items():
        value = getattr(domain, field)
        if not isinstance(value, Mapping):
            yield wrong(field, value, "a mapping from names")
            continue
        for key, item in value.items():
            if not isinstance(key, str) or not key:
                yield wrong(f"{field}[{key!r}]", item, "under a name, which is a string")
            elif (not callable(item)) if kind is None else (not isinstance(item, kind)):
                yield wrong(
                    f"{field}[{key!r}]",
                    item,
                    "a function" if kind is None else f"a {kind.__name__}",
                    sources.named(key),
                )


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
    yield from _slots(
        law, "answer_prompt", domain.answer_prompt, {"instruction"}, {"instruction"}, sources, sources.start()
    )
    for name, prompt in domain.evidence.items():
        yield from _slots(
            law, f"evidence {name!r}", prompt, {"instruction"}, {"instruction"}, sources, sources.named(name)
        )
    for name, profile in domain.profiles.items():
        if isinstance(profile.prompt, str) and "{instruction}" not in profile.prompt:
            yield broken(
                law, f"profile {name!r}: the prompt has no {{instruction}} slot", sources.named(name), "add it"
            )


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


def laws_of_options(domain: Domain, sources: Sources) -> Iterator[Finding]:
    """Policy, profiles, preload: what a recipe may choose."""
    law = "policy, profiles and preloaded modules can be used"
    found = next(_wrong_options(domain, sources, law), None)
    counts = f"{len(domain.profiles)} profiles, {len(domain.policy)} options, {len(domain.preload)} modules"
    yield found or holds(law, counts)


def _wrong_options(domain: Domain, sources: Sources, law: str) -> Iterator[Finding]:
    code = "\n".join(f.read_text(encoding="utf-8", errors="replace") for f in sources.files() if f.suffix == ".py")
    for key, value in domain.policy.items():
        at = sources.named(key)
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            yield broken(
                law,
                f"policy {key!r}: the default {value!r} is no plain JSON",
                at,
                "use numbers, strings, booleans, lists, objects or None",
            )
        if len(re.findall(rf"\b{re.escape(key)}\b", code)) < 2:
            yield broken(
                law,
                f"policy {key!r} is read nowhere",
                at,
                f"read context.policy[{key!r}] in verify, or delete the option",
            )
    if "sound" not in domain.profiles:
        yield broken(
            law,
            "there is no profile 'sound'",
            sources.line_of("profiles", (".py",)) or sources.start(),
            "add it: Profile(version=1) is the domain's own way to score",
        )
    for name, profile in domain.profiles.items():
        at = sources.named(name)
        if isinstance(profile.version, bool) or not isinstance(profile.version, int) or profile.version < 1:
            yield broken(
                law,
                f"profile {name!r}: version {profile.version!r}",
                at,
                "give a whole number from 1, and raise it with each change",
            )
        if not isinstance(profile.prompt, str | None):
            yield broken(
                law, f"profile {name!r}: prompt is a {type(profile.prompt).__name__}", at, "give a text or None"
            )
        if isinstance(profile.decoding, Mapping) and (unknown := set(profile.decoding) - set(DECODING_KEYS)):
            todo = f"use {', '.join(DECODING_KEYS)}"
            yield broken(law, f"profile {name!r}: decoding has the unknown key {min(unknown, key=str)!r}", at, todo)
        decoding = profile.decoding if isinstance(profile.decoding, Mapping) else {}
        count = decoding.get("n", 1)
        if isinstance(count, int) and count > 1 and not decoding.get("temperature"):
            todo = "give a temperature above 0, or n=1"
            yield broken(law, f"profile {name!r}: {count} samples at temperature 0 are all the same", at, todo)
        if not isinstance(profile.decoding, Mapping):
            yield broken(
                law,
                f"profile {name!r}: decoding is a {type(profile.decoding).__name__}",
                at,
                "give a mapping: {'n': 1, 'temperature': 0.0}",
            )
        for field in ("render", "extract", "verify"):
            if getattr(profile, field) is not None and not callable(getattr(profile, field)):
                yield broken(law, f"profile {name!r}: {field} is no function", at, "give a function or None")
    yield from _wrong_names(domain, sources, law)


def _wrong_names(domain: Domain, sources: Sources, law: str) -> Iterator[Finding]:
    """Modules that are not there, and columns that cannot be columns."""
    for module in domain.preload:
        try:
            known = importlib.util.find_spec(module) is not None
        except (ImportError, ValueError):
            known = False
        if not known:
            yield broken(
                law,
                f"preload: the module {module!r} is not installed",
                sources.named(module),
                "install it, or correct the name",
            )
    for column in domain.columns:
        at = sources.named(column)
        if column in RESERVED:
            yield broken(
                law,
                f"columns: {column!r} has a place of its own in a Task",
                at,
                "leave it out, and read task.reference, task.tests or task.instruction",
            )
        if list(domain.columns).count(column) > 1:
            yield broken(law, f"columns: {column!r} is named twice", at, "delete one")


def laws_of_columns(domain: Domain, asked: set[str], tasks: Sequence[Task], sources: Sources) -> Iterator[Finding]:
    """What verify reads from `Task.fields` is what `columns` names. `asked`: the names that it asked for."""
    law = "columns are what verify reads"
    held = {name for task in tasks for name in task.fields}
    missing = sorted(name for name in asked & held if name not in domain.columns)
    unused = [name for name in domain.columns if name not in asked and name not in held]
    if missing:
        todo = f"add it: columns=({missing[0]!r}, ...); rewards and rows files keep only these"
        yield broken(
            law,
            f"verify reads task.fields[{missing[0]!r}], which columns does not name",
            sources.named(missing[0]),
            todo,
        )
    elif unused:
        yield broken(
            law,
            f"columns names {unused[0]!r}, which no task has and verify does not read",
            sources.named(unused[0]),
            "correct the name or delete it",
        )
    elif asked or domain.columns:
        yield holds(law, f"{len(domain.columns)} columns, {len(asked)} read")
