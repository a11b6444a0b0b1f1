"""The operators of the general domain, their prompts, and its elimination rules."""

from collections import Counter
from importlib.resources import files

import pytest

from evoltune.domain import load_domain
from evoltune.evolve.rules.registry import rejection_reason
from evoltune.record import Task
from evoltune_general import domain
from evoltune_general.operators import FORMS, prompt


def test_the_domain_is_found_by_its_name():
    assert load_domain("general") is domain


def test_operators_are_those_of_the_paper():
    kinds = Counter(o.kind for o in domain.operators if o.weight)  # drawn without a word in the recipe
    assert kinds == {"depth": 4 + len(FORMS), "breadth": 1, "fuse": 1}
    chances = {o.name: o.weight for o in domain.operators}
    assert [o.name for o in domain.operators if not o.weight] == ["lateral", "critical", "compositional", "follow_up"]
    assert sum(chances[f"complicate_{form}"] for form in FORMS) == pytest.approx(chances["deepen"])


def test_operator_templates_have_only_their_slots():
    for operator in domain.operators:
        assert operator.template.count("{instruction}") == 1
        assert operator.template.count("{other}") == (operator.kind == "fuse")
        assert operator.template.count("{answer}") == (operator.kind == "turn")
        assert "{form}" not in operator.template and "{example}" not in operator.template


def test_every_prompt_gives_its_reason_and_sends_only_the_rest():
    prompts = list((files("evoltune_general") / "prompts").iterdir())
    assert len(prompts) >= 5
    for path in prompts:
        reason = path.read_text(encoding="utf-8").splitlines()[0]
        assert reason.startswith("# ") and len(reason) > 40
        assert reason not in prompt(path.name.removesuffix(".txt"))


@pytest.mark.parametrize(
    ("instruction", "reason"),
    [
        ("CANNOT JOIN", "no fusion"),
        ("Cannot join.", "no fusion"),
        ("Write an ode.\nAnswer: O rose", "answers itself"),
        ("Sort the names in the following list:", "announced data are missing"),
        ("Explain what this Python program prints:\n", "announced data are missing"),
        ("Sort the names in the following list: Bo, Al", None),
        ("Please proofread the enclosed report for a reader in a hurry.", "announced data are missing"),
        ("Explain in an e-mail that the attached report is a draft.", None),
        ("Join the tables a and b with SQL and explain why you cannot join without a key.", None),
        ('Say why: "the answer is no"', None),
    ],
)
def test_rewrites_that_cannot_be_answered_are_eliminated(instruction, reason):
    found = [rule(Task(instruction="Write."), Task(instruction=instruction), None) for rule in domain.eliminators]
    assert [f for f in found if f] == ([reason] if reason else [])


def test_no_seed_is_eliminated_by_our_own_rules():
    assert not [
        s.task.name for s in domain.seeds() for rule in domain.eliminators if rule(None, s.task, s.answers[0].text)
    ]


@pytest.mark.parametrize(
    "label",
    "Answer,Model answer,答案,参考答案,解答例,정답,Lösung,Antwort,Respuesta,Réponse,Ответ,Решение,الإجابة,الحل,उत्तर".split(
        ","
    ),
)
def test_a_task_that_holds_its_answer_is_eliminated_in_every_language(label):
    task = Task(instruction=f"Name a long river in France.\n**{label}:** the Loire")
    assert rejection_reason(domain, Task(instruction="Name a river."), task, None) == "answers itself"
    assert rejection_reason(domain, task, task, None) != "answers itself"


@pytest.mark.parametrize(
    "text",
    [
        "Summarise the following press release in one sentence:", "Translate this sentence into French:", "请总结下面的文章：", "将以下句子翻译成英文：", "次の文章を要約してください：",
        "다음 글을 요약하세요:", "Fasse den folgenden Artikel zusammen:", "Traduce la siguiente frase:", "Résumez l'article suivant :", "Кратко перескажите следующий текст:",
        "لخص المقال التالي في ثلاث جمل:", "निम्नलिखित लेख का सारांश लिखिए:",
    ],
)  # fmt: skip
def test_announced_data_that_are_missing_are_noticed_in_every_language(text):
    assert rejection_reason(domain, None, Task(instruction=text), None) == "announced data are missing"
    assert rejection_reason(domain, None, Task(instruction=text + " 2024, 3, 4."), None) == ""


@pytest.mark.parametrize(
    ("text", "declined"),
    [
        ("CANNOT JOIN: they differ", True), ("CANNOT JOIN because the tasks are unrelated", True), ("Cannot join: nothing in common.", True),
        ("The tasks differ.\nCANNOT JOIN", True), ("Cannot join two tables without a key? Explain why.", False),
        ("Write a note to a friend who cannot join the trip on Sunday.", False),
    ],
)  # fmt: skip
def test_a_teacher_declines_with_or_without_a_reason(text, declined):
    assert (rejection_reason(domain, None, Task(instruction=text), None) == "no fusion") == declined
