"""Elimination rules for maths, in addition to the core's: rewrites that are no problem, or that contain their solution.

Each is `(parent, child, answer) -> reason or None` and reads the instructions only.
"""

import re

from evoltune.record import Task
from evoltune.text.labels import declines, solution_label

SOLVED = re.compile(
    r"####|\\boxed|\((?:answer|solution) ?:[^()]*\d[^()]*\)|(?<=[.!?] )(?:answer|solution) ?: ?\S|^\W*the answer is\b\W*\S|^\W*(?:answer|solution)\b\W*\S",
    re.IGNORECASE | re.MULTILINE,
)
ASKS = re.compile(
    r"[?？؟]|\b(?:find|determine|calculate|compute|evaluate|solve|simplify|prove|show|express|factor|what|how|which|work out"
    r"|complete|fill|give|state|write|list|estimate|convert|round|sketch|plot|arrange|compare|check|verify|explain|rewrite|expand|"
    r"deduce|construct|decide|reduce|divide|multiply|subtract)\b"
    # Chinese, Japanese, Korean
    r"|多少|几|幾|什么|什麼|何|求|计算|計算|解方程|解不等式|证明|證明|化简|簡化|因式分解|写出|列出|问|哪|是否|吗"
    r"|いくつ|いくら|どれ|どの|求め|解け|解き|解い|示せ|示しなさい|証明|簡単にせよ|展開せよ|ですか|答え"
    r"|얼마|몇|무엇|어느|구하|계산|풀어|푸시|풀이하|증명|간단히|나타내|인가|입니까|까요|일까"
    # German, Spanish, French and their neighbours
    r"|\b(?:wie ?viele?|wieviel\w*|wie|was|welche\w*|wann|berechne\w*|bestimme\w*|löse\w*|finde\w*|ermittle\w*|vereinfache\w*|beweise\w*|zeige\w*|gib)\b"
    r"|\b(?:cu[aá]nt[oa]s?|qu[eé]|cu[aá]l\w*|c[oó]mo|calcul[aeo]\w*|hall[ae]\w*|halla|encuentr[ae]\w*|determin[ae]\w*|resuelv\w*|resolver|simplifi\w*|demuestr\w*|factori\w*)\b"
    r"|\b(?:combien|quel\w*|comment|calcule\w*|détermine\w*|trouve\w*|résou\w*|résolv\w*|démontre\w*|montre\w*|exprime\w*|quanto|quanti|quante|quantos|quantas|trova|calcola|risolvi|calcule)\b"
    # Russian, Arabic, Hindi
    r"|скольк|како|чему|найди|найти|вычисл|определи|реши|упрости|докаж|посчита|рассчита|во сколько|каков"
    r"|كم|ما هو|ما هي|ما |أوجد|اوجد|احسب|أحسب|جد |حل |أثبت|بسط|بسّط|عين|حدد|كيف"
    r"|कितन|क्या|कौन|ज्ञात|हल कर|हल की|गणना|निकाल|सिद्ध|सरल|बताइए|बताओ|बताएं",
    re.IGNORECASE,
)
QUANTITY = re.compile(
    r"\d|[$\\]|\b[a-z]\b\s*[=+*/^<>-]|[½¼¾⅓⅔√∑∫]|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty|forty|"
    r"fifty|sixty|seventy|eighty|ninety|hundred|thousand|dozen|half|twice|double|triple|third|quarter|percent)\b"
    r"|[零〇一二两兩三四五六七八九十百千万萬亿億半]|つの|倍|割|하나|둘|셋|넷|다섯|여섯|일곱|여덟|아홉|열|스물|[일이삼사오육칠팔구십백천만](?:\s?(?:개|명|원|배|살|일|시간|분|킬로|미터|마리|권))|(?:한|두|세|네)\s|절반|두 배"
    r"|\b(?:\w*(?:zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn|elf|zwölf|zwanzig|dreißig|hundert|tausend)\w*|eine?[mnrs]?|halb\w*|hälfte|doppelt\w*|dutzend|drittel|viertel|prozent)\b"
    r"|\b(?:un[oa]?|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|once|doce|quince|veinte|treinta|cuarenta|cincuenta|cien\w*|mil|docena|mitad|doble|triple|tercio|cuarto|por ciento)\b"
    r"|\b(?:deux|trois|quatre|cinq|sept|huit|neuf|dix|onze|douze|treize|quinze|seize|vingt|trente|quarante|cinquante|cents?|mille|douzaine|moitié|demi\w*|tiers|quart|pour cent)\b"
    r"|\b(?:од(?:ин|на|но)|дв[аеу]\w*|тр(?:и|ёх|ех|ое)\w*|четыр\w*|пят\w*|шест\w*|сем(?:ь|и)\w*|вос\w*|девят\w*|десят\w*|двадцат\w*|сорок|сто|сотн\w*|тысяч\w*|половин\w*|вдвое|втрое|процент\w*)\b"
    r"|واحد|اثن|ثلاث|أربع|اربع|خمس|ست[ةه]?\b|سبع|ثمان|تسع|عشر|مئة|مائة|ألف|نصف|ضعف|ثلث|ربع|بالمئة"
    r"|(?<!\w)(?:एक|दो|तीन|चार|पांच|पाँच|छह|छः|सात|आठ|नौ|दस|बीस|सौ|हज़ार|हजार|आधा|आधे|दोगुना|तिगुना|दर्जन|प्रतिशत)(?!\w)",
    re.IGNORECASE,
)


def no_fusion(parent: Task | None, child: Task, answer: str | None) -> str | None:
    """The teacher declined to join two problems, in the words that prompts/fuse.txt asks for."""
    return "no fusion" if declines(child.instruction, "cannot join") else None


def comes_solved(parent: Task | None, child: Task, answer: str | None) -> str | None:
    """The rewrite contains its solution, so the model would learn to copy it."""
    if parent is not None and _is_solved(parent.instruction):
        return None
    return "comes solved" if _is_solved(child.instruction) else None


def _is_solved(text: str) -> bool:
    return bool(SOLVED.search(text)) or solution_label(text)


def asks_nothing(parent: Task | None, child: Task, answer: str | None) -> str | None:
    """A statement or a remark about the rewriting, not a problem."""
    return None if ASKS.search(child.instruction) else "asks nothing"


def no_quantity(parent: Task | None, child: Task, answer: str | None) -> str | None:
    """Nothing to compute with: neither a number nor a formula."""
    return None if QUANTITY.search(child.instruction) else "no quantity"


ELIMINATORS = (no_fusion, comes_solved, asks_nothing, no_quantity)
