"""Residue of an evolving prompt: found in every disguise, and never in tasks about prompts and rewriting."""

import pytest

from evoltune.text.residue import is_residue

LEAKS = [
    "#Rewritten Prompt#: Sort the list of towns by size.", "#Rewritten Prompt#\nSort the list.", "# Rewritten Prompt #: Sort it.",
    "##Rewritten Prompt##: Sort it.", "#rewritten prompt#: sort it", "#REWRITTEN PROMPT#: SORT IT", "Rewritten Prompt: Sort it.",
    "rewritten prompt - sort it", "**Rewritten Prompt:** Sort it.", "*Rewritten Prompt*: Sort it.", "__Rewritten Prompt__ Sort it.",
    "`Rewritten Prompt`: Sort it.", "[Rewritten Prompt]: Sort it.", "(Rewritten Prompt) Sort it.", "{Rewritten Prompt} Sort it.",
    "<Rewritten Prompt>Sort it.</Rewritten Prompt>", "<rewritten_prompt>Sort it.</rewritten_prompt>", '"Rewritten Prompt": "Sort it."',
    "“Rewritten Prompt”: Sort it.", "«Rewritten Prompt»: Sort it.", "Sort it, as the rewritten prompt says.", "Sort the given prompt by words.",
    "#Given Prompt#: Sort it.", "The Given Prompt: Sort it.", "#The Given Prompt#:\nSort it.", "#Created Prompt#: Sort it.",
    "Created Prompt: Sort it.", "#New Prompt#: Sort it.", "New Prompt: Sort it.", "#Rewritten#: Sort it.", "#Given#: Sort it.",
    "Rewritten Instruction: Sort it.", "#Rewritten Question#: Why is it sorted?", "New Question: Why is it sorted?",
    "Evolved Instruction: Sort it.", "Modified Prompt: Sort it.", "#Evolved Prompt#: Sort it.", "RewrittenPrompt: Sort it.",
    "rewritten_prompt = Sort it.", "rewritten-prompt: Sort it.", "Re-written Prompt: Sort it.", "Re written prompt: Sort it.",
    "Rewriten Prompt: Sort it.", "Rewritten Promt: Sort it.", "Rewrited Prompt: Sort it.", "Rewrtten Prompt: Sort it.",
    "Rewirtten Prompt: Sort it.", "R3written Pr0mpt: Sort it.", "R e w r i t t e n  P r o m p t: Sort it.", "Rewritten\nPrompt: Sort it.",
    "Ｒｅｗｒｉｔｔｅｎ Ｐｒｏｍｐｔ: Sort it.", "Rew\u200britten Pro\u200bmpt: Sort it.", "Rеwrittеn Рrоmрt: Sort it.", "Réwritten Prömpt: Sort it.",
    "&#35;Rewritten Prompt&#35;: Sort it.", "%23Rewritten%20Prompt%23: Sort it.", "Prompt réécrit : Trier la liste.",
    "#Prompt Réécrit# Trier la liste.", "Prompt reescrito: Ordena la lista.", "Instrucción reescrita: Ordena la lista.",
    "Prompt reescrito: Ordene a lista.", "Umgeschriebener Prompt: Sortiere die Liste.", "Überarbeitete Eingabeaufforderung: Sortiere.",
    "Prompt riscritto: Ordina la lista.", "Herschreven prompt: Sorteer de lijst.", "Przepisany prompt: Posortuj.",
    "Yeniden yazılmış istem: Listeyi sırala.", "Omskriven prompt: Sortera listan.", "Переписанный промпт: Отсортируй список.",
    "Переписанный запрос: Отсортируй список.", "重写后的提示：对列表排序。", "改写后的提示词: 对列表排序。", "#改写的指令#：排序", "書き換えられたプロンプト：並べ替え。",
    "다시 작성된 프롬프트: 정렬하세요.", "المطالبة المعاد كتابتها: رتب القائمة.", "पुनर्लिखित प्रॉम्प्ट: सूची क्रमबद्ध करें।",
    "Here is the rewritten prompt: Sort it.", "Sure! Here is a more complex version of the prompt: Sort it.",
    "Here's a rewritten version of the instruction: Sort it.", "I have rewritten the prompt as follows: sort it",
    "You should complicate the given prompt: Sort it.", "I want you to act as a Prompt Rewriter. Sort it.",
    "Your objective is to rewrite a given prompt: Sort it.", "Prompt Creator: Sort it.",
    "Sort it by size.\n\n(I’ve added a second key so that it is harder than the original task.)",
    "Sort it by size.\n*Changes made: this version introduces a tie, which raises the difficulty.*",
]  # fmt: skip


@pytest.mark.parametrize("leak", LEAKS)
def test_residue_of_the_evolving_prompt_is_found_in_every_disguise(leak):
    assert is_residue(leak)


@pytest.mark.parametrize(
    "text",
    [
        "Rewrite the following sentence in plain English: the cat sat on the mat.",
        "Write a prompt for an image model that shows a red barn.",
        "Explain what prompt injection is and how a chat bot can be protected.",
        "Given an array of numbers, return the largest one.",
        "Describe a prompt response of a fire crew in a large town.",
        "Write a Python function that rewrites a given string in reverse.",
        "You are given a task queue; write a scheduler for the given tasks.",
        "Create a new question for a history quiz about the Romans.",
        "What are the original problem and the final version of Fermat's theorem?",
        "Write a shell script that shows a prompt and reads a line.",
        "Improve the following paragraph, then explain each change.",
        "Solve for x: 2x + 3 = 7, and show every step.",
        "Why does my query fail?\nI have added a third table to it, and now it returns no rows.",
        "I have added a third table to my query, and now the original task is harder: how do I list each pair once?",
    ],
)
def test_tasks_about_prompts_and_rewriting_are_left_alone(text):
    assert not is_residue(text)
