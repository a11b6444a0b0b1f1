"""Step scores from the checkpoint's own likelihood: what is read, how it is weighed, and the reward's laws with them."""

import json
import pickle
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evoltune.errors import DataError, RecipeError
from evoltune.rows.files import file_digest, read_json
from evoltune.train.job import Watchdog, make_job, write_job
from evoltune.train.reward.encode import UNLABELLED, Prompting, encode_solution
from evoltune.train.reward.evidence import EVIDENCE, fit, logit, result_of, write_out
from evoltune.train.reward.launch import refuse_other_method, replace_train
from evoltune.train.reward.product import ProductReward, solution_score
from evoltune.train.reward.scorer import Scorer
from evoltune.train.reward.steps import split_steps

torch = pytest.importorskip("torch")
RIGHT = ("a = 4", "b = 57", "#### 57")
LIKELIHOOD = ("reward.steps.method=likelihood",)
LOGS = st.floats(-25, 0)


def wrong(place: int, digit: str = "9") -> tuple[str, ...]:
    """RIGHT with another number at a place."""
    return (*RIGHT[:place], RIGHT[place][:-1] + digit, *RIGHT[place + 1 :])


@pytest.fixture(scope="module")
def start(tiny_base, tmp_path_factory) -> Path:
    """The tiny base, taught that a is 4 and b is 57."""
    from transformers import AutoModelForCausalLM

    from evoltune.models.load import load_tokenizer, prepare_tokenizer
    from evoltune.train.reward.model import collate

    folder = tmp_path_factory.mktemp("taught")
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny_base), load_tokenizer(str(tiny_base))
    prompting = Prompting(template="chat", tokenizer=tokenizer, stop=prepare_tokenizer(tokenizer, "chat")[0])
    rows = [[encode_solution(prompting, f"Task {i}?", RIGHT, [1.0] * 3, "\n")] for i in range(3)]
    ids = collate(rows, tokenizer.pad_token_id)["input_ids"]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    torch.manual_seed(0)
    for _ in range(50):
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> Path:
    """Solutions of 30 prompts, right and with one wrong number."""
    path, rng = tmp_path_factory.mktemp("rows") / "steps.jsonl", random.Random(0)
    found = []
    for i in range(30):
        place = i % 3
        twin = {
            "completions": wrong(place, rng.choice("01236")),
            "labels": [1.0] * place + [0.0] + [None] * (2 - place),
        }
        found += [{"prompt": f"Task {i}?", **row} for row in ({"completions": RIGHT, "labels": [1.0] * 3}, twin)]
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    return path


@pytest.fixture(scope="module")
def job_in(reward_recipe, start, rows, tiny_base):
    def of(out: Path, *more: str):
        recipe = reward_recipe(*LIKELIHOOD, *more)
        chosen = replace_train(recipe, recipe.reward.steps, None)
        return make_job(chosen, str(rows), str(tiny_base), out, None, kind="steps", start=str(start))

    return of


def fitted(job, watchdog: Watchdog | None = None) -> Path:
    """Does the job in this process."""
    from evoltune.train.reward.likelihood_trainer import run

    job.folder.mkdir(parents=True, exist_ok=True)
    run(job, watchdog or Watchdog(job))
    return job.folder


@pytest.fixture(scope="module")
def likelihood_model(job_in, tmp_path_factory) -> Path:
    return fitted(job_in(tmp_path_factory.mktemp("likelihood") / "model"))


