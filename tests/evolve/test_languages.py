"""Ten languages: a row in its own language is kept, one that changes it is dropped; code, formulas and names have none."""

from itertools import permutations, product

import pytest

from evoltune.curate.dedup import find_duplicates
from evoltune.domain import load_domain
from evoltune.evolve.rules.registry import core_reasons, rejection_reason
from evoltune.recipe import Curate
from evoltune.record import Task

ASKED = {
    "en": "Explain in three sentences how a heat pump moves heat from a cold garden into a warm house.",
    "zh": "请用三句话解释热泵如何把热量从寒冷的花园搬到温暖的房子里。",
    "ja": "ヒートポンプがどのように熱を寒い庭から暖かい家に運ぶのか、三文で説明してください。",
    "ko": "열펌프가 추운 정원에서 따뜻한 집으로 열을 옮기는 방법을 세 문장으로 설명하세요.",
    "de": "Erkläre in drei Sätzen, wie eine Wärmepumpe die Wärme aus dem kalten Garten in das warme Haus bringt.",
    "es": "Explica en tres frases cómo una bomba de calor lleva el calor del jardín frío a la casa caliente.",
    "fr": "Expliquez en trois phrases comment une pompe à chaleur transporte la chaleur du jardin froid dans la maison.",
    "ru": "Объясните в трёх предложениях, как тепловой насос переносит тепло из холодного сада в тёплый дом.",
    "ar": "اشرح في ثلاث جمل كيف تنقل المضخة الحرارية الحرارة من الحديقة الباردة إلى البيت الدافئ.",
    "hi": "तीन वाक्यों में समझाइए कि हीट पंप ठंडे बगीचे से गर्म घर में गर्मी कैसे ले जाता है।",
}
ANSWERED = {
    "en": "A heat pump takes heat from the cold air outside, compresses the gas so that it gets hotter, and gives the "
    "heat to the house.",
    "zh": "热泵从室外的冷空气中吸收热量，压缩气体使它变热，然后把热量送进房子里。",
    "ja": "ヒートポンプは外の冷たい空気から熱を取り、気体を圧縮して温度を上げ、その熱を家の中に送ります。",
    "ko": "열펌프는 바깥의 찬 공기에서 열을 흡수하고 기체를 압축하여 온도를 높인 뒤 집 안으로 보냅니다.",
    "de": "Eine Wärmepumpe nimmt die Wärme aus der kalten Luft auf, verdichtet das Gas und gibt die Wärme an das Haus "
    "ab.",
    "es": "La bomba de calor toma el calor del aire frío, comprime el gas para que se caliente y lo lleva a la casa.",
    "fr": "La pompe à chaleur prend la chaleur de l'air froid, comprime le gaz et donne cette chaleur à la maison.",
    "ru": "Тепловой насос забирает тепло из холодного воздуха, сжимает газ и отдаёт тепло дому.",
    "ar": "تأخذ المضخة الحرارية الحرارة من الهواء البارد وتضغط الغاز ثم تعطي الحرارة للبيت.",
    "hi": "हीट पंप ठंडी हवा से गर्मी लेता है, गैस को दबाता है और गर्मी घर को देता है।",
}
TRANSLATE = {
    "zh": "请把下面的句子翻译成{}：",
    "ja": "次の文を{}に訳してください：",
    "ko": "다음 문장을 {}로 번역하세요: ",
    "de": "Übersetze den folgenden Satz ins {}: ",
    "es": "Traduce la siguiente frase al {}: ",
    "fr": "Traduisez la phrase suivante en {} : ",
    "ru": "Переведите следующее предложение на {}: ",
    "ar": "ترجم الجملة التالية إلى {}: ",
    "hi": "निम्नलिखित वाक्य का {} में अनुवाद कीजिए: ",
    "en": "Translate the following sentence into {}: ",
}
NAMED = {
    "zh": {"en": "英文", "fr": "法语", "ja": "日语"},
    "ja": {"en": "英語", "fr": "フランス語", "zh": "中国語"},
    "ko": {"en": "영어", "fr": "프랑스어", "zh": "중국어"},
    "de": {"en": "Englische", "fr": "Französische", "zh": "Chinesische"},
    "es": {"en": "inglés", "fr": "francés", "zh": "chino"},
    "fr": {"en": "anglais", "de": "allemand", "zh": "chinois"},
    "ru": {"en": "английский", "fr": "французский", "zh": "китайский"},
    "ar": {"en": "الإنجليزية", "fr": "الفرنسية", "zh": "الصينية"},
    "hi": {"en": "अंग्रेज़ी", "fr": "फ़्रेंच", "zh": "चीनी"},
    "en": {"de": "German", "fr": "French", "zh": "Chinese"},
}
IN_ENGLISH = {
    "zh": "用英文写一封简短的感谢信。",
    "ja": "英語で短いお礼のメールを書いてください。",
    "ko": "영어로 짧은 감사 편지를 쓰세요.",
    "de": "Schreibe einen kurzen Dankesbrief auf Englisch.",
    "es": "Escribe una carta breve de agradecimiento en inglés.",
    "fr": "Écris une courte lettre de remerciement en anglais.",
    "ru": "Напишите короткое благодарственное письмо на английском языке.",
    "ar": "اكتب رسالة شكر قصيرة باللغة الإنجليزية.",
    "hi": "अंग्रेज़ी में एक छोटा धन्यवाद पत्र लिखिए।",
}
MATHS = [
    ("小红有8本书，又买了15本，现在一共有几本？", "小红有8本书，又买了15本，送给弟弟4本，现在一共有几本？"),
    ("求函数 f(x)=x^2 在区间 [0,1] 上的积分。", "求函数 f(x)=x^2+1 在区间 [0,1] 上的积分。"),
    (
        "太郎は120円のりんごを3個買いました。代金はいくらですか。",
        "太郎は120円のりんごを3個と80円のみかんを2個買いました。代金はいくらですか。",
    ),
    ("方程式 x^2-4=0 を解け。", "方程式 x^2-4x+3=0 を解け。"),
    (
        "三角形の面積を求めよ。底辺は6cm、高さは4cmである。",
        "底辺が6cm、高さが4cmの三角形と、一辺5cmの正方形の面積の和を求めよ。",
    ),
    (
        "철수는 사과 12개 중 5개를 주었습니다. 몇 개가 남았습니까?",
        "철수는 사과 12개 중 5개를 주고 8개를 더 샀습니다. 몇 개가 남았습니까?",
    ),
    ("방정식 2x+3=7을 푸시오.", "연립방정식 2x+y=7, x-y=2를 푸시오."),
    (
        "Anna hat 12 Äpfel und gibt 5 weg. Wie viele bleiben?",
        "Anna hat 12 Äpfel, gibt 5 weg und kauft 8. Wie viele hat sie jetzt?",
    ),
    (
        "Berechne die Fläche eines Kreises mit Radius 3 cm.",
        "Berechne die Fläche eines Kreises mit Radius 3 cm und eines Quadrats mit Seite 2 cm.",
    ),
    (
        "Ana tiene doce manzanas y regala cinco. ¿Cuántas le quedan?",
        "Ana tiene doce manzanas, regala cinco y compra ocho. ¿Cuántas tiene ahora?",
    ),
    ("Calcula el área de un triángulo de base 6 y altura 4.", "Halla el perímetro de un rectángulo de lados 6 y 4."),
    (
        "Anne a douze pommes et en donne cinq. Combien lui en reste-t-il ?",
        "Anne a douze pommes, en donne cinq et en achète huit. Combien en a-t-elle ?",
    ),
    ("Résoudre l'équation x² - 4 = 0.", "Résoudre l'équation x² - 5x + 6 = 0."),
    ("Déterminez la dérivée de x^3.", "Calculez la dérivée de x^3 + 2x en 1."),
    (
        "У Ани 12 яблок, она отдала 5. Сколько осталось?",
        "У Ани 12 яблок, она отдала 5 и купила 8. Сколько у неё теперь?",
    ),
    ("Решите уравнение x^2 = 9.", "Решите уравнение x^2 - 5x + 6 = 0."),
    ("Найдите площадь круга радиуса 3.", "Найдите площадь кольца с радиусами 3 и 5."),
    ("لدى أحمد 12 تفاحة وأعطى 5. كم بقي معه؟", "لدى أحمد 12 تفاحة وأعطى 5 واشترى 8. كم تفاحة معه الآن؟"),
    ("احسب مساحة دائرة نصف قطرها 3.", "احسب مساحة مربع طول ضلعه 5."),
    ("राम के पास 12 सेब हैं और वह 5 दे देता है। कितने बचे?", "राम के पास 12 सेब हैं, वह 5 देता है और 8 खरीदता है। अब कितने सेब हैं?"),
    ("एक वृत्त की त्रिज्या 7 सेमी है। क्षेत्रफल ज्ञात कीजिए।", "एक वृत्त की त्रिज्या 14 सेमी है। परिधि ज्ञात कीजिए।"),
    ("三人で千円を分けると一人いくら？", "四人で二千円を分けると一人いくら？"),
    (
        "一个班有三十个学生，其中一半是女生，男生有多少人？",
        "一个班有四十个学生，其中一半是女生，走了三个男生，男生还有多少人？",
    ),
]
WITHOUT_LANGUAGE = [
    ("列出五种编程语言。", "1. Python\n2. Java\n3. C++\n4. Rust\n5. Go"),
    ("推荐三部美国电影。", "1. The Godfather\n2. Back to the Future\n3. The Lord of the Rings: The Return of the King"),
    ("什么是HTTP？", "HTTP（HyperText Transfer Protocol）是一种应用层协议，用于在客户端和服务器之间传输超文本。"),
    (
        "分析这句话的语法：The cat that I saw yesterday was sleeping on the mat.",
        "主语是 The cat，that I saw yesterday 是定语从句，was sleeping 是谓语，on the mat 是地点状语。",
    ),
    ("Explain the German word Schadenfreude.", "Schadenfreude means joy at the harm of another."),
    ("Give the Japanese for thank you.", "ありがとうございます、どうもありがとう、感謝いたします"),
    ("What does 人山人海 mean?", "It means a huge crowd: literally people mountain, people sea."),
    ("Write the Greek alphabet.", "α β γ δ ε ζ η θ ι κ λ μ ν ξ ο π ρ σ τ υ φ χ ψ ω"),
    ("用拼音写出“你好”。", "nǐ hǎo"),
    ("写出E=mc²的含义。", "E = mc^2"),
    ("用LaTeX写出勾股定理。", "$a^2 + b^2 = c^2$"),
    ("写一个计算平方的正则表达式。", "^\\d+$"),
    ("列出Linux中查看进程的命令。", "ps aux\ntop\nhtop\npgrep -f name"),
    (
        "写一个HTML页面。",
        "<!DOCTYPE html>\n"
        "<html>\n"
        "<head><title>My page</title></head>\n"
        "<body><h1>Hello and welcome to my page</h1><p>This is the first paragraph of the page.</p></body>\n"
        "</html>",
    ),
    (
        "写一个YAML配置。",
        "server:\n  host: localhost\n  port: 8080\nlogging:\n  level: debug\n  file: /var/log/app.log",
    ),
    ("写一个JSON例子。", '{"name": "Ann", "age": 3, "address": {"street": "High Street", "town": "York"}}'),
    (
        "写一个Dockerfile。",
        'FROM python:3.11\nWORKDIR /app\nCOPY . .\nRUN pip install -r requirements.txt\nCMD ["python", "app.py"]',
    ),
    ("CSVの例を書いてください。", "name,age,city\nAnn,3,York\nBob,4,Leeds\nCid,5,Hull"),
    (
        "英語のことわざを三つ教えてください。",
        "1. Time flies.\n2. The early bird catches the worm.\n3. A stitch in time saves nine.",
    ),
    ("シェイクスピアの有名な台詞を英語で一つ。", "To be, or not to be, that is the question."),
    ("한국어를 로마자로 쓰세요: 안녕하세요", "annyeonghaseyo"),
    ("Traduce al latín: la vida es breve", "Vita brevis est et ars longa."),
    ("Как по-английски «доброе утро»?", "Good morning! It is what people say to each other in the morning."),
    ("Wie heißt der Film im Original?", "The Good, the Bad and the Ugly"),
    ("Nenne fünf englische Wörter aus der Küche.", "the pan, the knife, the spoon, the pot, the bowl and the oven"),
    (
        "请把这段英文概括成中文：The train leaves at eight and the passengers wait on the platform.",
        "火车八点出发，乘客在站台上等候。",
    ),
    (
        "Summarize in English: 今天下午的会议改到三点，请大家提前十分钟到。",
        "The meeting was moved to three; please come ten minutes early to the room.",
    ),
    ("Responde en inglés: ¿cómo estás?", "I am fine, thank you, and how are you and your family doing?"),
    ("قل شكرا بالفرنسية.", "Merci beaucoup pour votre aide et pour le temps que vous avez pris."),
    ("स्पेनिश में अपना परिचय दीजिए।", "Me llamo Ana y soy de la ciudad de Lima, en el sur del país."),
    ("用文言文写一句话。", "山不在高，有仙则名。"),
    ("把这段繁體改成简体：學習語言很有趣，請多練習。", "学习语言很有趣，请多练习。"),
    ("求导：x^3", "3x^2"),
    ("方程式を解いてください：2x+3=7", "2x + 3 = 7\n2x = 4\nx = 2"),
    ("化学方程式を書いてください。", "2H2 + O2 -> 2H2O"),
    ("用SQL查询所有用户。", "SELECT * FROM users WHERE active = 1 ORDER BY created_at DESC LIMIT 10;"),
    ("写一段JavaScript代码打印1到10。", "for (let i = 1; i <= 10; i++) {\n  console.log(i);\n}"),
    ("Write a haiku in Japanese.", "古池や蛙飛びこむ水の音"),
    ("列出十个常见的英文名。", "James, Mary, John, Patricia, Robert, Jennifer, Michael, Linda, William, Elizabeth"),
    (
        "写一个C程序输出Hello。",
        '#include <stdio.h>\n\nint main(void) {\n    printf("Hello, world\\n");\n    return 0;\n}',
    ),
    ("写一个Rust函数。", "fn add(a: i32, b: i32) -> i32 {\n    a + b\n}"),
    ("写一个Go函数。", 'package main\n\nimport "fmt"\n\nfunc main() {\n\tfmt.Println("hello")\n}'),
    (
        "写一个bash脚本备份目录。",
        '#!/bin/bash\nset -e\nSRC="$1"\nDEST="$2"\ntar czf "$DEST/backup.tar.gz" "$SRC"\necho "backup done"',
    ),
    (
        "写一个Java类。",
        "public class Point {\n"
        "    private int x;\n"
        "    private int y;\n"
        "\n"
        "    public Point(int x, int y) {\n"
        "        this.x = x;\n"
        "        this.y = y;\n"
        "    }\n"
        "}",
    ),
    ("写一个CSS样式让文字居中。", ".box {\n  text-align: center;\n  display: flex;\n}"),
    (
        "写一个快速排序。",
        "def quicksort(items):\n"
        "    if len(items) <= 1:\n"
        "        return items\n"
        "    pivot = items[0]\n"
        "    left = [x for x in items[1:] if x < pivot]\n"
        "    right = [x for x in items[1:] if x >= pivot]\n"
        "    return quicksort(left) + [pivot] + quicksort(right)",
    ),
    (
        "写一个类表示银行账户。",
        "class Account:\n"
        '    """A bank account that holds a balance and the name of its owner."""\n'
        "\n"
        "    def __init__(self, owner, balance=0):\n"
        "        self.owner = owner\n"
        "        self.balance = balance\n"
        "\n"
        "    def deposit(self, amount):\n"
        "        # add the amount to the balance\n"
        "        self.balance += amount",
    ),
]
DRIFTED = [
    ("春の山について短い詩を書いてください。", "春天的山，绿意盎然，鸟儿在歌唱，花儿在开放，我们的心也跟着飞扬。"),
    ("写一首关于春天的诗。", "春の山に花が咲き、鳥が歌い、川が流れています。"),
    (
        "Explique la photosynthèse en deux phrases.",
        "Photosynthesis turns light into energy that the plant can use, and it gives off oxygen to the air.",
    ),
    (
        "Spiega la fotosintesi in due frasi e con un esempio.",
        "Photosynthesis is the process by which plants turn the light of the sun into energy that they can use.",
    ),
    ("광합성을 설명하세요.", "光合成は植物が光を使って養分を作る働きです。"),
    (
        "Опишите фотосинтез.",
        "Photosynthesis is the process by which plants turn the light of the sun into energy that they can use.",
    ),
    ("اشرح البناء الضوئي.", "Photosynthesis is the process by which plants turn the light of the sun into energy."),
    (
        "Explain photosynthesis to a child of ten in two sentences.",
        "光合作用是植物利用阳光制造养分的过程，同时放出氧气。",
    ),
    (
        "解释光合作用。",
        "Photosynthesis is how plants make food from light. The leaves take in the light, and the plant turns it into "
        "sugar.",
    ),
]
NEAR = [
    (
        "请写一篇关于森林火灾的报告，要求不少于八百字，并说明三个主要原因。",
        "请写一篇关于森林火灾的报告，要求不少于九百字，并说明三个主要原因。",
    ),
    (
        "解释为什么铁在海边比在山里生锈得更快，并给出两个例子。",
        "解释为什么铁在海边比在山里生锈得更快，并给出三个例子。",
    ),
    (
        "海の近くで鉄が山よりも早く錆びる理由を三つの例を挙げて小学生にも分かるように説明してください。",
        "海の近くで鉄が山よりも早く錆びる理由を二つの例を挙げて小学生にも分かるように説明してください。",
    ),
    (
        "바닷가에서 철이 산에서보다 더 빨리 녹스는 이유를 초등학생도 이해할 수 있도록 세 가지 예를 들어 자세히 설명하세요.",
        "바닷가에서 철이 산에서보다 더 빨리 녹스는 이유를 초등학생도 이해할 수 있도록 세 가지 예를 들어 자세히 설명하시오.",
    ),
    (
        "Erkläre in höchstens fünf Sätzen, warum Eisen in der Nähe des Meeres schneller rostet als in den Bergen, und "
        "nenne drei Beispiele aus dem Alltag.",
        "Erkläre in höchstens sechs Sätzen, warum Eisen in der Nähe des Meeres schneller rostet als in den Bergen, und "
        "nenne drei Beispiele aus dem Alltag.",
    ),
    (
        "Explica en cinco frases por qué el hierro se oxida más rápido cerca del mar que en la montaña y da tres ejemplos "
        "de la vida diaria.",
        "Explica en seis frases por qué el hierro se oxida más rápido cerca del mar que en la montaña y da tres ejemplos "
        "de la vida diaria.",
    ),
    (
        "Объясните в пяти предложениях, почему железо у моря ржавеет быстрее, чем в горах, и приведите три примера из "
        "повседневной жизни для младших школьников.",
        "Объясните в шести предложениях, почему железо у моря ржавеет быстрее, чем в горах, и приведите три примера из "
        "повседневной жизни для младших школьников.",
    ),
    (
        "اشرح في خمس جمل لماذا يصدأ الحديد قرب البحر أسرع مما يصدأ في الجبال واذكر ثلاثة أمثلة من الحياة اليومية للأطفال "
        "الصغار.",
        "اشرح في ست جمل لماذا يصدأ الحديد قرب البحر أسرع مما يصدأ في الجبال واذكر ثلاثة أمثلة من الحياة اليومية للأطفال "
        "الصغار.",
    ),
    (
        "पाँच वाक्यों में समझाइए कि समुद्र के पास लोहा पहाड़ों की तुलना में जल्दी जंग क्यों खाता है और रोज़मर्रा के जीवन "
        "से तीन उदाहरण दीजिए।",
        "छह वाक्यों में समझाइए कि समुद्र के पास लोहा पहाड़ों की तुलना में जल्दी जंग क्यों खाता है और रोज़मर्रा के जीवन से तीन उदाहरण दीजिए।",
    ),
    ("春の山について短い詩を書いてください", "春の山について短い詩を書いてください。"),
    ("写一首关于春天的诗", "写一首关于春天的诗！"),
    ("봄에 대한 시를 쓰세요", "봄에 대한 시를 쓰세요."),
    ("السَّلامُ عليكم: اكتب رسالة قصيرة إلى صديقك", "السلام عليكم: اكتب رسالة قصيرة إلى صديقك"),
    (
        "請寫一篇關於環境的文章，不少於五百字，並舉出三個例子。",
        "請寫一篇關於環境的文章，不少於六百字，並舉出三個例子。",
    ),
    ("เขียนเรียงความเกี่ยวกับการอนุรักษ์สิ่งแวดล้อมไม่น้อยกว่าห้าร้อยคำ", "เขียนเรียงความเกี่ยวกับการอนุรักษ์สิ่งแวดล้อมไม่น้อยกว่าหกร้อยคำ"),
]
DIFFERENT = [
    ("写一首关于雨的诗。", "写一首关于雪的诗。"),
    ("写一首关于春天的短诗。", "写一首关于冬天的短诗。"),
    ("猫", "狗"),
    ("小明有12个苹果，给了小红5个，还剩多少个？", "小明有31个苹果，给了小红17个，还剩多少个？"),
    ("法国的首都是哪里？", "德国的首都是哪里？"),
    ("日本の首都はどこですか？", "中国の首都はどこですか？"),
    ("雨について詩を書いてください。", "雪について詩を書いてください。"),
    ("비에 대한 시를 쓰세요.", "눈에 대한 시를 쓰세요."),
    ("프랑스의 수도는 어디입니까?", "독일의 수도는 어디입니까?"),
    ("Schreibe ein Gedicht über Regen.", "Schreibe ein Gedicht über Schnee."),
    ("Напиши стихотворение о дожде.", "Напиши стихотворение о снеге."),
    ("اكتب قصيدة عن المطر.", "اكتب قصيدة عن الثلج."),
    ("बारिश पर कविता लिखिए।", "बर्फ पर कविता लिखिए।"),
    (
        "太郎はりんごを12個持っていて5個あげました。何個残りますか。",
        "太郎はりんごを31個持っていて17個あげました。何個残りますか。",
    ),
    ("解释光合作用。", "解释呼吸作用。"),
    ("如何学习英语？", "如何学习日语？"),
    ("请介绍北京的历史。", "请介绍上海的历史。"),
    ("请介绍一下北京的主要旅游景点。", "请介绍一下上海的主要旅游景点。"),
    ("日本の歴史について説明してください。", "中国の歴史について説明してください。"),
    ("フランス料理の作り方を教えてください。", "イタリア料理の作り方を教えてください。"),
]


