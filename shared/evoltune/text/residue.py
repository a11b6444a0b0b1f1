"""Prompt residue: phrases of an evolving prompt that leaked into its result, plain, marked up, mangled or translated.

    is_residue("#Rewritten Prompt#: Sort a list")   is_residue("Prompt réécrit : Trier une liste")   -> True

The paper's fourth rule names "given prompt", "rewritten prompt", "#Rewritten Prompt#". Text is first undressed (escapes,
width, invisible signs, look-alikes, spaced letters), so each phrase needs to be known only once.
Invariant: words such as "prompt" or "rewrite" alone are never residue: tasks about prompts and rewriting are legitimate.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable
from difflib import SequenceMatcher
from functools import cache
from urllib.parse import unquote

LOOKALIKES = str.maketrans("аеорсухіѕјԁԛԝμαορντкмвн", "aeopcyxisjdqwuaopvtkmbh")
LEET = str.maketrans("013457@$", "oieastas")


SPACED = re.compile(r"(?<!\w)\w(?:[ .\-_]\w(?!\w)){4,}")


def undress(text: str) -> str:
    """Casefolded plain text with escapes resolved, invisible signs gone, accents stripped, Latin look-alikes mapped."""
    text = unquote(html.unescape(text)) if "%" in text or "&" in text else text
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
        text = "".join(c for c in text if c.isascii() or unicodedata.category(c) not in ("Mn", "Cf"))
        text = re.sub(r"\b\w*[A-Za-z]\w*\b", lambda m: m[0].translate(LOOKALIKES), text.casefold())
    return SPACED.sub(_joined, text.casefold())


def _joined(match: re.Match[str]) -> str:
    """ "r e w r i t t e n  p r o m p t" loses its gaps; the words inside are found without them."""
    return re.sub(r"[ .\-_]", "", match[0])


def lazily(pattern: str) -> Callable[[], re.Pattern[str]]:
    """A pattern that is compiled when first used: these two take 30 ms and most runs need neither."""
    return cache(lambda: re.compile(pattern))


WORDS = re.compile(r"[^\W_]+")
"""Markup, brackets and quotes of any kind are gaps between words."""

_MADE = "(?:re ?writ(?:t?en|ed|e|ing)|re ?wrote|re ?phrased|re ?worded|evolved|given|created|generated|modified|revised|adapted|augmented|complicated|complexified)"
PROMPT = re.compile(
    rf" (?:{_MADE} prompts?|prompts? re ?writ(?:t?en|er)|prompts? (?:re ?writer|creator|evolver)|(?:rewritten|given|created|evolved)prompt) "
)

TRANSLATED = lazily(
    "|".join(
        (
            r"prompts? (?:re ?ecrite?|reformulee?|donnee?|modifiee?|cree)", r"(?:invite|consigne|instruction) (?:re ?ecrite|reformulee|donnee)",
            r"(?:prompt|indicacion|instruccion|mensaje) (?:reescrit[oa]|dad[oa]|reformulad[oa]|cread[oa]|modificad[oa])",
            r"(?:prompt|instrucao|comando|solicitacao) (?:reescrit[oa]|dad[oa]|fornecid[oa]|reformulad[oa]|criad[oa])",
            r"(?:prompt|istruzione|richiesta) (?:riscritt[oa]|dat[oa]|riformulat[oa]|creat[oa])",
            r"(?:um ?geschriebene[rs]?|uberarbeitete[rs]?|neu geschriebene[rs]?|gegebene[rs]?|umformulierte[rs]?|erstellte[rs]?) (?:prompts?|eingabeaufforderung|anweisung|aufforderung)",
            r"(?:herschreven|gegeven|aangepaste) (?:prompt|instructie|opdracht)",
            r"(?:przepisany|przeredagowany|podany|dany) (?:prompt|monit)", r"(?:przepisane|przeredagowane) polecenie",
            r"(?:omskriven|given|omskrevet) (?:prompt|uppmaning|instruktion)",
            r"(?:yeniden yaz[iı]lm[iı]s|verilen) (?:istem|komut|prompt)",
            r"prompt (?:yang )?(?:ditulis ulang|diberikan)", r"(?:loi nhac|prompt) (?:duoc )?viet lai", r"prompt da cho",
            r"prepsany prompt|prepsana vyzva|rescris prompt|prompt rescris|promptul rescris",
        )
    )
)  # fmt: skip
OTHER_SCRIPTS = lazily(
    "|".join(
        (
            r"(?:重写|改写|重寫|改寫|改编|给定|給定|新的?|创建|生成|修改|演化|进化)(?:后|後|过|好|之后)?(?:的)?\s*(?:提示词?|提示詞?|指令|题目|問題|问题|提問)\s*[#】\]:：]",
            r"(?:重写|改写|重寫|改寫|给定|給定)(?:后|後|过)?的?\s*(?:提示词?|提示詞?|指令)",
            r"(?:書き換え|書き直|リライト|与えられ)[^\s。]{0,6}(?:プロンプト|フロンフト|指示)",
            r"(?:다시\s*(?:작성|쓴)|재작성|주어진|수정)[^\s.]{0,4}\s*(?:프롬프트|지시)",
            r"(?:переписанн|переформулированн)\w*\s+(?:промпт|запрос|подсказк|инструкци)\w*|(?:измен[её]нн|данн|заданн|исходн)\w*\s+промпт\w*",
                        r"переписаний (?:запит|промпт)|переписана підказка",
            r"(?:المطالبة|المطالبه|الموجه|الطلب|التعليمات|النص)\s+(?:المعاد|المعادة|المعاده|المكتوب|المعطى|المعطاة|المعدل)",
            r"(?:पुनर्लिखित|दिया गया|दिए गए|संशोधित)\s*(?:प्रॉम्प्ट|प्रोम्प्ट|निर्देश)",
            r"(?:ξαναγραμμένη|επαναδιατυπωμένη|δεδομένη)\s+(?:προτροπή|οδηγία)", r"הפרומפט (?:המשוכתב|הנתון)",
            r"(?:พรอมต์|คําสั่ง|คำสั่ง)ที่(?:เขียนใหม่|ให้มา)",
        )
    )
)  # fmt: skip

_NEW = rf"(?:{_MADE}|new|updated|improved|enhanced|original|final|harder|evolved|complex|more complex|upgraded|mutated)"
_THING = (
    "(?:prompts?|instructions?|questions?|query|queries|tasks?|problems?|exercise|challenge|version|request)"
)
LABEL = re.compile(
    rf"^[\W_]*(?:(?:the|here is the|here s the|my) )?{_NEW}[\s_\-]{{0,3}}{_THING}[\s*_`'\"”\])>}}]*[:：#=]"  # New Question:
    rf"|[#*\[<{{(`«\"“【]\s*(?:the )?{_NEW}[\s_\-]{{0,3}}{_THING}\s*[#*\]>}})`»\"”】]"  # #New Question#
    rf"|^[\W_]*#+\s*(?:{_MADE})\s*#"  # #Given#
    rf"|<\s*/?\s*{_MADE}[\s_\-]*(?:{_THING})?\s*/?\s*>",  # <rewritten_instruction>
    re.MULTILINE,
)
MARKER = re.compile(rf"#\s*(?:the )?{_MADE}\s*#|^\W*{_MADE}\s*#?\s*:", re.MULTILINE)
PREAMBLE = re.compile(
    rf"^\W*(?:(?:sure|certainly|of course|okay|ok|absolutely|great)\b[^\n]{{0,30}}?)?\b(?:here(?: is| s|'s|’s)|below is|this is|i(?: have|'ve|’ve)? (?:rewritten|re ?wrote|evolved))\b"
    rf"[^\n.]{{0,60}}\b(?:{_MADE}|new|(?:more|slightly more) (?:complex|challenging|difficult|detailed|specific)|harder|modified|updated|improved|complex)\b[^\n.]{{0,50}}\b{_THING}\b",
)
ROLE = re.compile(
    r" (?:act as a prompt|your objective is to (?:rewrite|re write|draw inspiration|create a brand new)|(?:complicate|rewrite|re write) the (?:given|following|above) (?:prompt|instruction)"
    r"|famous ai systems|(?:chatgpt and gpt ?4)|make the (?:prompt|instruction) a bit harder|understood and responded by humans|non text parts such as) "
)


_NOUNS = """prompt prompts promptul invite consigne instruction instruccion indicacion mensaje instrucao comando solicitacao
istruzione richiesta eingabeaufforderung anweisung aufforderung instructie opdracht monit polecenie uppmaning instruktion
istem komut vyzva nhac"""
TRANSLATED_NOUNS = frozenset(_NOUNS.split())


def is_residue(text: str) -> bool:
    """Whether words of an evolving prompt stand in the text. About 0.1 ms for 1,000 ASCII characters."""
    undressed = undress(text)
    found = WORDS.findall(undressed)
    flat = f" {' '.join(found)} "
    return bool(
        ("prompt" in flat and PROMPT.search(flat))
        or ROLE.search(flat)
        or LABEL.search(undressed)
        or MARKER.search(undressed)
        or PREAMBLE.search(undressed)
        or _mangled(flat)
        or (not TRANSLATED_NOUNS.isdisjoint(found) and TRANSLATED().search(flat))
        or (not text.isascii() and OTHER_SCRIPTS().search(unicodedata.normalize("NFKC", text).casefold()))
    )


PROMPT_LETTERS = frozenset("prompt")
SUSPECT = re.compile(r" (pr\w{2,6}|r\w{11,19})(?= )")


def _mangled(flat: str) -> bool:
    """ "Rewrtten Promt", "R3written Pr0mpt", "rewrittenprompt": near "rewritten prompt" letter by letter."""
    for match in SUSPECT.finditer(flat):
        word = match[1].translate(LEET)
        if len(word) >= 12:
            if _near(word, "rewrittenprompt", 0.82):
                return True
            continue
        before = [w.translate(LEET) for w in flat[max(0, match.start() - 40) : match.start()].split()[-2:]]
        if not before or len(PROMPT_LETTERS & set(word)) < 4 or not _near(word, "prompt", 0.8):
            continue
        if before[-1] == "re" or (len(before[-1]) >= 7 and _near(before[-1], "rewritten", 0.75)):
            return True
        if _near("".join(before), "rewritten", 0.8):
            return True
    return False


def _near(word: str, known: str, ratio: float) -> bool:
    return SequenceMatcher(None, word, known).ratio() >= ratio
