"""The optimiser of prompts: what it restores, when it leaves prompts alone, and that a killed run pays nothing twice."""

import random
import re
from collections import Counter

import pytest
from msgspec.structs import replace
from towns import THINGS, ScriptedTeacher, recipe, towns

from evoltune.cli import main
from evoltune.domain import Operator
from evoltune.errors import TeacherError
from evoltune.evolve.optimise.candidates import SLOT, read, shown
from evoltune.evolve.optimise.loop import History, optimisable, optimise
from evoltune.evolve.optimise.stage import as_json, write_prompts
from evoltune.evolve.optimise.trial import Bench, Outcome, Trial, lift_of, worth
from evoltune.evolve.prompt_folder import with_prompts
from evoltune.recipe import Optimise, Verification
from evoltune.record import Answer, Record, Task, Verdict
from evoltune.report.optimise_page import write_history
from evoltune.rows.files import write_json
from evoltune.run.paths import HISTORY
from evoltune.run.store import Store
from evoltune.teacher.journal import Journalled
from evoltune.verification.checker import open_checker

KEEP = Verification(workers=1, keep=("pass", "unverifiable"))
GOOD = "Rewrite with one more demand:\n{instruction}"
FAULTS = {
    "Keep the text as it is.": "copy of the parent",
    "Begin with #Rewritten Prompt#.": "prompt residue",
    "Reply with a full stop.": "only stop words",
}
"""Sentences that make a prompt worse on purpose -> the reason by name that this gives."""


def fair(repairs=0.5, yields=0.8, rated=None):
    """A teacher that does what a prompt says, and an optimiser's model that knows no more than the reasons by name: it takes out the
    sentence that asks for what failed, at `repairs` of its tries, and else words the prompt otherwise."""

    def evolve(request):
        (_, prompt), rng = request.messages[-1], random.Random(f"{request.seed}{request.messages[-1][1]}")
        task = prompt.rpartition("\n")[2]
        if "Keep the text" in prompt:
            return [task]
        new = f"Explain how the {' '.join(rng.sample(THINGS, 6))} belong together, step by step."
        text = new if rng.random() < yields else ""
        return [f"#Rewritten Prompt#: {text}" if "#Rewritten" in prompt else "." if "full stop" in prompt else text]

    def improved(request):
        rng, (_, said) = random.Random(request.seed), request.messages[-1]
        old = re.search(r"<prompt>\n(.*?)\n</prompt>", said, re.S)[1]
        reasons = [reason for reason in FAULTS.values() if re.search(rf"- \d+: {reason}", said)]
        found = [s for s, reason in FAULTS.items() if s in old and reason in reasons]
        texts = []
        for i in range(request.n):
            text = (
                old.replace(rng.choice(found) + "\n", "")
                if found and rng.random() < repairs
                else f"Please ({i}). {old}"
            )
            texts.append(f"They fail because of what is asked.\n<prompt>\n{text}\n</prompt>")
        return texts

    return {
        "evolve": evolve,
        "optimise": improved,
        "equal": lambda r: ["Not equal"],
        "difficulty": rated or (lambda r: ["?"]),
    }


def prompts(*bad):
    """Operators, some of them made worse by a sentence."""
    return [Operator(name=f"o{i}", template=f"{s}\n{GOOD}" if s else GOOD) for i, s in enumerate(bad)]


@pytest.fixture(scope="module")
def checker():
    with open_checker("towns:domain", KEEP, confirm=True) as opened:
        yield opened


def optimised(folder, checker, operators, script, *, seed=0, size=200, die_after=None, **options):
    """(history, teacher) of an optimisation on so many towns."""
    domain = towns(size, operators=tuple(operators))
    rules = recipe(rounds=1, equal_check=False)
    rules = replace(rules, verify=KEEP, seed=seed)
    teacher = ScriptedTeacher(script, die_after=die_after)
    with Store.open(folder) as store:
        bench = Bench(recipe=rules, domain=domain, store=store, checker=checker, teacher=Journalled(teacher, store))
        return optimise(bench, operators, list(domain.seeds()), Optimise(**options)), teacher


def total(trials):
    return sum(trial.score for trial in trials.values())


def restored(folder, checker, size, seed=0):
    """The share of the lost yield that is restored of three planted prompts beside a good one; no other is touched."""
    history, _ = optimised(folder, checker, prompts(*FAULTS, ""), fair(), size=size, seed=seed)
    bad = ("o0", "o1", "o2")
    lost = [history.first["o3"].score - history.first[name].score for name in bad]
    gained = [history.last[name].score - history.first[name].score for name in bad]
    assert set(history.prompts) == set(bad) and all(text.strip() == GOOD for text in history.prompts.values())
    taken = [attempt for attempt in history.attempts if attempt.is_taken]
    assert all(a.result.b > a.result.a for a in taken) and len(taken) == 3 and len(history.attempts) <= 12
    return history, sum(gained) / sum(lost)