def drifts(parent, asked, answer=None):
    task = Task(instruction=parent) if parent else None
    return "language drift" in list(core_reasons(task, Task(instruction=asked), answer))


@pytest.mark.parametrize(("a", "b"), permutations(ASKED, 2))
def test_a_rewrite_in_another_language_drifts(a, b):
    assert drifts(ASKED[a], ASKED[b])


@pytest.mark.parametrize(("a", "b"), product(ASKED, repeat=2))
def test_an_answer_drifts_exactly_when_it_is_in_another_language(a, b):
    assert drifts(None, ASKED[a], ANSWERED[b]) == (a != b)


@pytest.mark.parametrize(("a", "b"), [(a, b) for a, names in NAMED.items() for b in names])
def test_a_translation_is_no_drift(a, b):
    assert not drifts(None, TRANSLATE[a].format(NAMED[a][b]) + ASKED[a], ANSWERED[b])


@pytest.mark.parametrize("asked", IN_ENGLISH.values(), ids=IN_ENGLISH)
def test_a_text_that_is_asked_for_in_english_is_no_drift(asked):
    letter = (
        "Dear Ms Hill, thank you for the lovely evening and for the book that you gave to my son. Kind regards, Tom"
    )
    assert not drifts(None, asked, letter)


@pytest.mark.parametrize(("asked", "answer"), WITHOUT_LANGUAGE)
def test_code_formulas_names_and_what_was_asked_for_have_no_language_of_their_own(asked, answer):
    assert rejection_reason(load_domain("general"), None, Task(instruction=asked), answer) == ""


