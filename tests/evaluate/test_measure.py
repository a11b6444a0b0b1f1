"""A whole evaluation: a tiny model on a suite, scores.json, resuming, and the certificate that a checkpoint needs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from evoltune.curate.certificate import build_certificate
from evoltune.domain import Profile
from evoltune.errors import CertificateError, RecipeError
from evoltune.evaluate.measure import evaluate, prompt_of, settings_of, training_data
from evoltune.evaluate.results import score_table
from evoltune.evaluate.suites import load_suite
from evoltune.generate.job import ModelSource
from evoltune.recipe import Eval, Recipe, Train
from evoltune.record import Task
from evoltune.rows.files import write_json


def test_scores_hold_every_thing_that_they_depend_on(measured):
    folder, scores = measured
    entry = scores["suites"]["sums"]
    assert list(entry["measures"]) == ["sound", "gsm8k-strict"] and entry["n"] == 10
    assert {m["profile"] for m in entry["measures"].values()} == {"math/sound@1", "math/gsm8k-strict@1"}
    for key in ("sha256", "licence", "verifier", "source_hash", "prompts_sha256", "settings", "truncated", "no_answer"):
        assert key in entry
    assert entry["template_proof"]["template"] == "chat" and scores["environment"]["torch"]
    assert len((folder / "sums.jsonl").read_text().splitlines()) == 10


def test_a_second_run_is_bit_identical_and_generates_nothing(measured, tiny_base, recipe, tmp_path):
    folder, scores = measured
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert json.loads(json.dumps(evaluate(recipe(), str(tiny_base), folder, baseline=True))) == scores
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    evaluate(recipe(), str(tiny_base), tmp_path / "again", baseline=True)
    texts = [sorted((f / "sums.jsonl").read_text().splitlines()) for f in (folder, tmp_path / "again")]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("proof", ["none", "other suite", "this suite"])
def test_a_checkpoint_of_ours_needs_a_certificate_for_the_suite(proof: str, suite_file, tmp_path):
    suite = load_suite(f"math:{suite_file}")
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "manifest.json").write_text("{}")
    if proof != "none":
        other = replace(suite, name="another", tasks=suite.tasks[:1])
        named = other if proof == "other suite" else suite
        write_json(checkpoint / "certificate.json", build_certificate({named.name: named}, {}, rows={}, hits=[]))
    assert training_data("some-hub/model", [suite], False) == "unknown"
    if proof == "this suite":
        assert training_data(str(checkpoint), [suite], False) == "certified"
        return
    with pytest.raises(CertificateError, match="--allow-uncertified"):
        training_data(str(checkpoint), [suite], False)
    said = training_data(str(checkpoint), [suite], True)
    assert said.startswith("training data ")
    scores = {"suites": {}, "training_data": said}
    assert list(score_table({"mine": scores}))[-1] == f"mine: {said}"


def test_the_profile_decides_decoding_and_the_recipe_may_choose_over_it(recipe, tiny_base):
    weights = ModelSource(model="m", fingerprint="w", tokenizer=str(tiny_base))
    profile = Profile(version=1, decoding={"n": 4, "temperature": 0.2, "top_p": 0.95, "max_tokens": 99, "stop": ["X"]})
    plain = settings_of(Recipe(domain="math"), profile, "m", weights, baseline=False)
    assert (plain.n, plain.temperature, plain.top_p, plain.max_new_tokens, plain.stops) == (4, 0.2, 0.95, 99, ("X",))
    chosen = recipe(n=2, temperature=0.8, stops=("Y",), baseline_max_new_tokens=7)
    over = settings_of(chosen, profile, "m", weights, baseline=False)
    assert (over.n, over.temperature, over.max_new_tokens, over.stops, over.template) == (
        2,
        0.8,
        12,
        ("X", "Y"),
        "alpaca",
    )
    base = settings_of(chosen, profile, "m", weights, baseline=True)
    assert (base.template, base.max_new_tokens) == ("chat", 7)
    same = settings_of(recipe(baseline_template="same"), profile, "m", weights, baseline=True)
    assert same.template == "alpaca"
    raw = settings_of(chosen, Profile(version=1, prompt="{instruction}"), "m", weights, baseline=True)
    assert (raw.template, raw.prompt, raw.system) == ("raw", "{instruction}", "")


def test_a_base_that_does_not_know_the_templates_own_token_gets_the_question_alone(tmp_path, capsys):
    (tmp_path / "tokenizer_config.json").write_text("{}")  # no chat template, no <|eot|>
    plain = ModelSource(model="m", fingerprint="w", tokenizer=str(tmp_path))
    for baseline_template in ("chat", "same"):
        chosen = Recipe(domain="general", train=Train(template="lima"), eval=Eval(baseline_template=baseline_template))
        base = settings_of(chosen, Profile(version=1), "m", plain, baseline=True)
        assert base.template == "raw" and "<|eot|>" in capsys.readouterr().err
        assert settings_of(chosen, Profile(version=1), "m", plain, baseline=False).template == "lima"


def test_several_greedy_samples_are_refused(recipe):
    with pytest.raises(RecipeError, match="would all be the same"):
        settings_of(recipe(n=5), Profile(version=1), "m", ModelSource(model="m"), baseline=False)


def test_a_prompt_is_filled_in_one_pass():
    fields = {"entry_point": "f", "template": "t"}
    task = Task(instruction="use {entry_point}", fields=fields)
    profile = Profile(version=1, prompt="Q: {instruction} / {entry_point} {template} {x}")
    assert prompt_of(profile, task) == "Q: use {entry_point} / f t {x}"
    assert prompt_of(Profile(version=1, render=lambda t: t.instruction.upper()), task) == "USE {ENTRY_POINT}"
