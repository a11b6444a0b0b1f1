"""Words of other languages that change what a number says, in English: denials, bounds, signs, fractions and scales.

    in_english("mindestens 12")  ->  "at least 12";   in_english("12万")  ->  "12 \\\\times 10^{4} "

Only these words are replaced, where they stand; the rest of the text stays. What the English words mean is decided elsewhere,
once for all languages.
"""

import re

# English = Spanish; German; French; Italian; Portuguese; Dutch, Polish; Russian; Hindi, Arabic. `/` parts the phrases.
_ALPHABETIC = """
is not = no está/no es/imposible que sea/no son/no vale/no puede ser/no sería; nicht gleich/kann nicht; ce n'est pas/n'est pas/ne sont pas/n'est jamais/ne vaut pas/ne peut pas être;
 non è/non sono/non vale/non può essere/non e'; não é/nao é/nao e/não são/não pode ser/não está/nao está/não esta; to nie; не равно/не равен/не равна/не равняется/не может быть/это не; नहीं है; وليس/ليس/ليست
not = nunca; nicht/niemals/kein/keine/keinen/keineswegs; jamais/pas/non; mai; não/nao; niet/geen; nie; не/нет/никогда; नहीं; لا يساوي
at least = al menos/por lo menos/como mínimo/como minimo/no menos de; mindestens/wenigstens/zumindest/nicht weniger als; au moins/au minimum/pas moins de; almeno/come minimo/non meno di;
 pelo menos/no mínimo/ao menos/não menos de/não menos que; minstens/ten minste/co najmniej; не менее/не меньше/по крайней мере/как минимум/минимум; कम से कम; على الأقل
at most = como máximo/como maximo/como mucho/a lo sumo/a lo más/no más de/no mas de/hasta; höchstens/hoechstens/maximal/nicht mehr als/bis zu; au plus/tout au plus/au maximum/pas plus de/jusqu'à;
 al massimo/al più/non più di/fino a; no máximo/quando muito/não mais de/não mais que/até; hoogstens/ten hoogste/maximaal/co najwyżej; не более/не больше/самое большее/как максимум/до; अधिक से अधिक; على الأكثر
more than = más de/mas de/más que/mayor que/mayor a/mayores que/superior a; mehr als/größer als/groesser als/über; plus de/plus que/plus grand que/supérieur à/supérieure à; più di/maggiore di/superiore a;
 mais de/mais que/mais do que/maior que/maior do que; meer dan/groter dan/więcej niż; больше чем/больше/более/свыше; से अधिक; أكثر من
less than = menos de/menos que/menor que/menor a/menores que/inferior a; weniger als/kleiner als/unter; moins de/moins que/plus petit que/inférieur à/inférieure à; meno di/minore di/inferiore a;
 menos do que/menor do que; minder dan/kleiner dan/mniej niż; меньше чем/меньше/менее; से कम; أقل من
almost = casi; fast/beinahe; presque; quasi; quase; bijna/prawie; почти
minus = menos; ; moins; meno; ; ; минус; ; ناقص/سالب
negative = negativo; negativ/negatives; négatif; ; ; ; отрицательное; ऋणात्मक
half of = la mitad de/mitad de; die hälfte von/hälfte von/die hälfte der; la moitié de/moitié de; la metà di/metà di; a metade de/metade de; de helft van/połowa z; половина от/половина
twice = el doble de/doble de; das doppelte von/doppelte von; le double de/double de; il doppio di/doppio di; o dobro de/dobro de; tweemaal; удвоенное
or more = o más/o mas/o superior/en adelante; oder mehr/oder größer/und mehr; ou plus/ou davantage; o più; ou mais; of meer/lub więcej; или больше/или более; या अधिक; أو أكثر
or less = o menos; oder weniger/oder kleiner; ou moins; o meno; ou menos; of minder/lub mniej; или меньше/или менее; या कम; أو أقل
thousand = mil; tausend; ; mila/mille; ; duizend/tysięcy/tysiące; тысяч/тысяча/тысячи/тыс; हज़ार/हजार; ألف
million = millones/millón; millionen; ; milioni/milione; milhões/milhão/milhoes; miljoen/milionów/miliony; миллионов/миллиона/миллион/млн; ; مليون
billion = mil millones; milliarden/milliarde; milliards/milliard; miliardi/miliardo; bilhões/bilhão; miljard/miliardów; миллиардов/миллиарда/миллиард/млрд; ; مليار
trillion = billones; billionen; ; ; trilhões/trilhão; biljoen; триллионов/триллиона/триллион
wrong = incorrecto/incorrecta/falso/falsa/erróneo/errónea/equivocado/imposible; falsch/unrichtig/inkorrekt/unmöglich; faux/fausse/incorrecte/erroné; sbagliato/sbagliata/errato/errata/scorretto/impossibile;
 errado/errada/incorreto/incorreta/impossível; fout/onjuist/błędne; неверный/неправильный/невозможно/неверна; गलत; خطأ/خاطئ
is wrong = es un error; ist ein fehler/stimmt nicht/kann nicht stimmen/passt nicht; est une erreur; è un errore; é um erro; ; это ошибка/неверно/неправильно/ошибочно
percent = por ciento; prozent; pour cent; per cento; por cento; procent; процентов/процента/процент
squared = al cuadrado; zum quadrat; au carré; al quadrato; ao quadrado; в квадрате
square of = el cuadrado de/cuadrado de; das quadrat von; le carré de/carré de; il quadrato di; o quadrado de
square root of = la raíz cuadrada de/raíz cuadrada de/la raíz de; die wurzel aus/wurzel aus/quadratwurzel von; la racine carrée de/racine carrée de; la radice quadrata di/radice quadrata di; a raiz quadrada de/raiz quadrada de; корень из
there are = ; ; il y a; ; há
is = es/está/sea/sean; ist/sind/sei; est/c'est/soit; è; é; jest; это
the answer = la respuesta/la solución/la correcta; die antwort/die lösung/das ergebnis/die richtige antwort; la réponse/la solution/la bonne réponse; la risposta/la soluzione; a resposta/a solução; het antwoord/odpowiedź; ответ/решение; उत्तर; الجواب/الإجابة
correct = correcto/correcta; richtig/korrekt; juste/correcte; corretto/corretta/giusto; correto/correta; juist/poprawne; верно/правильно/верный ответ/правильный ответ; सही; صحيح
or = sino que/o; oder; ou; oppure; ou; lub; или
that = que; dass; que; che; que; dat; что
otherwise = si no/de lo contrario/en caso contrario/en otro caso; sonst/andernfalls/ansonsten; sinon/autrement/dans le cas contraire; altrimenti/in caso contrario;
 caso contrário/senão/do contrário; anders/w przeciwnym razie; иначе/в противном случае; अन्यथा; وإلا
if = si; wenn/falls; lorsque; ; ; als/jeśli; если; यदि/अगर; إذا
even = ; ; pair; pari; ; ; чётное/четное/чётно/четно/чётном
odd = impar; ungerade; impair; dispari; ímpar; oneven; нечётное/нечетное/нечётно/нечетно
perhaps = quizás/quizá/quizas/tal vez/a lo mejor/posiblemente; vielleicht/möglicherweise/eventuell; peut-être/peut être/possiblement; forse/magari; talvez/possivelmente; misschien/wellicht/być może; возможно/может быть; शायद; ربما
might be = podría ser/puede que sea/podrían ser; könnte/könnten; pourrait être/serait peut-être; potrebbe essere; poderia ser/pode ser; zou kunnen zijn; мог бы быть/могло бы быть
another = otra/otro; eine andere/ein anderer/eine weitere; une autre/un autre; un'altra/un altro; outra/outro; een andere; другой/другое/другая
also = también/además; auch/ebenfalls; aussi/également; anche; também; ook; также/тоже
we want = se pide/se pedía/se busca; gesucht ist/gesucht war/gesucht wird/gefragt ist/gefragt war; on cherche/on cherchait/on demande/on demandait; si chiede/si cercava; pede-se/queremos; gevraagd is; требуется/спрашивается
which = lo cual; ; ce qui; il che; o que
unfortunately = desgraciadamente/lamentablemente; leider; malheureusement; purtroppo; infelizmente
an answer = una solución; eine lösung; une solution/une réponse; una soluzione; uma solução; een oplossing
final result = resultado final; endergebnis/gesamtergebnis; résultat final; risultato finale; resultado final
answer = respuesta/solución; antwort/lösung; réponse; risposta/soluzione; resposta/solução
one might think = se podría pensar/uno podría pensar/podría pensarse/podría parecer; man könnte denken, es sei/man könnte denken, dass es/man könnte meinen, es sei/man könnte denken/man könnte meinen/man könnte glauben; on pourrait croire/on pourrait penser;
 si potrebbe pensare/si potrebbe credere; poderia-se pensar/pode-se pensar; ; можно подумать/можно было бы подумать
too large = demasiado grande/demasiado pequeño/demasiado alto; zu groß/zu klein/zu hoch/zu niedrig; trop grand/trop petit/trop élevé; troppo grande/troppo piccolo; grande demais/pequeno demais;
 te groot/te klein; слишком велико/слишком мало/слишком большое
intermediate result = resultado intermedio/paso intermedio; zwischenergebnis/zwischenschritt; résultat intermédiaire; risultato intermedio; resultado intermediário/resultado intermédio; tussenresultaat; промежуточный результат
only half = solo la mitad/sólo la mitad; nur die hälfte/erst die hälfte; seulement la moitié; solo la metà; apenas metade; ; только половина
, that is, = es decir/o sea/esto es; das heißt/d.h./sprich; c'est-à-dire/autrement dit; cioè/ossia/vale a dire; ou seja/isto é; dat wil zeggen/czyli; то есть/т.е.
actually = en realidad/mejor dicho/más bien; eigentlich/genauer gesagt/vielmehr; en fait/en réalité/plutôt; in realtà/anzi; na verdade/aliás; eigenlijk; на самом деле/точнее
or = ; bzw; ou bien
so = así que/por lo tanto/por tanto/entonces/en consecuencia/de modo que; daher/somit/deshalb/folglich/demnach/damit; donc/ainsi/par conséquent/soit au total; quindi/dunque/perciò/pertanto; portanto/logo/então/assim;
 dus/więc/zatem; значит/следовательно/поэтому/таким образом; इसलिए; إذن
consequently = ; also
in total = ; insgesamt; au total/en tout; in totale; no total/ao todo; in totaal/łącznie; всего/итого
wait = espera/un momento; moment/warte/halt/stopp; attends/attendez/attention; aspetta/un attimo; espere/espera aí; wacht/czekaj; стоп/подождите; रुको
I made an error = me equivoqué/me he equivocado/cometí un error; habe ich mich verrechnet/ich habe mich verrechnet/hab mich verrechnet/ich habe einen fehler gemacht; je me suis trompé/je me suis trompée/j'ai fait une erreur;
 mi sono sbagliato/ho sbagliato; eu errei/cometi um erro; ik heb me vergist/pomyliłem się; я ошибся/я ошиблась
instead of = en lugar de/en vez de; statt/anstatt/anstelle von; au lieu de; invece di; em vez de; in plaats van/zamiast; вместо
check = comprobación/comprobando/verificación/verificando; probe/überprüfung/kontrolle; vérification/vérifions; verifica; verificação/verificando; controle/sprawdzenie; проверка/проверим
but not satisfy = no cumple/no satisface/no verifica; erfüllt nicht/erfüllen nicht; ne vérifie pas/ne satisfait pas/ne convient pas; non soddisfa; não satisfaz; voldoet niet/nie spełnia; не удовлетворяет/не подходит
must still multiply = todavía hay que/falta multiplicar/falta sumar; muss noch/müssen noch/muss man noch/müssen wir noch; il faut encore/il reste à/on doit encore; bisogna ancora; ainda falta/ainda é preciso
should be = debería ser/debe ser/tiene que ser; sollte/müsste/muss; devrait être/doit être; dovrebbe essere/deve essere; deveria ser/deve ser; moet zijn/powinno być; должно быть
out of = de cada; ; sur; su; em cada; ; из
and = y/e; und; et; e; e; en
but = pero/sino; sondern/aber/jedoch; mais; ma; mas/e sim; maar; а/но
"""
# The words of scripts without spaces; `+` before a phrase: only behind a number.
_UNSPACED = """
is not = 不是/并不是/并非/不为/不等于/不可能是/不会是/不應是/不该是/绝不是
altogether = 一共有?/总共有?/總共有?/合計で?/全部で/总计/모두
if = 当(?=[\\s$]*[A-Za-z\\\\])/若(?=[\\s$]*[A-Za-z\\\\])
is even = 为偶数/是偶数/为奇数/是奇数/が偶数/が奇数
, wrong. = ，不对/，错了/。不对/。错了
is too large. = +太大/+太小/+は大きすぎ/+は小さすぎ
otherwise = 否则/否則/不然/それ以外/そうでなければ/そうでない場合/그렇지 않으면
or maybe = 也可能是/也可能为/也有可能是
maybe = 也许是/也许/或许是/或许/可能是/たぶん/もしかすると/もしかしたら/아마도/아마
. we want = 题目问的?是?/所求的?是?/要求的是/求めるのは
, so = ，?所以/，?因此/，?故(?=[\\s\\d$])/，?于是/よって/したがって/ゆえに/따라서/그러므로
. check = 验证/检验/检查/検算/검산
. wait, = 等等/等一下/待って/잠깐
. I made an error. = 我?算错了?/我?弄错了?/計算ミス/間違えました
, should be = ，?应该?是/，?应为/正しくは
but not satisfy. = 不符合/不满足/不成立/不合题意/満たさない
? no = +かもしれない/+かもしれません/+일지도/+일 수도
, is an intermediate result. = +只是中间结果/+是中间结果/+は途中の結果
, then subtract = +，再减去?/+，再加上?/+，再乘以?/+，再除以?
gives = +，?得到?(?=\\d)
, that is, = +，?即/+，?也就是/+，?换句话说/+，?つまり/+、つまり/+，?亦即/즉
, actually = ，准确地说是?/，确切地说是?/，更准确地说是?/，其实是?/，实际上是?/、正確には/、実は
or = 或者是/或者/或是/+或(?![许者是])/または/あるいは/もしくは/또는/혹은
is wrong = +不是答案/+不是正确/+是错误/+是错/+是不对/+是不正确/+不对/+不正确/+是不可能/+不可能/+ではない/+ではなく/+じゃなく/+ではありません/+じゃない/+でない/+は間違/+は誤り/+は不正解/+は正しくない/+は違/+가 아니/+이 아니/+은 아니/+는 아니/+가 아닙/+이 아닙/+은 틀/+는 틀/+은 오답
wrong answer = 错误答案/错误的答案/不正解
at least = 至少有/至少是/至少为/至少/不小于/不少于/不低于/少なくとも/最低でも/최소한/적어도
at most = 至多有/最多有/至多是/至多为/至多/最多是/最多为/最多(?=[\\s\\d$])/不超过/不大于/不多于/不高于/高々/最大で/多くとも/せいぜい/기껏해야
more than = 大于/超过/多于/高于/大於
less than = 小于/少于/低于/不到/不足/小於
almost = 将近/接近/几乎/ほぼ
minus = 负(?=[\\s$\\\\({]*(?:boxed)?[\\s{]*\\d)/負の?(?=[\\s$\\\\({]*(?:boxed)?[\\s{]*\\d)/マイナス/마이너스
or more = +以上/+より大きい/+より多い/+を超える/+이상/+초과
or less = +以下/+以内/+未満/+より小さい/+より少ない/+이하/+미만
plus = +多(?=\\s*\\d)
minus = +少(?=\\s*\\d)
or so = +的倍数/+の倍数/+의 배수/+の平方根/+的平方根/+分之/+左右/+上下/+ぐらい/+くらい
squared = +的平方(?!根)/+の二乗/+の2乗
halved = +的一半/+の半分/+의 절반
doubled = +的两倍/+的二倍/+の2倍/+の二倍/+의 두 배
\\times 10^{3} = +千(?![万萬米克卡瓦赫])/+천(?!만)
\\times 10^{4} = +万/+萬/+만
\\times 10^{6} = +百万/+百萬/+백만
\\times 10^{7} = +千万/+千萬/+천만
\\times 10^{8} = +亿/+億/+억
\\times 10^{12} = +兆/+万亿/+조
\\times 10^{2} = +百(?![分万萬])
"""
_BARE_NUMBER = r"(?=[\s$\\({]*(?:boxed|fbox)?[\s{]*[-\d])"
"""Short words that have other uses are read only right before a number."""
_BESIDE = {
    "pas": _BARE_NUMBER, "mai": _BARE_NUMBER, "non": _BARE_NUMBER, "über": _BARE_NUMBER, "unter": _BARE_NUMBER, "fast": _BARE_NUMBER,
    "hasta": _BARE_NUMBER, "até": _BARE_NUMBER, "до": _BARE_NUMBER, "maximal": _BARE_NUMBER, "double de": _BARE_NUMBER, "quasi": _BARE_NUMBER,
    "meno": _BARE_NUMBER, "минимум": _BARE_NUMBER, "doble de": _BARE_NUMBER, "la solution": r"(?!\s+to\b)", "juste": r"(?!\s+à)", "o": _BARE_NUMBER,
    **{word: rf"(?<=[\d}}$)] {word})(?=\s)(?!\s*-){_BARE_NUMBER}" for word in ("y", "e", "und", "et", "en")},
    **{word: rf"(?<=[\d}}$)] {word})(?=\s){_BARE_NUMBER}" for word in ("de cada", "sur", "su", "em cada", "из")},
}  # fmt: skip
_NEVER_ALONE = frozenset("consequently is correct answer if also even odd that".split()) | {"the answer"}
"""What says nothing by itself: replaced only in texts that hold another of these words too."""
_ENGLISH_TOO = frozenset("no in plus son minimum maximum double superior inferior quasi grand mas do a".split())
_MARKS = frozenset("der das ein eine sind wir er les une des nous il elle los las el una".split())
"""Words by which a text is known to be in another language."""
_WORD = re.compile(r"[^\W\d_]+")