@pytest.mark.parametrize(
    ("step", "result"),
    [
        ("48 - 8 = 40", "40"), ("x = 3 * 4 = 12 pens", "12"), ("She pays $12.50", "12.50"), ("8 * 6 = <<8*6=48>>48", "48"),
        ("#### 1,200", "1,200"), ("6 = x", "6"), ("none", ""), ("2 = 1 + 1", "1"),
    ],
)  # fmt: skip
def test_the_result_is_behind_the_last_equals_sign_or_the_last_number(step: str, result: str):
    found = result_of(step)
    assert step[found.start : found.stop] == result


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text("ab 12=+,.", min_size=1, max_size=9).map(str.strip).filter(bool), min_size=1, max_size=4))
def test_tokens_are_those_of_training_and_each_is_of_one_kind(tiny_base, prompting, steps: list[str]):
    values = [1.0] * len(steps)
    written, document = (
        write_out(prompting, "Why?", steps, values, "\n", 10_000),
        encode_solution(prompting, "Why?", steps, values, "\n"),
    )
    assert [*written.prompt, *written.ids] == document.ids[:-1] and len(written.kinds) == len(written.ids)
    assert [len(written.prompt) + end - 1 for end in written.ends] == list(document.places)
    for step, begin, end in zip(steps, (0, *written.ends[:-1]), written.ends, strict=True):
        kinds = "".join("rt."[kind] for kind in written.kinds[begin:end])[-len(step) :]  # one token for each character
        found = result_of(step)
        expected = "." * found.start + "r" * len(found) + "." * (len(step) - found.stop) if found else "t" * len(step)
        assert kinds == expected, step
    short = write_out(prompting, "Why?", steps, values, "\n", len(written.prompt) + written.ends[0])
    assert short.ends == written.ends[:1] and short.ids == written.ids[: written.ends[0]]


@pytest.fixture(scope="module")
def prompting(tiny_base) -> Prompting:
    from evoltune.models.load import load_tokenizer, prepare_tokenizer

    tokenizer = load_tokenizer(str(tiny_base))
    return Prompting(template="chat", tokenizer=tokenizer, stop=prepare_tokenizer(tokenizer, "chat")[0])


def test_log_probabilities_are_those_of_one_pass_over_the_whole_text(start, prompting):
    from transformers import AutoModelForCausalLM

    from evoltune.train.reward.likelihood import step_evidence, token_logs

    model = AutoModelForCausalLM.from_pretrained(start).eval()
    written = [write_out(prompting, "Task 3?", s, [1.0] * 3, "\n", 999) for s in (RIGHT, wrong(1), ("a = 4", "no"))]
    logs = token_logs(model, written[0].prompt, [w.ids for w in written])
    for one, row in zip(written, logs, strict=True):
        ids = torch.tensor([[*one.prompt, *one.ids]])
        whole = model(input_ids=ids).logits[0].log_softmax(-1)
        before = len(one.prompt)
        plain = [whole[before + i - 1, token].item() for i, token in enumerate(one.ids)]
        assert row == pytest.approx(plain, abs=1e-4)
    rows = step_evidence(model, written, 2)
    assert rows[0][0] == pytest.approx(rows[1][0], abs=1e-4)  # what comes later says nothing of an earlier step
    assert rows[1][1][0] < rows[0][1][0] - 2


@settings(max_examples=30)
@given(st.lists(st.tuples(LOGS, LOGS, st.sampled_from([0.0, 0.5, 1.0, UNLABELLED])), min_size=2, max_size=12))
def test_a_likelier_token_never_lowers_a_score(rows):
    solutions = [([row[:2]], [row[2]]) for row in rows]
    weights = fit(solutions)
    assert len(weights) == len(EVIDENCE) + 1 and all(weight >= 0 for weight in weights[:-1])
    evidence = rows[0][:2]
    for k in range(2):
        better = tuple(0.0 if i == k else value for i, value in enumerate(evidence))
        assert logit(better, weights) >= logit(evidence, weights)


@settings(max_examples=25)
@given(st.lists(st.tuples(LOGS, LOGS, st.sampled_from([0.0, 1.0, 0.3])), min_size=2, max_size=15))
def test_no_other_weights_nearby_explain_the_labels_better(rows):
    """The threshold moves the constant alone, so the weights are compared before it."""
    from evoltune.train.reward.evidence import RIDGE, _minimised

    values = [row[2] for row in rows]
    points = [(max(row[0], -20.0), max(row[1], -20.0), 1.0) for row in rows]
    found = _minimised(points, values)
    right, wrong_ones = max(sum(values), 1.0), max(len(values) - sum(values), 1.0)

    def loss(weights: list[float]) -> float:
        at = torch.tensor(points, dtype=torch.float64) @ torch.tensor(weights, dtype=torch.float64)
        labels = torch.tensor(values, dtype=torch.float64)
        shares = labels / right + (1 - labels) / wrong_ones
        each = torch.nn.functional.binary_cross_entropy_with_logits(at, labels, reduction="none")
        return float((shares * each).sum()) + RIDGE / 2 * sum(weight * weight for weight in weights)

    least = loss(found)
    for k in range(3):
        for change in (-0.1, 0.1):
            other = [weight + change * (i == k) for i, weight in enumerate(found)]
            assert min(other[:2]) < 0 or loss(other) >= least - 1e-3


