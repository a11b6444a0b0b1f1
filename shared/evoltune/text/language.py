"""The script and the language of a text, by counting letters and function words.

    language_of("Schreibe bitte den Satz, der nicht zu den anderen passt.")  ->  "de"
    changes_language("春の山の詩を書いてください。", "请写一首关于春天的山的短诗，读者是小学生。")  ->  True

Enough to notice that a rewrite or an answer changed its language. Invariant: "" instead of a guess: code, formulas, lists of
names and short texts have no language here. Identifiers from packages guess there: on 151 pairs of English instructions and
answers py3langid and langdetect reported 24 and 10 false changes, this module none; lingua also none, but it takes 1.4 ms a
text (60 microseconds here), 5 s to load and 196 MB.
"""

import re
from collections import Counter
from functools import cache, lru_cache
from importlib.resources import files

from evoltune.text.prose import sentences_of
from evoltune.text.words import prose_words

SCRIPTS = {
    "cjk": re.compile(r"[\u3400-\u9fff\u3040-\u30ff]"),
    "hangul": re.compile(r"[\uac00-\ud7af]"),
    "cyrillic": re.compile(r"[\u0400-\u04ff]"),
    "arabic": re.compile(r"[\u0600-\u06ff]"),
    "indic": re.compile(r"[\u0900-\u0dff]"),
    "hebrew": re.compile(r"[\u0590-\u05ff]"),
    "greek": re.compile(r"[\u0370-\u03ff\u1f00-\u1fff]"),
    "thai": re.compile(r"[\u0e00-\u0e7f]"),
    "latin": re.compile(r"[A-Za-z\u00c0-\u024f]"),
}
LETTERS_PER_SIGN = {"cjk": 3, "hangul": 2}
"""Letters of an alphabet that one sign stands for; other scripts: 1."""
LANGUAGES_WRITTEN_IN = {
    "cjk": ("zh", "ja"), "hangul": ("ko",), "cyrillic": ("ru",), "arabic": ("ar",), "indic": ("hi",),
}  # fmt: skip
FUNCTION_WORDS = {
    "en": "the and of to is are that with for you this what how write your from not have which each should be into it its by on they was were can will than",
    "es": "el la los las de que y en un una por con para es del como se más sus esta cada debe su "
    "pero porque qué cómo lo al muy hay hasta desde sobre entre cuando ya ese este esto eso tiene puede",
    "fr": "le la les des et est une que pour dans qui sur avec pas vous cette votre plus ce du aux doit "
    "un à je ils elles nous ses mais ou donc sont fait sans ces leur ne au pourquoi comment vers chaque",
    "de": "der die das und ist nicht ein eine mit für auf den von zu dem des sie wie werden auch schreiben "
    "einem einer einen ich wir aber wenn warum dass oder noch nur wird kann haben sind sich als zum zur im aus nach bei um",
    "pt": "o os as de que e em um uma para com não por mais do da dos uma como seu sua deve cada",
    "it": "il lo la gli di che e un una per con non sono del della come più nel questo deve ogni",
    "nl": "de het een en van is dat niet met voor op zijn te die aan wordt deze elk moet",
}
LANGUAGES_OF: dict[str, tuple[str, ...]] = {
    word: tuple(name for name, listed in FUNCTION_WORDS.items() if word in listed.split())
    for word in " ".join(FUNCTION_WORDS.values()).split()
}
ENGLISH = frozenset(FUNCTION_WORDS["en"].split())
KANA = re.compile(r"[\u3041-\u3096\u30a1-\u30fa]")
CHINESE_SIGNS = re.compile(
    "[的了是你您她它这這那哪吗嗎呢吧把给給很还還没沒说說们們请为爲么麼怎谁誰让讓时個个对對關关于问题写寫应應该該过過进進边邊读讀书学习语词话"
    "圆园员实现发开后样种点电线组结经统总计划创业务并与从众传变动东车长门间见马]"
)
"""Function words of Chinese, and signs that only simplified Chinese has: Japanese compounds of Han have few of them."""
MANY_WORDS = 20


def changes_language(before: str, after: str) -> bool:
    """Whether the sentences of `after` are in another script or language than those of `before`, which did not ask for it.
    Code and formulas between the sentences do not count."""
    if not _differ(before, after):  # most texts end here, before anything is taken out of them
        return False
    before_prose, after_prose = sentences_of(before), sentences_of(after)
    if not _differ(before_prose, after_prose):
        return False
    return not asks_for_language(before, after_prose) and not _brings_material(before_prose, after_prose)


def _differ(before: str, after: str) -> bool:
    old, new = script_of(before), script_of(after)
    if old and new and old != new:
        return new != "latin" or bool(language_of(after)) or _has_many_words(after)
    old, new = language_of(before), language_of(after)
    if not old and new == "en":
        return _is_surely_not_english(before)
    return bool(old and new and old != new)