@pytest.mark.parametrize(("asked", "answer"), DRIFTED)
def test_an_answer_in_another_language_drifts(asked, answer):
    assert drifts(None, asked, answer)


@pytest.mark.parametrize(("parent", "child"), MATHS)
def test_maths_questions_of_all_languages_are_kept(parent, child):
    assert rejection_reason(load_domain("math"), Task(instruction=parent), Task(instruction=child), None) == ""


@pytest.mark.parametrize("text", ASKED.values(), ids=ASKED)
def test_a_copy_is_one_in_every_language(text):
    assert "copy of the instruction" in list(core_reasons(None, Task(instruction=text), text))
    assert "copy of the parent" in list(
        core_reasons(Task(instruction=text), Task(instruction=text.rstrip(".。।") + "!"), None)
    )


@pytest.mark.parametrize("language", IN_ENGLISH)
def test_growth_is_counted_in_words_of_every_language(language):
    short, sentence = IN_ENGLISH[language], ASKED[language] + " " + ANSWERED[language]
    letters = sorted({c for c in sentence if c.isalpha()})
    long = short + "".join(f" {sentence} {letters[i % len(letters)]}{i}" for i in range(12))
    assert "over-long growth" in list(core_reasons(Task(instruction=short), Task(instruction=long), None))
    assert "over-long growth" not in list(
        core_reasons(Task(instruction=short), Task(instruction=f"{short} {sentence}"), None)
    )


@pytest.mark.parametrize(("a", "b", "near"), [*((a, b, True) for a, b in NEAR), *((a, b, False) for a, b in DIFFERENT)])
def test_near_duplicates_are_found_in_every_script(a, b, near):
    (_, _), (reason, _) = find_duplicates([a, b], Curate())
    assert bool(reason) == near
