"""Labels that open a line ("Question:", "解答：", "Lösung:") in the languages that the rules know, under one name each.

    [name for name, _ in labels_in("Input: 3 1\nAusgabe: 1 3")]    ->  ["input", "output"]
    solution_label("Add two numbers.\n\nLösung:\n2 + 3 = 5")       ->  True
    declines("CANNOT JOIN: nothing in common", "cannot join")      ->  True

Invariant: a label stands at the start of a line and ends in a colon; a word inside a sentence is none.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

NAMES = {
    "input": "inputs?|eingaben?|entradas?|entrées?|输入|輸入|入力|입력|ввод|входные данные|вход|المدخلات?|المدخل|इनपुट",
    "output": "outputs?|ausgaben?|salidas?|saídas?|sorties?|输出|輸出|出力|출력|вывод|выходные данные|выход|المخرجات?|المخرج|आउटपुट",
    "instruction": "instructions?|anweisung(?:en)?|instrucci[oó]n(?:es)?|consignes?|指令|指示|지시|инструкция|التعليمات|निर्देश",
    "question": "questions?|fragen?|preguntas?|问题|問題|提问|質問|問|问|질문|문제|вопросы?|السؤال|سؤال|प्रश्न|सवाल",
    "answer": "answers?|antwort(?:en)?|respuestas?|réponses?|答案|回答例?|答え|答|답변|정답|답|ответы?|الإجابة|الاجابة|الجواب|जवाब|उत्तर",
    "response": "responses?|model answers?",
    "solution": "solutions?|lösung(?:en)?|soluci[oó]n(?:es)?|解答例?|解法|题解|解決策|해답|풀이|해설|решени[ея]|الحل|حل|हल|समाधान",
    "human": "humans?|humano|humain|mensch|人類|人类|человек",
    "assistant": "assistants?|assistent(?:in|e)?|asistente|ассистент|助手|アシスタント|어시스턴트|المساعد|सहायक",
    "user": "users?|benutzer(?:in)?|nutzer(?:in)?|usuario|utilisateur|utente|用户|ユーザー|사용자|пользователь|المستخدم|उपयोगकर्ता",
    "student": "students?",
    "q": "q", "a": "a", "example": "examples?|beispiele?|ejemplos?|exemples?|示例|例子|예시|пример|مثال|उदाहरण",
    "task": "tasks?|aufgaben?|tareas?|tâches?|任务|タスク|課題|과제|задани[ея]|задача|المهمة|कार्य",
}  # fmt: skip
_KIND = {f"k{i}": name for i, name in enumerate(NAMES)}
_ANY_NAME = "|".join(f"(?P<{kind}>{NAMES[name]})" for kind, name in _KIND.items())
_LABEL = re.compile(rf"^[ \t#*>\[【「-]*(?:{_ANY_NAME})[ \t]*\d*[\]】」*]*[ \t]*[:：]", re.IGNORECASE | re.MULTILINE)
_SOLUTION = re.compile(
    r"^[ \t#*>\[【「_-]*(?:(?:the|my|here is the|reference|sample|model|example|correct|full|possible|proposed|expected|final|musterl?|参考|模範|标准|最终) ?)*"
    rf"(?:{NAMES['solution']}|{NAMES['answer']}|{NAMES['response']})[ \t]*[\])】」*_]*[ \t]*[:：][\s*_]*\S",
    re.IGNORECASE | re.MULTILINE,
)


def labels_in(text: str) -> Iterator[tuple[str, re.Match[str]]]:
    """The labels that open a line, in order, under their English name in the singular and without their number."""
    if ":" not in text and "：" not in text:
        return
    for match in _LABEL.finditer(text if text.isascii() else unicodedata.normalize("NFC", text)):
        yield next(_KIND[kind] for kind, value in match.groupdict().items() if value), match


@lru_cache(maxsize=256)
def solution_label(text: str) -> bool:
    """Whether a line of the text is labelled as the solution or the answer, and something follows the label."""
    return (":" in text or "：" in text) and bool(_SOLUTION.search(unicodedata.normalize("NFC", text)))


@lru_cache(maxsize=256)
def declines(text: str, phrase: str) -> bool:
    """Whether a teacher declined with the phrase that a prompt allows: in capitals at the start, alone on a line, or followed
    by its reason; not where the words go on as a sentence ("Cannot join the two tables without a key.")."""
    if phrase.split()[-1] not in text.casefold():
        return False
    in_capitals, before_reason, alone = _declining(phrase)
    return bool(in_capitals.match(text) or before_reason.match(text) or alone.search(text))


@lru_cache(maxsize=16)
def _declining(phrase: str) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    words = r"[\s_-]+".join(map(re.escape, phrase.split()))
    capitals = r"[\s_-]+".join(map(re.escape, phrase.upper().split()))
    return (
        re.compile(rf"\W*{capitals}\b"),
        re.compile(rf"\W*{words}[ *\"'”’)\]]*[.:;,(–—-]", re.IGNORECASE),
        re.compile(rf"^\W*{words}\W*$", re.IGNORECASE | re.MULTILINE),
    )