def test_the_threshold_lies_between_what_is_right_and_what_is_wrong():
    solutions = [([(-0.1 * i, 0.0), (0.0, -0.2)], [1.0, 1.0]) for i in range(8)]
    solutions += [([(-0.1, 0.0), (-4.0 - i, 0.0)], [1.0, 0.0]) for i in range(8)]
    weights = fit(solutions)
    assert logit((-0.7, 0.0), weights) > 0 > logit((-4.0, 0.0), weights)


def test_a_model_by_likelihood_finds_wrong_numbers_and_says_how_well(likelihood_model):
    manifest = read_json(likelihood_model / "manifest.json")
    held_out = manifest["held_out"]
    assert (manifest["kind"], manifest["method"]) == ("steps", "likelihood") and manifest["data"]["kept"] < 60
    assert held_out["f1"] > 0.9 and held_out["solutions"] + manifest["data"]["kept"] == 60
    assert all(file_digest(likelihood_model / name) == value for name, value in manifest["files"].items())
    with Scorer(likelihood_model) as scorer, pickle.loads(pickle.dumps(scorer)) as again:
        prompts = ["Task 99?"] * 4
        texts = ["\n".join(s) for s in (RIGHT, wrong(0), wrong(1))] + [" "]
        right, first, second, empty = scorer.solutions(prompts, texts)
        assert min(right) > 0.5 > first[0] and right[0] > 0.5 > second[1] and empty == []
        assert second[0] == pytest.approx(right[0], abs=1e-2)
        assert again.solutions(prompts[:1], texts[1:2])[0] == pytest.approx(first, abs=1e-2)


@pytest.fixture(scope="module")
def reward(likelihood_model):
    with ProductReward("math", steps=likelihood_model, check=False, workers=1) as found:
        yield found


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(["b = 58", "so c = 3", "#### 57", "b = 57"]), st.sampled_from(["a = 9", "a = 7"]))
def test_permuting_steps_after_the_first_error_changes_nothing(reward, tail: list[str], first: str):
    texts = ["\n".join([first, *tail]), "\n".join([first, *sorted(tail)])]
    one, other = reward.solution_scores(["Task 5?"] * 2, texts)
    assert one == pytest.approx(other, abs=1e-6) and one < 0.5


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([*RIGHT, "b = 58", "#### 3"]), min_size=1, max_size=4), st.sampled_from([0.0, 0.3]))
def test_a_fail_stays_below_a_pass_and_none_stays_none(reward, steps: list[str], share: float):
    reward.fail_share = share
    texts = ["\n".join(steps), "\n".join(RIGHT)]
    answer = "57"
    found = reward([*texts, texts[1]], ["Task 5?"] * 3, reference=[answer, answer, None])
    failed, passed, unjudged = found
    is_pass = reward.verifier(texts[:1], ["Task 5?"], reference=[answer]) == [1.0]
    assert unjudged is None and 0 <= passed <= 1
    assert is_pass or failed <= passed


def test_an_interrupted_job_ends_in_the_same_scores_and_computes_nothing_twice(job_in, likelihood_model, tmp_path):
    class Interrupt(Exception):
        pass

    class Ends(Watchdog):
        def beat(self, event: str) -> None:
            if event == "prompt 7 of 30":
                raise Interrupt

    job = job_in(tmp_path / "part")
    with pytest.raises(Interrupt):
        fitted(job, Ends(job))
    assert not (job.folder / "manifest.json").exists()
    journal = job.folder / "evidence.jsonl"
    with journal.open("ab") as file:
        file.write(b'{"group": 8, "evid')  # a line cut off by kill -9
    seen: list[str] = []

    class Notes(Watchdog):
        def beat(self, event: str) -> None:
            seen.append(event)

    fitted(job, Notes(job))
    assert seen == ["model loaded", *(f"prompt {n} of 30" for n in range(8, 31))]
    for name in ("scorer.json", "model.safetensors"):
        assert (job.folder / name).read_bytes() == (likelihood_model / name).read_bytes()


