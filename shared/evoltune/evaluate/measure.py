"""Measure a model on a recipe's suites: generate in separate processes, score here, write `scores.json` last.

    evaluate(recipe, "runs/smoke-math/checkpoint", Path("runs/smoke-math/eval/after"), baseline=False)

Invariant: `SUITE.jsonl` (texts) and `SUITE.verdicts.jsonl` only grow, so a killed evaluation resumes; `scores.json` is
written when everything is judged, and holds everything that the scores depend on.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from evoltune.curate.certificate import unproven
from evoltune.domain import Profile, load_domain, source_hash
from evoltune.errors import CertificateError, DataError, RecipeError
from evoltune.evaluate.prompts import DECODING_KEYS, refuse_other_prompt
from evoltune.evaluate.samples import Sample
from evoltune.evaluate.score import can_vote, majority, metrics, profile_of, verifier_version, verify_samples
from evoltune.evaluate.suites import Suite, later_turns, load_suite, refuse_twice
from evoltune.generate.completions import finished_samples, generate, generate_later_turns
from evoltune.generate.job import GenerationSettings, ModelSource, SampleRequest, find_model
from evoltune.generate.processes import models_kept
from evoltune.models.locate import has_chat_template
from evoltune.models.proof import read_template
from evoltune.models.template import FORMATS
from evoltune.recipe import Recipe
from evoltune.record import Task, digest
from evoltune.rows.files import read_json, write_json
from evoltune.run.paths import CERTIFICATE, MANIFEST, SCORES
from evoltune.text.prompts import fill_slots

KS = (1, 10, 100)


def evaluate(
    recipe: Recipe, model: str, out: Path, *, baseline: bool, allow_uncertified: bool = False
) -> dict[str, Any]:
    """Scores a model on the suites of `recipe.eval`.

    Args:
        model: a checkpoint, local folder, hub id, or a server's name for it.
        baseline: the model is the base: it is prompted with its own chat template unless `eval.baseline_template: same`.
        allow_uncertified: score a checkpoint whose training data were not checked against a suite; the scores say so.
            The training data of other models are unknown, and the scores say that.

    Returns what is written to `out/scores.json`. Raises DataError for a suite or profile, CertificateError, and
    GenerationError when the generator died (finished samples are kept).
    """
    data = Path(recipe.eval.data) if recipe.eval.data else None
    refuse_twice(recipe.eval.suites, recipe.domain)
    suites = [load_suite(name, data, domain=recipe.domain) for name in recipe.eval.suites]
    known = training_data(model, suites, allow_uncertified)
    source = find_model(model, recipe.eval, recipe.train.model_revision if baseline else "main")
    limited = [suite.first(recipe.eval.limit) for suite in suites]
    with models_kept():
        measured = {s.name: _measure_suite(recipe, s, model, source, out, baseline=baseline) for s in limited}
    scores = {
        "model": model,
        "baseline": baseline,
        "weights": source.fingerprint,
        "training_data": known,
        "suites": measured,
        "environment": environment(),
    }
    write_json(out / SCORES, scores)
    return scores


def training_data(model: str, suites: Sequence[Suite], allow_uncertified: bool) -> str:
    """ "certified", "unknown" (not a checkpoint of ours), or what was not checked. Raises CertificateError."""
    if not (Path(model) / MANIFEST).is_file():
        return "unknown"
    path = Path(model) / CERTIFICATE
    proof = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    problems = unproven(proof, {suite.name: suite for suite in suites})
    if not problems:
        return "certified"
    found = f"training data {'; '.join(problems) if proof else 'without a certificate'}"
    if not allow_uncertified:
        raise CertificateError(
            f"{model}: {found}: check them with `evoltune data decontaminate` and train again, or give "
            "--allow-uncertified (the scores and the report will say so)"
        )
    print(f"  eval: {found}", file=sys.stderr)
    return found


def _measure_suite(
    recipe: Recipe, suite: Suite, model: str, source: ModelSource, out: Path, *, baseline: bool
) -> dict[str, Any]:
    """Generates and judges what is missing; returns the suite's entry of `scores.json`."""
    name = recipe.eval.profile or suite.profile
    label, profile = profile_of(suite, name)
    trained = read_template(Path(source.checkpoint)) if source.checkpoint and not baseline else None
    if trained:
        refuse_other_prompt(label, profile, trained.template, recipe.eval, trained.system_prompt)
    settings = settings_of(recipe, profile, model, source, baseline=baseline)
    requests = [
        SampleRequest(
            suite=suite.name, problem=task.name, sample=i, prompt=prompt_of(profile, task), history=task.history
        )
        for task in suite.tasks
        for i in range(settings.n)
    ]
    texts = out / f"{suite.name}.jsonl"
    proof = generate(requests, settings, source, texts, batch_size=recipe.eval.batch_size)
    later = {task.name: turns for task in suite.tasks if (turns := later_turns(task))}
    if later and profile.prompt is None:  # a prompt of a profile's own is one text, and holds no dialogue
        generate_later_turns(requests, later, settings, source, texts, batch_size=recipe.eval.batch_size)
    finished = finished_samples(texts, settings.key)
    rows = [finished[r.problem, r.sample] for r in requests]
    samples = [Sample(problem=row["problem"], sample=row["sample"], text=row["text"]) for row in rows]
    profiles = (name, *suite.beside, *recipe.eval.beside)
    if not proof:  # nothing was missing: the proof of the run that generated the texts
        before = read_json(out / SCORES) or {}
        proof = before.get("suites", {}).get(suite.name, {}).get("template_proof", {})
    return {
        **score(suite, samples, profiles, recipe, out / f"{suite.name}.verdicts.jsonl"),
        "truncated": sum(row["stop"] == "length" for row in rows),
        "settings": asdict(settings),
        "settings_key": settings.key,
        "template_proof": proof,
        "prompts_sha256": digest([r.prompt for r in requests]),
    }