def _is_surely_not_english(text: str) -> bool:
    """A text too short for a language of its own, with two function words of another language and none of English."""
    found = set(prose_words(text))
    if not 5 <= len(prose_words(text)) < 8 or not found.isdisjoint(ENGLISH):
        return False
    hits = Counter(name for w in found if w in LANGUAGES_OF for name in LANGUAGES_OF[w])
    return any(count >= 2 for count in hits.values())


def _brings_material(asking: str, text: str) -> bool:
    """Whether an instruction is itself partly in the language of `text`: it comes with material in another one."""
    script, language = script_of(text), language_of(text)
    if script != script_of(asking):
        if script != "latin":
            return len(SCRIPTS[script].findall(asking)) * LETTERS_PER_SIGN.get(script, 1) >= 12
        return any(language in LANGUAGES_OF.get(word, ()) for word in prose_words(asking))
    parts = [part for part in re.split(r"[:：\n]+", asking) if part.strip()]
    edges = (
        Counter(name for w in prose_words(part) for name in LANGUAGES_OF.get(w, ())) for part in (parts[0], parts[-1])
    )
    return any(found[language] and found[language] >= max(found.values()) for found in edges)


def opens_like(before: str, after: str) -> bool:
    """Whether `after` opens in the script or language of `before` and goes on, behind a colon or a line break, with material of
    another one: a text to translate, for instance."""
    head, *rest = re.split(r"[:：\n]+", after.strip(), maxsplit=1)
    script = script_of(before)
    if not rest or not script:
        return False
    if script != "latin":
        return script_of(head) == script and language_of(head) in ("", language_of(before))
    found = Counter(name for w in prose_words(head) for name in LANGUAGES_OF.get(w, ()))
    language = language_of(before)
    known = found[language] if language else max((found[name] for name in found if name != "en"), default=0)
    return known > found["en"]


def _has_many_words(text: str) -> bool:
    """Whether a Latin text of an unknown language is more than a list of names: many words, most without a capital."""
    found = re.findall(r"[^\W\d_]{2,}", text)
    return len(found) >= MANY_WORDS and 2 * sum(word[0].islower() for word in found) > len(found)


def asks_for_language(asking: str, text: str) -> bool:
    """Whether a text asks for a translation, names the language that another is written in, or speaks of languages."""
    names = _names()
    folded = asking.casefold()
    if names["any"].search(folded):
        return True
    language, script = language_of(text), script_of(text)
    wanted = (language,) if language else LANGUAGES_WRITTEN_IN.get(script, (script,))
    if script == "latin" and not language:
        wanted = tuple(FUNCTION_WORDS)
    return any(name in names and names[name].search(folded) for name in wanted)


@cache
def _names() -> dict[str, re.Pattern[str]]:
    """Language or script -> its names. Read at first use: only a text that changed its language needs them."""
    lines = (files("evoltune.text") / "phrases" / "language_names.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split(" ", 1) for line in lines if line and not line.startswith("#"))
    return {name: re.compile(pattern, re.IGNORECASE) for name, pattern in pairs}


@lru_cache(maxsize=256)
def script_of(text: str) -> str:
    """The script of most letters; "" for a short text or one without letters. A CJK character counts as three letters."""
    if text.isascii():
        return "latin" if len(prose_words(text)) >= 4 else ""
    counts = {name: len(found.findall(text)) * LETTERS_PER_SIGN.get(name, 1) for name, found in SCRIPTS.items()}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] >= 12 and counts[best] > 0.6 * sum(counts.values()) else ""


@lru_cache(maxsize=256)
def language_of(text: str) -> str:
    """The language of a text in Latin script, by its function words, or in Han and kana, by its signs; "" when unsure (short
    text, code, formulas). Other scripts are told apart by `script_of` alone."""
    if not text.isascii() and (script := script_of(text)) != "latin":  # "": of several scripts, and of no language
        return _chinese_or_japanese(text) if script == "cjk" else ""
    found = prose_words(text)
    if len(found) < 8:
        return ""
    if len([w for w in found if w in ENGLISH]) >= 0.25 * len(found):
        return "en"
    hits = Counter(name for w in found if w in LANGUAGES_OF for name in LANGUAGES_OF[w])
    if not hits:
        return ""
    (first, most), *others = hits.most_common(2)
    second = others[0][1] if others else 0
    return first if most >= max(3, 0.12 * len(found)) and most > 1.3 * second else ""


def _chinese_or_japanese(text: str) -> str:
    """By the share of kana, and of signs that only Chinese uses often."""
    letters, kana = len(SCRIPTS["cjk"].findall(text)), len(KANA.findall(text))
    if kana >= max(3, 0.12 * letters):
        return "ja"
    return "zh" if kana <= 0.03 * letters and len(CHINESE_SIGNS.findall(text)) >= max(2, 0.08 * letters) else ""