@pytest.mark.slow
def test_a_job_that_was_killed_ends_in_the_same_scores(job_in, likelihood_model, tmp_path):
    job = job_in(tmp_path / "part")
    job.folder.mkdir()
    write_job(job)
    script = (
        "import os, sys; from pathlib import Path\n"
        "from evoltune.train.job import Watchdog, read_job\n"
        "from evoltune.train.reward.likelihood_trainer import run\n"
        "Watchdog.beat = lambda self, event: event == f'prompt {sys.argv[2]} of 30' and os.kill(os.getpid(), 9)\n"
        "job = read_job(Path(sys.argv[1])); run(job, Watchdog(job))\n"
    )
    for at in (2, 11, 29):
        done = subprocess.run([sys.executable, "-c", script, str(job.file), str(at)], capture_output=True, text=True)
        assert done.returncode == -9, done.stderr[-2000:]
    fitted(job)
    assert (job.folder / "scorer.json").read_bytes() == (likelihood_model / "scorer.json").read_bytes()


def test_what_it_cannot_use_is_refused(reward_recipe, job_in, likelihood_model, tmp_path):
    recipe = reward_recipe(*LIKELIHOOD, "reward.steps.train={learning_rate: 1e-5}")
    with pytest.raises(RecipeError, match="has no effect with method: likelihood"):
        replace_train(recipe, recipe.reward.steps, None)
    head = reward_recipe()
    with pytest.raises(RecipeError, match=r"method likelihood, reward.steps.method is head"):
        refuse_other_method(head.reward.steps, likelihood_model)
    several = reward_recipe(*LIKELIHOOD, "train.deepspeed=zero3", "compute.nodes=2", "compute.launcher=torchrun")
    alone = replace_train(several, several.reward.steps, None)
    assert (alone.train.deepspeed, alone.compute.nodes, alone.compute.launcher) == ("none", 1, "local")
    one_sided = tmp_path / "right.jsonl"
    one_sided.write_text(json.dumps({"prompt": "q", "completions": RIGHT, "labels": [1.0] * 3}) + "\n")
    job = job_in(tmp_path / "out", "reward.steps.validation=0")
    with pytest.raises(DataError, match="a threshold needs right and wrong steps"):
        fitted(type(job)(**{**{f: getattr(job, f) for f in job.__struct_fields__}, "rows": str(one_sided)}))


def test_the_method_and_the_held_out_share_name_the_model(job_in, reward_recipe, start, rows, tiny_base, tmp_path):
    likely, other = job_in(tmp_path), job_in(tmp_path, "reward.steps.validation=0.5")
    recipe = reward_recipe()
    head = make_job(recipe, str(rows), str(tiny_base), tmp_path, None, kind="steps", start=str(start))
    assert len({likely.fingerprint, other.fingerprint, head.fingerprint}) == 3
    assert likely.is_likelihood and not head.is_likelihood


def test_a_score_of_a_solution_is_that_of_its_first_error(likelihood_model):
    with Scorer(likelihood_model) as scorer:
        (scores,) = scorer.solutions(["Task 1?"], ["\n".join(wrong(1))])
    assert solution_score(scores) == scores[1] == min(scores[:2]) and len(scores) == len(
        split_steps("\n".join(RIGHT))[0]
    )


def test_what_no_token_speaks_of_is_a_half_and_end_marks_and_broken_characters_change_nothing(likelihood_model):
    right = "\n".join(RIGHT)
    texts = [right, f"{right}<|im_end|>\nb = 99", f"{right}\ud800", f"{right}\ufffd", "It is\nfifty seven."]
    with Scorer(likelihood_model) as scorer:
        plain, ended, broken, replaced, words = scorer.solutions(["Task 1?"] * 4 + ["Task \udfff?"], texts)
    assert ended == pytest.approx(plain, abs=1e-6) and broken == pytest.approx(replaced, abs=1e-6)
    assert words == [0.5, 0.5] and min(plain) > 0.5