def test_planted_prompts_are_restored_a_good_one_is_left_alone_and_a_page_tells_it(tmp_path, checker):
    history, share = restored(tmp_path, checker, 60)
    assert share >= 0.8
    write_json(tmp_path / HISTORY, as_json(history))
    page = write_history(tmp_path).read_text()
    assert "<del>Begin with #Rewritten Prompt#.</del>" in page and "o3 (unchanged)" in page and ", taken" in page


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_planted_prompts_are_restored_on_two_hundred_seeds(tmp_path, checker, seed):
    history, share = restored(tmp_path, checker, 200, seed)
    print(f"{share:.0%} of the lost yield restored in {len(history.attempts)} steps")
    assert share >= 0.8


def false_steps(folder, checker, runs, size):
    """Runs in which nothing can be gained and a step was taken all the same."""
    found = 0
    for seed in range(runs):
        history, _ = optimised(folder / str(seed), checker, prompts("", ""), fair(yields=0.6), seed=seed, size=size)
        assert len(history.attempts) == 4, "each prompt is left alone after two steps"
        found += any(attempt.is_taken for attempt in history.attempts)
    return found


def test_where_nothing_is_to_be_gained_nothing_is_changed(tmp_path, checker):
    assert false_steps(tmp_path, checker, 2, 40) == 0


@pytest.mark.slow
def test_at_most_one_run_of_twenty_takes_a_false_step(tmp_path, checker):
    found = false_steps(tmp_path, checker, 20, 200)
    print(f"{found} of 20 runs took a false step")
    assert found <= 1


def test_a_stopped_optimisation_goes_on_to_the_same_end_and_pays_nothing_twice(tmp_path, checker):
    operators = prompts("Reply with a full stop.")
    whole, teacher = optimised(tmp_path / "a", checker, operators, fair(), size=60)
    with pytest.raises(TeacherError):
        optimised(tmp_path / "b", checker, operators, fair(), size=60, die_after=130)
    again, rest = optimised(tmp_path / "b", checker, operators, fair(), size=60)
    assert as_json(again) == as_json(whole) and whole.prompts
    assert 0 < len(rest.asked) < len(teacher.asked) - 120
    assert as_json(optimised(tmp_path / "b", checker, operators, {}, size=60, die_after=0)[0]) == as_json(whole)


def test_easy_children_are_worth_less_than_hard_ones(tmp_path, checker):
    """A prompt whose children are as often usable but easier is not taken."""
    script = fair(yields=1.0, rated=lambda r: ["2" if "belong together" in r.messages[-1][1] else "5"])
    history, teacher = optimised(tmp_path, checker, prompts(""), script, size=40)
    assert not history.prompts and Counter(r.purpose for r in teacher.asked)["difficulty"] > 0
    assert {round(o.score, 4) for o in history.first["o0"].outcomes.values()} == {0.0}
    assert round(history.first["o0"].lift, 4) == round(-3 / 9, 4)


def outcome(i, reason="", lift=None):
    return Outcome(seed=str(i), parent=f"Count the lamps of the long and winding street number {i} in town.", child="c", reason=reason,
                   lift=lift, score=0.0 if reason else 1.0)  # fmt: skip


def trial(*reasons, template=GOOD):
    outcomes = {str(i): outcome(i, reason) for i, reason in enumerate(reasons)}
    return Trial(operator=Operator(name="o", template=template), outcomes=outcomes, tokens=10)