def _phrases(table: str) -> list[tuple[str, str]]:
    """(English, phrase) pairs of a table, the longest phrases first."""
    pairs: list[tuple[str, str]] = []
    for line in table.replace("\n ", " ").strip().split("\n"):
        english, _, rest = line.partition(" = ")
        pairs += [(english, p.strip()) for p in re.split("[;/]", rest) if p.strip()]
    return sorted(pairs, key=lambda pair: -len(pair[1]))


def _telling(phrase: str) -> str:
    """The word of a phrase that English texts have least."""
    words: list[str] = _WORD.findall(phrase)
    return max(words, key=lambda word: (word not in _ENGLISH_TOO, len(word)))


_PHRASES, _SIGNS = _phrases(_ALPHABETIC), _phrases(_UNSPACED)
_ENGLISH = {phrase: english for english, phrase in _PHRASES}
TELLING_PAIRS = (" o ", "no total")
"""What stands for words that English texts have too."""
FOREIGN = (
    frozenset(map(_telling, (p for e, p in _PHRASES if e not in _NEVER_ALONE or not p.isascii()))) - {"o", "total"}
    | _MARKS
)
"""Texts without one of these words are returned at once."""


def _starting_with() -> dict[str, re.Pattern[str]]:
    """First word -> a pattern of the phrases that begin with it, the longest first."""
    phrases: dict[str, list[str]] = {}
    for _, phrase in _PHRASES:
        written = re.escape(phrase).replace("'", "['’]").replace(r"\ ", r"\s+") + _BESIDE.get(phrase, "")
        phrases.setdefault(_WORD.findall(phrase)[0], []).append(written)
    return {
        first: re.compile(rf"(?<![-'’])(?:{'|'.join(written)})(?![^\W\d_])", re.I) for first, written in phrases.items()
    }


