"""Labels of our own prompts, and words of other evolving prompts, in what a teacher wrote."""

import pytest

from evoltune.domain import installed, load_domain
from evoltune.evolve.rules.leaks import CORE_TEMPLATES, echoes_answer_prompt, label_lines, repeats_label
from evoltune.evolve.rules.registry import rejection_reason
from evoltune.record import Task
from evoltune.text.prompts import fill_slots

PARENT = Task(instruction="A baker fills 12 trays with 24 rolls each. How many rolls are there?")
CHILD = "A baker fills 12 trays with 24 rolls each and sells 250 of them. How many rolls are left?"
OPERATORS = [
    pytest.param(name, operator, id=f"{name}-{operator.name}")
    for name in installed()
    for operator in load_domain(name).operators
]


@pytest.mark.parametrize(("name", "operator"), OPERATORS)
def test_no_label_of_a_rendered_operator_slips_through(name, operator):
    domain = load_domain(name)
    rendered = fill_slots(operator.template, instruction=PARENT.instruction, other="Sort the towns by size.")
    lines = [line for template in (operator.template, *CORE_TEMPLATES) for line in label_lines(template)]
    assert any(label in rendered for label, _ in lines)
    for label, is_next_to_slot in lines:
        for written in (
            f"{label}:",
            f"**{label}:**",
            f"#{label}#:",
            f"{label.upper()}:",
            f"[{label}]:",
            f"  {label} ：",
        ):
            assert rejection_reason(domain, PARENT, Task(instruction=f"{written}\n{CHILD}"), None), written
            assert rejection_reason(domain, PARENT, Task(instruction=f"{written} {CHILD}"), None), written
            if is_next_to_slot and " " in label:
                assert rejection_reason(domain, PARENT, Task(instruction=f"{CHILD}\n\n{written} {CHILD}"), None), (
                    written
                )


def test_labels_that_the_parent_has_and_words_of_labels_in_sentences_are_allowed():
    templates = [operator.template for operator in load_domain("math").operators]
    parent = Task(instruction="Problem:\n" + PARENT.instruction)
    assert not repeats_label(templates, parent, Task(instruction="Problem:\n" + CHILD))
    for text in (
        "This concrete problem has one answer: find it.", "Solve the easier problem first, then this one: 3 + 4.",
        "Sort the towns. Rules: no town twice.", "Plan a trip.\nTask: name three towns.",
    ):  # fmt: skip
        assert not repeats_label(templates, PARENT, Task(instruction=text))


def test_an_answer_does_not_repeat_its_prompt():
    prompt = "{instruction}\n\nWork it out step by step. Write each step as an equation on its own line."
    assert echoes_answer_prompt(prompt, PARENT, "Write each step as an equation on its own line. 12 * 24 = 288")
    assert not echoes_answer_prompt(prompt, PARENT, "12 * 24 = 288, so there are 288 rolls on the trays of the baker.")
    assert not echoes_answer_prompt("{instruction}", PARENT, PARENT.instruction + " There are 288.")


@pytest.mark.parametrize(
    "text",
    [
        "#Evolved Exercise#\nSort it.", "#Revised Puzzle#: Sort it.", "## Rewritten Task\nSort it.", "**New Question**\nSort it.",
        "[Modified Scenario]: Sort it.", "<modified_question>Sort it.</modified_question>", "Sort it.\n#Finally Rewritten Instruction#: Sort it all.",
        "Below is a more challenging version of the task:\nSort it.", "This is the revised question:\nSort it.",
        "I've rewritten your question. Sort it.", "新的任务：给城市排序。", "**改写后的问题**\n给城市排序。", "より難しい問題：並べ替えなさい。", "【修正した課題】並べ替えなさい。",
        "새로운 문제: 정렬하세요.", "[수정된 질문]\n정렬하세요.", "Neue Aufgabe: Sortiere die Liste.", "**Überarbeitete Frage:** Warum?", "Nueva pregunta: ¿Por qué?",
        "Ejercicio modificado:\nOrdena.", "Nouvelle question : Pourquoi ?", "Exercice reformulé: Triez.", "Новая задача: отсортируйте.", "Изменённый вопрос: Почему?",
        "السؤال الجديد: رتب القائمة.", "नया प्रश्न: सूची बनाइए।", "<think>\nI add a step.\n</think>\nSort it.", "Sort it by size.</think>\nSort it by age.",
    ],
)  # fmt: skip
def test_a_leaked_label_or_thought_is_dropped(text):
    assert rejection_reason(load_domain("general"), Task(instruction="Sort."), Task(instruction=text), None)