def test_the_model_reads_the_prompt_and_every_reason_by_name():
    text = shown(trial("no text", "no text", "prompt residue", "", "verifier: fail"), examples=4, step=1)
    assert GOOD in text and "- 2: no text" in text and "- 1: prompt residue" in text and "- 1: usable" in text
    assert text.count("[task]") == 4 and text.count("[result] usable") == 1 and SLOT in text


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (f"Thoughts.\n<prompt>\nMake it harder: {SLOT}\n</prompt>", ""),
        (f"Make it harder: {SLOT}", "no prompt between"),
        ("<prompt>Make it harder.</prompt>", "stands in it 0 times"),
        (f"<prompt>{SLOT} {SLOT}</prompt>", "stands in it 2 times"),
        (f"<prompt>{GOOD}</prompt>", "the prompt as it was"),
        (f"<prompt>{SLOT} {'so ' * 3000}</prompt>", "longer than"),
        (f"I end with <prompt>. So:\n<prompt>\n```text\nMake it harder: {SLOT}\n```\n</prompt>", ""),
        (f"<prompt>Make it harder: {{{SLOT}}}</prompt>", "a second pair of braces"),
        (f"<prompt>{GOOD}\n\n</prompt>", "the prompt as it was"),
        (f"<prompt>Such as: count the lamps of the long and winding street. {SLOT}</prompt>", "quotes a task"),
        (f"<prompt>Make it\x1b[2J harder: {SLOT}</prompt>", "control characters"),
    ],
)
def test_only_a_prompt_that_can_be_used_is_tried(reply, problem):
    prompt, why = read(reply, trial("no text"), [outcome(7).parent])
    assert (bool(prompt), problem in why) == (not problem, True) and bool(why) == bool(problem)
    assert not prompt or prompt == f"Make it harder: {SLOT}"


def test_a_lift_is_measured_on_one_scale_or_not_at_all():
    def row(passes=None, rating=None):
        evidence = {"pass_rate": {"passes": passes, "of": 4}} if passes is not None else {}
        answer = Answer(text="a", model="m", verdict=Verdict(status="pass", evidence=evidence))
        told = {"difficulty": (str(rating),)} if rating else {}
        return Record(domain="towns", task=Task(instruction="x"), answers=(answer,), evidence=told)

    assert lift_of(row(4), row(1)) == 0.75 and lift_of(row(rating=2), row(rating=5)) == pytest.approx(1 / 3)
    assert lift_of(row(4, rating=2), row(rating=5)) == pytest.approx(1 / 3)
    assert lift_of(row(4), row(rating=5)) is None and lift_of(row(), row()) is None


def test_trivial_tasks_that_always_verify_are_worth_less_than_hard_ones_that_do_so_now_and_then():
    assert [worth(lift) for lift in (1.0, 0.2, 0.0)] == [1.0, 0.6, 0.5]
    assert worth(-0.3) == 0.0 < 0.25 * worth(0.1) and worth(-0.05) == pytest.approx(0.4)


def test_functions_fusions_and_turns_are_left_out():
    fuse = Operator(name="f", template="{instruction}{other}", kind="fuse")
    turn = Operator(name="t", template="{instruction}{answer}", kind="turn")
    function = Operator(name="r", rewrite=lambda parents, rng, context: "no")
    second = Operator(name="o0", template="Another version: {instruction}")
    assert optimisable([*prompts(""), fuse, turn, function, second]) == prompts("")


def test_the_folder_holds_what_was_tried_and_the_other_prompts_of_the_recipe(tmp_path):
    (own := tmp_path / "own").mkdir()
    texts = {
        "harder": "Make it harder: {instruction}",
        "harder@b": "# why\nHarder! {instruction}",
        "answer": "Reply: {instruction}",
    }
    for name, text in texts.items():
        (own / f"{name}.txt").write_text(text)
    old, new = (
        trial("x", template=texts["harder"]),
        trial("", template="# Role\nYou write tasks.\n# Task\n{instruction}\n"),
    )
    history = History(seeds=1, first={"harder": old}, last={"harder": new}, attempts=())
    write_prompts(tmp_path, history, recipe(prompts=str(own)))
    for _ in range(2):  # written anew where the recipe names the folder itself, too
        domain = with_prompts(recipe(prompts=str(tmp_path / "improved")), towns(1))
        assert [o.template for o in domain.operators if o.name == "harder"] == [
            new.operator.template,
            "Harder! {instruction}\n",
        ]
        assert domain.answer_prompt == "Reply: {instruction}\n"
        write_prompts(tmp_path, history, recipe(prompts=str(tmp_path / "improved")))


def test_the_command_says_what_it_would_do_and_wants_two_hundred_seeds(tmp_path, capsys):
    file, out = tmp_path / "towns.yaml", tmp_path / "run"
    file.write_text("domain: towns:domain\nverify: {workers: 1}\nevolve: {optimise: {steps: 5}}\n")
    assert main(["evolve", str(file), "--optimise", "--out", str(out), "--dry-run"]) == 0
    assert "at most 5 steps of 3 prompts on 200 seeds" in capsys.readouterr().out and not out.exists()
    assert main(["evolve", str(file), "--optimise", "--out", str(out)]) == 2
    assert "30 of 30 seeds share nothing with the suites of the recipe, 200 are asked for" in capsys.readouterr().err
