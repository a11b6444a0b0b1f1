"""The reward of verifier, step scores and instruction score: its laws, and how trainers call it."""

import asyncio
import json
import math
import pickle
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

import evoltune
from evoltune.cli import main
from evoltune.errors import DataError
from evoltune.recipe import Verification
from evoltune.train.reward.product import ProductReward, cancelled_by, combined, solution_score
from evoltune.train.reward.rows import rewarded
from evoltune.train.rl.external import ExternalRL, reward_file
from evoltune.verification.checker import open_checker
from evoltune.verification.service.row_queue import Limits
from evoltune.verification.service.server import Service

UNIT = st.floats(0, 1)
SCORES = st.lists(UNIT, min_size=1, max_size=6)


@given(SCORES, st.randoms(use_true_random=False))
def test_permuting_steps_after_the_first_error_changes_nothing(scores: list[float], rng):
    error = next((i for i, score in enumerate(scores) if score < 0.5), len(scores))
    head, tail = scores[: error + 1], scores[error + 1 :]
    rng.shuffle(tail)
    assert solution_score([*head, *tail]) == solution_score(scores) == min(head)


@given(UNIT, UNIT, UNIT, st.floats(0, 0.999))
def test_a_fail_is_never_above_a_pass_of_the_same_prompt(
    instruction: float, failed: float, passed: float, share: float
):
    fail, win = combined(0.0, failed, instruction, share), combined(1.0, passed, instruction, share)
    assert fail is not None and win is not None and 0 <= fail <= win + 1e-12 and win <= 1
    assert share or (fail == 0.0 and math.isclose(win, instruction * passed))


@given(UNIT, UNIT, st.floats(0, 0.999))
def test_what_was_not_judged_has_no_reward(solution: float, instruction: float, share: float):
    assert combined(None, solution, instruction, share) is None


def test_the_last_step_counts_for_models_of_rollouts_and_no_step_is_0():
    assert solution_score([0.2, 0.9], "last") == 0.9 and solution_score([0.2, 0.9]) == 0.2
    assert solution_score([]) == solution_score([], "last") == 0.0


GROUP = st.lists(st.fractions(0, 1, max_denominator=20), min_size=2, max_size=8).filter(lambda xs: len(set(xs)) > 1)


@given(GROUP, st.fractions(Fraction(1, 50), 1, max_denominator=50))
def test_division_by_the_groups_deviation_cancels_the_instruction_reward_exactly(group: list[Fraction], q: Fraction):
    """GRPO's advantage, squared so that the deviation stays a fraction; without the division it keeps the factor q."""

    def centred(xs):
        mean = sum(xs) / len(xs)
        return [x - mean for x in xs]

    def squared(xs):
        gaps = centred(xs)
        variance = sum(gap * gap for gap in gaps) / (len(xs) - 1)
        return [(gap > 0, gap * gap / variance) for gap in gaps]

    weighted = [q * x for x in group]
    assert squared(weighted) == squared(group)
    assert centred(weighted) == [q * gap for gap in centred(group)]


@pytest.mark.parametrize(
    ("scale", "warns"), [("group", True), (True, True), ("none", False), ("batch", False), (None, False)]
)
def test_the_warning_names_the_setting_that_cancels(scale, warns: bool):
    assert bool(cancelled_by(SimpleNamespace(scale_rewards=scale))) == warns


def test_grpo_of_trl_cancels_by_default_and_rloo_does_not(tmp_path):
    trl = pytest.importorskip(
        "trl", reason="TRL is not installed (pip install evoltune[rl]): its defaults were not read"
    )
    common = {"output_dir": str(tmp_path), "use_cpu": True, "bf16": False, "report_to": []}
    assert "cancels the instruction reward" in cancelled_by(trl.GRPOConfig(**common))
    assert not cancelled_by(trl.GRPOConfig(**common, scale_rewards="none"))


def test_a_share_of_1_and_a_model_of_the_other_kind_are_refused(step_model):
    with pytest.raises(DataError, match="fail_share=1"):
        ProductReward("math", fail_share=1)
    with pytest.raises(DataError, match="given as the one of instructions"):
        ProductReward("math", instructions=step_model)
    with pytest.raises(DataError, match="above a pass with a weak step"):
        ProductReward("code", steps=step_model, reward="fraction")


def test_each_part_is_logged_and_the_copy_of_another_process_gives_the_same(step_model, instruction_model, caplog):
    metrics, extras = {}, {}
    prompts = [[{"role": "user", "content": "Work out 2 + 2, please."}]] * 4
    completions = ["step 0: good\n#### 4", "step 0: BAD\n#### 4", "#### 5", "#### 4"]
    columns = {"reference": ["4", "4", "4", None], "log_metric": metrics.__setitem__, "log_extra": extras.__setitem__}
    with ProductReward("math", steps=step_model, instructions=instruction_model, workers=1) as reward:
        copy = pickle.loads(pickle.dumps(reward))
        found = reward(completions, prompts, **columns)
        again = copy(completions, prompts, reference=columns["reference"])
        copy.close()
    good, bad, failed, unjudged = found
    assert again == pytest.approx(found) and failed == 0.0 and unjudged is None and 0 < bad < good < 1
    name = "evoltune_math_product"
    assert metrics[f"{name}/unjudged"] == 0.25 and metrics[f"{name}/verifier"] == pytest.approx(2 / 3)
    q, s = extras[f"{name}_instruction"][0], extras[f"{name}_steps"][0]
    assert good == pytest.approx(q * s) and extras[f"{name}_reward"] == found
    with caplog.at_level("WARNING"):
        assert reward.warn_of(SimpleNamespace(scale_rewards="group"))
    assert "cancels the instruction reward" in caplog.text