def score(
    suite: Suite, samples: Sequence[Sample], profiles: Sequence[str], recipe: Recipe, verdicts: Path
) -> dict[str, Any]:
    """All metrics under the first profile; each other one adds its pass@1 over the same texts, under its own name."""
    first, *others = dict.fromkeys(profiles)
    by_profile = verify_samples(suite, samples, [first, *others], recipe.verify, verdicts)
    outcomes = by_profile[first]
    n = len(samples) // max(1, len({s.problem for s in samples}))
    entry = metrics(suite, outcomes, [k for k in KS if k <= n])
    if n > 1 and can_vote(suite) and any(o.extracted for o in outcomes):
        entry["measures"][f"maj@{n}"] = asdict(majority(suite, outcomes, n, recipe.verify))
    label, _ = profile_of(suite, first)
    for value in entry["measures"].values():
        value["profile"] = label
    if others:
        entry["measures"] = {first if m == "pass@1" else m: v for m, v in entry["measures"].items()}
        entry["no_answer_by"] = {first: entry["no_answer"]}
    for name in others:
        other = metrics(suite, by_profile[name])
        if other["measures"]:
            entry["measures"][name] = {**other["measures"]["pass@1"], "profile": profile_of(suite, name)[0]}
        entry["no_answer_by"][name] = other["no_answer"]
    return {
        **entry,
        "profile": label,
        "verifier": verifier_version(suite, first, recipe.verify),
        "source_hash": source_hash(load_domain(suite.domain)),
        "suite": f"{suite.domain}/{suite.name}",
        "sha256": suite.sha256,
        "licence": suite.licence,
    }


def environment() -> dict[str, str]:
    """Versions of the packages that a score depends on."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in ("evoltune", "torch", "transformers", "peft", "tokenizers", "sympy", "vllm"):
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def prompt_of(profile: Profile, task: Task) -> str:
    """The profile's format string filled with the task's instruction and text fields, in one pass."""
    instruction = profile.render(task) if profile.render else task.instruction
    if profile.prompt is None:
        return instruction
    texts = {k: v for k, v in task.fields.items() if isinstance(v, str)}
    return fill_slots(profile.prompt, **{**texts, "instruction": instruction})


def settings_of(
    recipe: Recipe, profile: Profile, model: str, source: ModelSource, *, baseline: bool
) -> GenerationSettings:
    """The profile's decoding with the recipe's choices over it, and the template of this model.

    `baseline`: the model is the base, with `eval.baseline_template` and `eval.baseline_max_new_tokens`.
    """
    chosen = recipe.eval
    decoding: Mapping[str, Any] = profile.decoding
    if unknown := set(decoding) - set(DECODING_KEYS):
        raise DataError(f"profile decoding has unknown keys {sorted(unknown)}: allowed: {', '.join(DECODING_KEYS)}")
    length = (baseline and chosen.baseline_max_new_tokens) or chosen.max_new_tokens
    temperature = decoding.get("temperature", 0.0) if chosen.temperature is None else chosen.temperature
    n = chosen.n or int(decoding.get("n", 1))
    if n > 1 and temperature == 0:
        raise RecipeError(f"eval.n: {n} samples at temperature 0 would all be the same: set eval.temperature above 0")
    template, system = ("raw", "") if profile.prompt is not None else _template(recipe, source, baseline=baseline)
    return GenerationSettings(
        model=model, weights=source.fingerprint, template=template, prompt=profile.prompt, system=system,
        n=n, temperature=float(temperature), top_p=float(chosen.top_p or decoding.get("top_p", 1.0)),
        repetition_penalty=float(decoding.get("repetition_penalty", 1.0)),
        max_new_tokens=int(length or decoding.get("max_tokens", 512)),
        stops=(*decoding.get("stop", ()), *chosen.stops), seed=recipe.seed, engine=chosen.engine,
    )  # fmt: skip


def _template(recipe: Recipe, source: ModelSource, *, baseline: bool) -> tuple[str, str]:
    """(template, system prompt): the base's own chat template, else what the checkpoint was trained with, else the recipe's.

    A base without a chat template, as most plain ones, gets the recipe's. Where that ends turns with a token that training
    adds to the tokenizer (LIMA's), the base does not know the token and gets the question alone (`raw`).
    """
    chosen = recipe.train.template
    if baseline and not (source.endpoint or has_chat_template(source.tokenizer)):
        end = FORMATS[chosen].end_of_turn if chosen in FORMATS else ""
        if end:
            print(
                f"  eval: {source.model} has no chat template and does not know {end!r}, which train.template: {chosen} adds, "
                "so the base gets the question alone",
                file=sys.stderr,
            )
            return "raw", ""
        if recipe.eval.baseline_template == "chat":
            print(
                f"  eval: {source.model} has no chat template, so the base is prompted with train.template: {chosen} "
                "(eval.baseline_template: same says so too)",
                file=sys.stderr,
            )
    elif baseline and recipe.eval.baseline_template == "chat":
        return "chat", ""
    trained = read_template(Path(source.checkpoint)) if source.checkpoint else None
    if trained:
        return trained.template, trained.system_prompt
    return chosen, recipe.train.system_prompt
