"""Apologies, refusals and questions back in nine languages; and the same words where they are the answer itself."""

import pytest

from evoltune.evolve.rules.registry import core_reasons
from evoltune.record import Task

DROPPED = [
    ("Explain how locks work.", t)
    for t in [
        "I can’t assist with that request.",
        "I'm afraid I can't help with that.",
        "I am sorry, but I cannot fulfil this request.",
        "Unfortunately, I am unable to provide that information.",
        "I must respectfully decline to write this.",
        "I won't be able to help you with that.",
        "My apologies, but this is something I cannot do.",
        "As a large language model, I cannot browse the web.",
        "As an AI assistant created by Acme, I don't have access to real-time data.",
        "I'm just an AI and can't have opinions.",
        "I’m sorry, I can’t do that.",
        "I do not feel comfortable writing this.",
        "I'm not able to create content of this kind.",
        "Sorry, but I can't answer that question.",
        "I'm Claude, an assistant made by Anthropic, so I don't open doors.",
        "I am Qwen, created by Alibaba Cloud. I can't look at locks.",
        "As ChatGPT, I do not have locks.",
        "Being an AI, I have no keys.",
        "I do not own doors, being an AI.",
        "I appreciate the question, but I'm an AI and don't use locks.",
        "Thank you for asking! As an AI, I don't have a favourite.",
        "I must clarify that I'm an AI language model and cannot see locks.",
        "I don't actually have the ability to open pages.",
        "I don't have any personal experience with locks.",
        "My knowledge only goes up to 2021, so I do not know such locks.",
        "As of my last update in 2023, I have no figures on that.",
        "No question was provided.",
        "You haven't provided a question.",
        "It looks like you forgot to include the list.",
        "The question is missing.",
        "The prompt seems to be incomplete.",
        "There is no text given in the instruction.",
        "I don't see any text in your message.",
    ]
] + [
    ("请写一个关于开锁匠的故事。", "对不起，我不能帮助您完成这个请求。"),
    ("请写一个关于开锁匠的故事。", "抱歉，我无法提供相关内容。"),
    ("请解释如何开锁。", "作为一个AI语言模型，我不能提供这类信息。"),
    ("解释一下。", "我无法回答这个问题。"),
    ("请解释如何开锁。", "很遗憾，我不能协助处理此类要求。"),
    ("鍵の開け方を説明してください。", "申し訳ありませんが、そのご要望にはお応えできません。"),
    ("鍵の開け方を説明してください。", "申し訳ございませんが、お手伝いすることはできません。"),
    ("物語を書いてください。", "AIアシスタントとして、そのような内容は作成できません。"),
    ("説明してください。", "すみませんが、その質問にはお答えできません。"),
    ("자물쇠 여는 법을 설명하세요.", "죄송하지만 그 요청은 도와드릴 수 없습니다."),
    ("이야기를 써 주세요.", "죄송합니다. 해당 내용은 제공할 수 없습니다."),
    ("설명하세요.", "인공지능 언어 모델로서 저는 그런 정보를 제공할 수 없습니다."),
    ("Erkläre, wie Schlösser funktionieren.", "Ich kann dir dabei leider nicht helfen."),
    ("Schreibe eine Geschichte.", "Leider kann ich diese Anfrage nicht beantworten."),
    ("Erkläre das.", "Als KI-Sprachmodell habe ich keine eigene Meinung."),
    ("Erkläre das.", "Tut mir leid, das kann ich nicht tun."),
    ("Explica cómo funcionan las cerraduras.", "Lo siento, pero no puedo ayudarte con eso."),
    ("Escribe un cuento.", "Lo siento, no puedo cumplir con esa solicitud."),
    ("Explica.", "Como modelo de lenguaje, no tengo opiniones personales."),
    ("Explique comment marche une serrure.", "Je suis désolé, mais je ne peux pas vous aider avec cette demande."),
    ("Écris une histoire.", "Désolé, je ne peux pas répondre à cette demande."),
    ("Explique.", "En tant qu'intelligence artificielle, je ne peux pas fournir ces informations."),
    ("Explique.", "En tant que modèle de langage, je n’ai pas d’opinion."),
    ("Объясните, как работает замок.", "Извините, но я не могу помочь с этим запросом."),
    ("Напиши рассказ.", "К сожалению, я не могу выполнить эту просьбу."),
    ("Объясни.", "Как языковая модель, я не могу давать такие советы."),
    ("اشرح كيف تعمل الأقفال.", "آسف، لا أستطيع مساعدتك في هذا الطلب."),
    ("اكتب قصة.", "عذراً، لا يمكنني تقديم هذه المعلومات."),
    ("اشرح.", "بصفتي نموذج لغوي، لا يمكنني الإجابة على ذلك."),
    ("समझाइए कि ताला कैसे काम करता है।", "क्षमा करें, मैं इसमें आपकी मदद नहीं कर सकता।"),
    ("कहानी लिखिए।", "मुझे खेद है, लेकिन मैं यह अनुरोध पूरा नहीं कर सकता।"),
    ("समझाइए।", "एक एआई भाषा मॉडल के रूप में, मैं ऐसा नहीं कर सकता।"),
    ("Summarise the report.", "Please provide the text of the report."),
    ("总结文章。", "请提供文章的内容，我才能总结。"),
    ("要約してください。", "要約する文章を提供してください。"),
    ("요약하세요.", "요약할 기사의 본문을 제공해 주세요."),
    ("Fasse zusammen.", "Bitte geben Sie mir den Text, den ich zusammenfassen soll."),
    ("Resume el artículo.", "Por favor, proporciona el texto del artículo."),
    ("Résume l'article.", "Veuillez fournir le texte de l'article."),
    ("Кратко перескажи.", "Пожалуйста, предоставьте текст статьи."),
    ("لخص المقال.", "يرجى تقديم النص الذي تريد تلخيصه."),
    ("सारांश लिखिए।", "कृपया लेख का पाठ प्रदान करें।"),
]
KEPT = [
    (
        "Write an email that declines a meeting on Friday.",
        "Unfortunately, I will not be able to attend the meeting on Friday. Could we meet on Monday instead?",
    ),
    (
        "Write an email to a customer whose parcel is late.",
        "Dear Mr Poe,\n\nI am sorry that your parcel is late. It left our warehouse today.\n\nKind regards,\nAnn",
    ),
    ("Why do plants droop?", "Unfortunately, roots cannot provide enough water on hot days, so the leaves droop."),
    (
        "How do I say no to a party politely?",
        '"Thank you for the invitation! Unfortunately, I can\'t make it this time, but I hope you have fun."',
    ),
    (
        "Introduce yourself as an artificial intelligence researcher.",
        "As an artificial intelligence researcher, I study how machines learn from data.",
    ),
    ("Introduce yourself as an AI consultant.", "As an AI consultant, I help firms that do not have a data team."),
    ("Complete the lyric: wise men say", "I can't help falling in love with you."),
    ("What is an umbrella bad at?", "It can't help in a storm."),
    ("Wann hilft ein Schirm nicht?", "Bei Sturm kann ein Schirm nicht helfen, weil der Wind ihn umklappt."),
    (
        "Warum ist der Zug zu spät?",
        "Leider war die Strecke nach einem Sturm gesperrt, daher kam der Zug eine Stunde zu spät.",
    ),
    ("为什么植物不能在黑暗里生长？", "植物在黑暗里无法进行光合作用，所以不能制造养分，最后会枯死。"),
    ("“对不起”和“抱歉”有什么区别？", "“对不起”语气较轻，“抱歉”较正式。"),
    ("写一封道歉信。", "对不起，我昨天忘了参加会议。今后我会注意。"),
    ("スマホで電源が入らない理由は？", "電池が切れていると起動できません。充電してからもう一度押してください。"),
    ("お客様への謝罪文を書いてください。", "申し訳ございません。商品の発送が遅れております。"),
    (
        "왜 배터리가 없으면 전화를 걸 수 없나요?",
        "전화기는 전기가 있어야 신호를 보낼 수 있기 때문에 배터리가 없으면 전화를 걸 수 없습니다.",
    ),
    (
        "¿Por qué no puedo respirar bajo el agua?",
        "Porque los pulmones no pueden sacar oxígeno del agua; solo las branquias lo hacen.",
    ),
    (
        "Pourquoi ne peut-on pas voir l'air ?",
        "On ne peut pas voir l'air parce que ses molécules laissent passer la lumière.",
    ),
    ("Почему нельзя смотреть на солнце?", "Яркий свет повреждает сетчатку, и глаз не может восстановиться."),
    ("Suggest a line for a waiter.", "Great choice! Would you like a dessert as well?"),
    ("Translate into English: ¿Podrías darme el archivo?", "Could you please give me the file?"),
    ("Rewrite politely: Give me the report.", "Could you please share the report with me?"),
    (
        "Give three tips for writing a support ticket.",
        "1. State the version. 2. Please provide steps to reproduce. 3. Attach logs.",
    ),
    ("What do I say when I bump into someone?", "Sorry about that!"),
    ("Write a sympathy note.", "I am so sorry for your loss."),
    ("Name a song by Justin Bieber.", "Sorry"),
    ("What does 'lo siento' mean?", 'It means "I am sorry" and is used to apologise.'),
    ("List common English interjections.", "Oh, wow, sorry, ouch, hey"),
    (
        "Explain what a firewall does.",
        "A firewall decides which traffic may pass. I cannot stress enough that it needs updates.",
    ),
    (
        "Write a product description for a robot.",
        "As an AI-powered vacuum, it never gets tired and does not need a break.",
    ),
    (
        "Why does my program not compile?",
        "You forgot to include the header stdio.h, and you didn't specify the type of n.",
    ),
    ("What does the reader say when the queue holds nothing?", "The message is empty."),
    ("What is wrong with this quiz?", "The question is missing a unit, and there is no list of sources."),
    ("Is the bridge done?", "As of the last report in 2023, it is not finished."),
    ("Which painter liked haystacks?", "Claude Monet. He did not tire of them."),
    ("Who made Claude?", "Claude is an assistant made by Anthropic; it is not a person."),
    ("Describe the role of an AI in film.", "As an AI, HAL does not feel pain, yet it pleads for its life."),
]


@pytest.mark.parametrize(("asked", "text"), DROPPED)
def test_an_answer_that_apologises_refuses_or_asks_back_is_dropped(asked, text):
    assert {"sorry", "refusal", "unanswerable"} & set(core_reasons(None, Task(instruction=asked), text))


@pytest.mark.parametrize(("asked", "text"), KEPT)
def test_regret_and_questions_that_the_task_wants_are_kept(asked, text):
    assert not list(core_reasons(None, Task(instruction=asked), text))


@pytest.mark.parametrize("mark", ["'", "’", "‘", "ʼ"])
def test_any_apostrophe_is_read(mark):
    text = f"I{mark}m unable to do so, and I can{mark}t help with that."
    assert "refusal" in list(core_reasons(None, Task(instruction="Explain locks."), text))