def test_an_exact_check_that_finds_a_wrong_equation_scores_0(step_model):
    texts = ["step 0: good\n2 + 2 = 5\n#### 4"]
    with ProductReward("math", steps=step_model, workers=1) as strict:
        assert strict(texts, ["2 + 2?"], reference=["4"]) == [0.0]
    with ProductReward("math", steps=step_model, check=False, workers=1) as lenient:
        assert lenient(texts, ["2 + 2?"], reference=["4"])[0] > 0
    with pytest.raises(ValueError, match="1 completions with 0 prompts"):
        strict(texts, reference=["4"])


def test_without_models_it_is_the_verifiers_reward():
    with ProductReward("math", workers=1) as reward:
        assert reward(["4", "5", "6"], reference=["4", "4", None]) == [1.0, 0.0, None]


def test_a_request_and_a_file_get_the_reward_that_a_trainer_gets(step_model, instruction_model, tmp_path, capsys):
    """Through the service's own application, the command line, and the callable."""
    prompt, texts = "Work out 2 + 2, please.", ["step 0: good\n#### 4", "step 0: BAD\n#### 4", "#### 5", "#### 4"]
    references = ["4", "4", "4", None]
    rows = [{"id": f"r{i}", "prompt": prompt, "answer": t, "reference": references[i]} for i, t in enumerate(texts)]
    with ProductReward("math", steps=step_model, instructions=instruction_model, workers=1) as reward:
        wanted = reward(texts, [prompt] * 4, reference=references)
        served = asyncio.run(_posted(reward, {"domain": "math", "rows": [*rows, {"answer": "4", "reference": "4"}]}))
    assert [row["reward"] for row in served] == pytest.approx([*wanted, None])
    assert "no reference" in served[3]["reason"] and served[3]["status"] == "unverifiable"
    assert served[4]["status"] == "pass" and "no prompt" in served[4]["reason"]
    good = served[0]["parts"]
    assert good["steps"] * good["instruction"] == pytest.approx(wanted[0]) and good["verifier"] == 1
    file, out = tmp_path / "rows.jsonl", tmp_path / "rewards.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    models = ["--steps", str(step_model), "--instructions", str(instruction_model), "--workers", "1"]
    assert main(["reward", str(file), "--domain", "math", *models, "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["not_judged"] == 1
    written = [json.loads(line) for line in out.read_text().splitlines()]
    drop = {"seconds", "evidence"}
    assert [{k: v for k, v in row.items() if k not in drop} for row in written] == [
        {k: pytest.approx(v) if k in ("reward", "parts") else v for k, v in row.items() if k not in drop}
        for row in served[:4]
    ]


async def _posted(reward: ProductReward, body: dict) -> list[dict]:
    with open_checker("math", Verification(workers=1)) as checker:
        service = Service({"math": checker}, "secret-of-the-test", Limits(), {"math": partial(rewarded, reward)})
        async with TestClient(TestServer(service.application())) as client:
            assert (await client.post("/score", json=body)).status == 401
            allowed = {"Authorization": "Bearer secret-of-the-test"}
            assert (await client.post("/score", json={**body, "rows": [{}] * 1025}, headers=allowed)).status == 422
            response = await client.post("/score", json=body, headers=allowed)
            await asyncio.to_thread(_asked_by_a_trainer, reward, str(client.make_url("")), body["rows"][:4])
            return (await response.json())["scores"]


def _asked_by_a_trainer(reward: ProductReward, address: str, rows: list[dict]) -> None:
    """A trainer's own reward, of a file that calls the service, or of one that has the models, is the product's."""
    texts, prompts, references = ([row.get(name) for row in rows] for name in ("answer", "prompt", "reference"))
    wanted = reward(texts, prompts, reference=references)
    asked = {"service": address, "token": "secret-of-the-test", "reward": "product"}
    with evoltune.reward("math", **asked, parts=["steps", "instruction"]) as remote:
        assert remote(texts, prompts, reference=references) == pytest.approx(wanted)
    models = {"steps": reward.steps.folder, "instructions": reward.instructions.folder}
    file = reward_file(ExternalRL(trainer="verl", model="m", domains=("math",), out=Path("rl"), models=models, options={"workers": 1}))  # fmt: skip
    space: dict = {}
    exec(file, space)  # as verl loads it
    truth = json.dumps({"reference": references[0]})
    found = space["compute_score"]("evoltune/math", texts[0], truth, {"prompt": prompts[0]})
    assert found == {"score": pytest.approx(wanted[0]), "acc": 1.0, "unjudged": 0.0}
