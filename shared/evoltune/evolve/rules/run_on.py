"""Rules about run-ons: after the text comes another task, another turn of a chat, or a thought that never ended."""

import re
from itertools import pairwise

from evoltune.record import Task
from evoltune.text.labels import labels_in
from evoltune.text.words import SENTENCE_END, word_count

_TEMPLATE_TURN = re.compile(
    r"<[|｜][A-Za-z][A-Za-z_▁]{2,40}[|｜]>"  # ChatML, Llama 3, Phi, harmony, Command, DeepSeek: <|name|>
    r"|<(?:start|end)_of_turn>|\[\|(?:user|assistant|system|endofturn)\|\]|\[/?INST\]|<</?SYS>>"  # Gemma, EXAONE, Llama 2
    r"|^\s*#{2,4}\s*(?:instruction|response|input)\s*:"  # Alpaca
    r"|</s>\s*(?:\Z|<s>|\n+\s*(?:user|human|assistant)\b)|\A\s*(?:<bos>|<s>\s*\[)|<(?:eos|pad)>\s*\Z|<reserved_\d+>",
    re.IGNORECASE | re.MULTILINE,
)
_ABOUT_TEMPLATES = re.compile(
    r"\b(?:(?:chat|prompt) ?(?:template|format)s?|special tokens?|chatml|tokeni[sz]\w*|(?:control|stop|eos|bos) tokens?)\b",
    re.IGNORECASE,
)
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.DOTALL)
_THOUGHT = r"(?:think|thinking|thought|thoughts|reasoning|reflection|analysis|scratchpad)"
_OPEN_THOUGHT = re.compile(rf"\A\W*<{_THOUGHT}>", re.IGNORECASE)
_END_OF_THOUGHT = re.compile(rf"</{_THOUGHT}>", re.IGNORECASE)
_PAIRS = frozenset(
    {
        ("input", "output"), ("question", "answer"), ("q", "a"), ("human", "assistant"), ("user", "assistant"),
        ("instruction", "response"), ("instruction", "output"), ("task", "output"), ("output", "input"),
        ("instruction", "input"), ("question", "response"), ("task", "answer"), ("task", "solution"),
    }
)  # fmt: skip
_WANTS_LABELS = re.compile(
    r"\b(questions?|quiz|faq|interview|dialog(ue)?|conversation|chat|q&a|q/a|examples?|test cases?|inputs?|outputs?|exercises?|"
    r"flash ?cards?|role-?play|script|trivia|riddles?|survey|gespräch\w*|unterhaltung|di[aá]logos?|conversaci[oó]n|fragen?|beispiele?|preguntas?|ejemplos?|entrevista|exemples?|questionnaire)\b"
    r"|问题|问答|对话|采访|示例|例子|例题|谜语|測驗|测验|質問|問題|会話|対話|例を|クイズ|질문|문제|대화|예시|퀴즈|вопрос|диалог|разговор|беседа|пример|интервью|викторин"
    r"|سؤال|أسئلة|حوار|مثال|أمثلة|प्रश्न|सवाल|संवाद|उदाहरण",
    re.IGNORECASE,
)
MANY_RUNS = 12
_BARE_INPUT = re.compile(r"^\s*input:\s*$", re.IGNORECASE | re.MULTILINE)


def has_template_turns(parent: Task | None, child: Task, text: str) -> bool:
    """Turns of a chat template, or a model's thought, that the parent does not have."""
    if _has_turns(text):
        return not (parent and _has_turns(parent.instruction))
    if "<" not in text or not (_OPEN_THOUGHT.search(text) or _END_OF_THOUGHT.search(_CODE.sub("", text))):
        return False
    return not (parent and ("think>" in parent.instruction or _END_OF_THOUGHT.search(parent.instruction)))


def runs_on(parent: Task | None, child: Task, text: str) -> bool:
    """Goes on with another task: template turns, Input/Output pairs, the instruction once more; or a thought without end."""
    asked = child.instruction
    if _has_turns_of_its_own(text, asked) or (_OPEN_THOUGHT.search(text) and not _END_OF_THOUGHT.search(text)):
        return True
    return _opens_another_task(text, asked) or _restates(asked, text)


def _has_turns_of_its_own(text: str, asked: str) -> bool:
    """Template turns, of which the instruction neither has one nor asks for an explanation."""
    if not _has_turns(text) or _has_turns(asked):
        return False
    return not (_ABOUT_TEMPLATES.search(asked) and not _has_turns(_CODE.sub("", text)))


def _has_turns(text: str) -> bool:
    """Whether a marker of a chat template is in it. Each holds one of three characters: looking for them first is ten times
    cheaper than trying every marker at every place."""
    return ("<" in text or "[" in text or "#" in text) and bool(_TEMPLATE_TURN.search(text))


def _opens_another_task(text: str, asked: str) -> bool:
    found, known = list(labels_in(text)), {name for name, _ in labels_in(asked)}
    labels = [name for name, _ in found]
    new = [label for label in labels if label not in known or labels.count(label) > 2]
    pairs = [pair for pair in pairwise(new) if pair in _PAIRS]
    if not pairs:
        return False
    # A program is often followed by runs of it, with their input and output.
    shows_runs = "```" in text[: found[0][1].start()] and {*pairs} <= {("input", "output"), ("output", "input")}
    if shows_runs and len(pairs) < MANY_RUNS:
        return False
    return len(pairs) >= 3 or bool(_BARE_INPUT.search(text)) or not _WANTS_LABELS.search(asked)


def _restates(asked: str, text: str) -> bool:
    """The first sentence of the instruction occurs twice in the answer, or later in an answer that is much longer."""
    whole = " ".join(asked.split())
    first = SENTENCE_END.split(whole, maxsplit=1)[0].strip()
    if word_count(first) < 6:
        first = whole
    if word_count(first) < 6:
        return False
    body, first = " ".join(text.split()).casefold(), first.casefold()
    return body.count(first) >= 2 or (body.find(first) > 0 and len(body) > 4 * len(first) + 200)
