"""A model on a recipe's suites: generate in processes of their own, score here, write `scores.json` last.

    evaluate(recipe, "runs/smoke-math/checkpoint", Path("runs/smoke-math/eval/after"), baseline=False)

Invariant: `SUITE.jsonl` (texts) and `SUITE.verdicts.jsonl` only grow, so a killed evaluation goes on; `scores.json` is
written when everything is judged, and says everything that the figures depend on.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from evoltune.domain import Profile, load_domain, source_hash
from evoltune.errors import CertificateError, DataError, RecipeError
from evoltune.evaluate.majority import can_vote, majority
from evoltune.evaluate.samples import Sample
from evoltune.evaluate.score import figures, judge, profile_of, verifier_version
from evoltune.evaluate.suites import Suite, load_suite
from evoltune.generate.completions import finished_samples, generate
from evoltune.generate.model_source import find_model
from evoltune.generate.types import GenerationSettings, ModelSource, SampleRequest
from evoltune.recipe import Recipe
from evoltune.record import Task, digest
from evoltune.rows.files import read_json, write_json

KS = (1, 10, 100)
DECODING = ("n", "temperature", "top_p", "repetition_penalty", "max_tokens", "stop")
SLOT = re.compile(r"\{(\w+)\}")


def evaluate(
    recipe: Recipe, model: str, out: Path, *, baseline: bool, allow_uncertified: bool = False
) -> dict[str, Any]:
    """Scores of `model` on the suites of `recipe.eval`, also written to `out/scores.json`.

    A checkpoint of ours whose training data were not checked against a suite is refused, unless `allow_uncertified`:
    then the scores say so. Of other models' data nothing is known, and the scores say that.

    `baseline` asks the base as it wants to be asked: its own chat template unless `eval.baseline_template: same`.
    Raises DataError (suite, profile), CertificateError, GenerationError (the generator died; what is finished is kept).
    """
    data = Path(recipe.eval.data) if recipe.eval.data else None
    suites = [load_suite(name, data, domain=recipe.domain) for name in recipe.eval.suites]
    known = training_data(model, suites, allow_uncertified)
    weights = find_model(model, recipe.eval)
    found = {
        suite.name: measure(recipe, cut(suite, recipe.eval.limit), model, weights, out, baseline=baseline)
        for suite in suites
    }
    scores = {
        "model": model,
        "baseline": baseline,
        "weights": weights.fingerprint,
        "training_data": known,
        "suites": found,
        "environment": environment(),
    }
    write_json(out / "scores.json", scores)
    return scores


def training_data(model: str, suites: Sequence[Suite], allow_uncertified: bool) -> str:
    """ "certified", "unknown" (no checkpoint of ours), or what was not checked. Raises CertificateError."""
    from evoltune.models.checkpoint import CERTIFICATE, MANIFEST

    if not (Path(model) / MANIFEST).is_file():
        return "unknown"
    from evoltune.curate.certificate import unproven

    path = Path(model) / CERTIFICATE
    proof = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    problems = unproven(proof, {suite.name: suite for suite in suites})
    if not problems:
        return "certified"
    said = f"training data {'; '.join(problems) if proof else 'without a certificate'}"
    if not allow_uncertified:
        raise CertificateError(
            f"{model}: {said}: check them with `evoltune data decontaminate` and train again, or give --allow-uncertified "
            "(the scores and the report will say so)"
        )
    print(f"  eval: {said}", file=sys.stderr)
    return said


def measure(
    recipe: Recipe, suite: Suite, model: str, weights: ModelSource, out: Path, *, baseline: bool
) -> dict[str, Any]:
    """One suite: generates and judges what is missing, and gives its entry of `scores.json`."""
    name = recipe.eval.profile or suite.profile
    _, profile = profile_of(suite, name)
    settings = settings_of(recipe, profile, model, weights, baseline=baseline)
    wanted = [
        SampleRequest(
            suite=suite.name, problem=task.name, sample=i, prompt=ask(profile, task), history=task.history
        )
        for task in suite.tasks
        for i in range(settings.n)
    ]
    texts = out / f"{suite.name}.jsonl"
    proof = generate(wanted, settings, weights, texts, batch_size=recipe.eval.batch_size)
    made = finished_samples(texts, settings.key)
    samples = [
        Sample(problem=w.problem, sample=w.sample, text=made[w.problem, w.sample]["text"]) for w in wanted
    ]
    entry = score(
        suite,
        samples,
        (name, *suite.beside, *recipe.eval.beside),
        recipe,
        out / f"{suite.name}.verdicts.jsonl",
    )
    cut_short = sum(made[w.problem, w.sample]["stop"] == "length" for w in wanted)
    return {
        **entry,
        "truncated": cut_short,
        "settings": asdict(settings),
        "settings_key": settings.key,
        "template_proof": proof or _old_proof(out, suite.name),
        "prompts_sha256": digest([w.prompt for w in wanted]),
    }


def score(
    suite: Suite,
    samples: Sequence[Sample],
    profiles: Sequence[str],
    recipe: Recipe,
    verdicts: Path,
    *,
    cache: bool = True,
) -> dict[str, Any]:
    """Figures of the first profile; the others add one measure each, named after them, over the same texts."""
    first, *others = dict.fromkeys(profiles)
    outcomes = judge(suite, samples, first, recipe.verify, verdicts, cache=cache)
    each = len(samples) // max(1, len({s.problem for s in samples}))
    entry = figures(suite, outcomes, [k for k in KS if k <= each])
    if each > 1 and can_vote(suite) and any(o.extracted for o in outcomes):
        entry["measures"][f"maj@{each}"] = asdict(majority(suite, outcomes, each, recipe.verify))
    label, _ = profile_of(suite, first)
    for value in entry["measures"].values():
        value["profile"] = label
    if others:
        entry["measures"] = {first if m == "pass@1" else m: v for m, v in entry["measures"].items()}
    for name in others:
        more = figures(suite, judge(suite, samples, name, recipe.verify, verdicts, cache=cache))
        entry["measures"][name] = {**more["measures"]["pass@1"], "profile": profile_of(suite, name)[0]}
        entry.setdefault("no_answer_by", {first: entry["no_answer"]})[name] = more["no_answer"]
    return {
        **entry,
        "profile": label,
        "verifier": verifier_version(suite, first, recipe.verify),
        "source_hash": source_hash(load_domain(suite.domain)),
        "suite": f"{suite.domain}/{suite.name}",
        "sha256": suite.sha256,
        "licence": suite.licence,
    }


def cut(suite: Suite, limit: int) -> Suite:
    """The first `limit` problems; 0: all."""
    return replace(suite, tasks=suite.tasks[:limit]) if limit else suite


def ask(profile: Profile, task: Task) -> str:
    """What is put to the model: the profile's format string with the task's instruction and fields, in one pass."""
    instruction = profile.render(task) if profile.render else task.instruction
    if profile.prompt is None:
        return instruction
    values = {**{k: v for k, v in task.fields.items() if isinstance(v, str)}, "instruction": instruction}
    return SLOT.sub(lambda slot: str(values.get(slot[1], slot[0])), profile.prompt)


def settings_of(
    recipe: Recipe, profile: Profile, model: str, weights: ModelSource, *, baseline: bool
) -> GenerationSettings:
    """The profile's decoding with the recipe's choices over it, and the template that this model is asked with."""
    chosen = recipe.eval
    unknown = set(profile.decoding) - set(DECODING)
    if unknown:
        raise DataError(
            f"profile decoding has unknown keys {sorted(unknown)}: allowed: {', '.join(DECODING)}"
        )
    decoding: Mapping[str, Any] = profile.decoding
    length = (baseline and chosen.baseline_max_new_tokens) or chosen.max_new_tokens
    temperature = decoding.get("temperature", 0.0) if chosen.temperature is None else chosen.temperature
    n = chosen.n or int(decoding.get("n", 1))
    if n > 1 and temperature == 0:
        raise RecipeError(
            f"eval.n: {n} samples at temperature 0 would all be the same: set eval.temperature above 0"
        )
    template, system = _template(recipe, weights, baseline=baseline)
    if profile.prompt is not None:
        template, system = "raw", ""
    return GenerationSettings(
        model=model, weights=weights.fingerprint, template=template, prompt=profile.prompt, system=system,
        n=n, temperature=float(temperature), top_p=float(chosen.top_p or decoding.get("top_p", 1.0)),
        repetition_penalty=float(decoding.get("repetition_penalty", 1.0)),
        max_new_tokens=int(length or decoding.get("max_tokens", 512)),
        stops=(*decoding.get("stop", ()), *chosen.stops), seed=recipe.seed, engine=chosen.engine,
    )  # fmt: skip


def _template(recipe: Recipe, weights: ModelSource, *, baseline: bool) -> tuple[str, str]:
    """(template, system prompt): a base's own chat template; what a checkpoint says it was trained with; the recipe's."""
    from evoltune.models.proof import read_template

    if baseline and recipe.eval.baseline_template == "chat":
        return "chat", ""
    trained = read_template(Path(weights.checkpoint)) if weights.checkpoint else None
    if trained:
        return trained.template, trained.system_prompt
    return recipe.train.template, recipe.train.system_prompt


def _old_proof(out: Path, suite: str) -> dict[str, Any]:
    """When nothing had to be generated: the proof of the run that did."""
    before = read_json(out / "scores.json") or {}
    found: dict[str, Any] = before.get("suites", {}).get(suite, {}).get("template_proof", {})
    return found


def environment() -> dict[str, str]:
    """Versions that decide a score."""
    from importlib import metadata

    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in ("evoltune", "torch", "transformers", "peft", "tokenizers", "sympy", "vllm"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