_STARTING_WITH = _starting_with()
_SCRIPTS = re.compile(r"[⺀-鿿豈-﫿가-힣぀-ヿ]")
_VERB_PREFIXES = (" an", " ab", " um", " zu")
_GERMAN_SUBJECT = re.compile(r"\b(?:er|sie|wir|ich|insgesamt|danach|dann|damit)\s[^.!?\n]*\d[^.!?\n]*[.!]*$", re.I)
_GLUED = re.compile(r"(?<=[⺀-鿿豈-﫿가-힣぀-ヿ])(?<![第年月日時时点分])(?=\d)")
_JOINED = [
    (
        re.compile(
            (r"(?<=[\d}$)\]個个人本枚名只件元円回])\s*" if phrase.startswith("+") else "") + phrase.removeprefix("+")
        ),
        f" {english} ".replace("\\", "\\\\"),
    )
    for english, phrase in _SIGNS
]


def numbers_apart(text: str) -> str:
    """`text` with a blank before each number that a script without spaces runs into: `需要5本` as `需要 5本`."""
    return text if text.isascii() else _GLUED.sub(" ", text)


def without_verb_prefix(text: str) -> str:
    """`text` without the prefix that German puts at the end of a sentence: `nimmt sie 5 an`, which is no 5an."""
    if not text.rstrip(" .!").endswith(_VERB_PREFIXES) or _GERMAN_SUBJECT.search(text, max(0, len(text) - 200)) is None:
        return text
    return text.rstrip(" .!")[:-3] + "."


def in_english(text: str) -> str:
    """`text` with the words of other languages that change a number's meaning in English."""
    if " " not in text and text.isascii():
        return text
    if not text.isascii() and _SCRIPTS.search(text):
        for pattern, english in _JOINED:
            text = pattern.sub(english, text)
    low = text.lower()
    if FOREIGN.isdisjoint(_WORD.findall(low)) and not any(pair in low for pair in TELLING_PAIRS):
        return text
    parts, at = [], 0
    for word in _WORD.finditer(text):
        phrases = _STARTING_WITH.get(word[0].lower()) if word.start() >= at else None
        if phrases and (found := phrases.match(text, word.start())):
            parts += [text[at : word.start()], _ENGLISH[" ".join(found[0].lower().replace("’", "'").split())]]
            at = found.end()
    return "".join([*parts, text[at:]])