@pytest.mark.parametrize(
    "text",
    [
        "Write a form with the field \"Original Question\" and one for the reply.", "Here is a complex problem that firms meet: churn. Name three causes.",
        "Given: a triangle with sides 3, 4 and 5. Find: its area.", "Compare both drafts.\nOriginal version: I goed home.\nRevised version: I went home.",
        "Here is an improved version of my essay. Say what is still weak in it: I like cats.", "This is a new task for our team: plan a summer party with 20 guests.",
        "This is a difficult question, but try it: why is the sky blue?", "请比较原问题和新问题的难度，并说明理由。", "問題を一つ作り、解き方も示してください。",
        "Erstelle eine neue Aufgabe: Sie soll Brüche üben.", "Tell me what the final request in this log was: GET /a, GET /b.",
    ],
)  # fmt: skip
def test_words_that_people_use_are_no_leak(text):
    assert rejection_reason(load_domain("general"), Task(instruction="Sort."), Task(instruction=text), None) == ""


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("Prove it.", "Given: ABC is a right triangle.\nTo prove: a² + b² = c²."), ("Modify the code.", "Modified:\n```python\nx = 2\n```"),
        ("Rewrite this question: Who done it?", "Rewritten question: Who did it?"), ("Improve this prompt: write poem", "Here is the rewritten prompt: Write a poem of eight lines about the sea."),
        ("Make two exam questions from one.", "New question: Why do leaves fall?"), ("Write front matter.", "---\ncreated: 2024-01-05\nrevised: 2024-02-11\n---"),
        ("Rephrase the task more clearly: do the thing", "Rephrased task: Water the plants."), ("Shorten the text: It is a long, long day.", "Revised version: It is a long day."),
        ("Write a subject line.", "Subject: New request"), ("Explain the tags.", "The tag <original> holds the text as it came."),
    ],
)  # fmt: skip
def test_labels_that_the_task_is_about_are_no_leak_in_an_answer(asked, text):
    assert rejection_reason(load_domain("general"), None, Task(instruction=asked), text) == ""


@pytest.mark.parametrize(("count", "is_label"), [(1, True), (7, True), (8, True), (9, False), (12, False)])
def test_a_line_of_more_than_eight_words_is_a_sentence_and_no_label(count, is_label):
    line = " ".join(f"w{i}" for i in range(count))
    for template in (f"{line}:\n{{instruction}}", f"{line}: {{instruction}}\nMore."):
        assert [label for label, _ in label_lines(template)] == [line] * is_label


@pytest.mark.parametrize("written", ["New task\n", "**New task**\n", "new  task:", "#New task# "])
def test_a_label_of_several_words_heads_a_text_also_without_a_colon(written):
    templates = ["{instruction}\n\nNew task:\n"]
    assert repeats_label(templates, PARENT, Task(instruction=written + CHILD))
    assert not repeats_label(templates, PARENT, Task(instruction=f"A new task {CHILD}"))
    assert not repeats_label(templates, Task(instruction=written + CHILD), Task(instruction=written + "Sort it."))


@pytest.mark.parametrize(
    ("text", "leaks"),
    [
        ("New question: which of them is the cheapest?", False),
        ("Final request: put it into a table.", False),
        ("**New question:** which of them is the cheapest?", True),
        ("New question:\nWhich of them is the cheapest?", True),
        ("Rewritten question: which of them is the cheapest?", True),
    ],
)
def test_in_a_dialogue_people_announce_their_next_question_themselves(text, leaks):
    history = (("user", "Which towns lie at the river?"), ("assistant", "Ulm and Passau."))
    asked = Task(instruction=text, history=history)
    general = load_domain("general")
    assert bool(rejection_reason(general, None, asked, None)) is leaks
    assert rejection_reason(general, None, Task(instruction=text), None) == "prompt residue"
