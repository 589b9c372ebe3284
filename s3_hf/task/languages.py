"""Recognise the language of many texts by their script and, where languages share it, by their commonest words.

No library: those that know Latin languages have models of 1 to 100 MB and always name one, for product codes too.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache

from s3_hf.texts import normalise

NAMES = {
    "am": "Amharic", "ar": "Arabic", "bg": "Bulgarian", "bn": "Bengali", "cs": "Czech", "da": "Danish", "de": "German",
    "el": "Greek", "en": "English", "es": "Spanish", "fa": "Persian", "fi": "Finnish", "fr": "French",
    "gu": "Gujarati", "he": "Hebrew", "hi": "Hindi", "hu": "Hungarian", "hy": "Armenian", "id": "Indonesian",
    "it": "Italian", "ja": "Japanese", "ka": "Georgian", "km": "Khmer", "kn": "Kannada", "ko": "Korean", "lo": "Lao",
    "ml": "Malayalam", "mr": "Marathi", "my": "Burmese", "nl": "Dutch", "no": "Norwegian", "pa": "Punjabi",
    "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sv": "Swedish", "ta": "Tamil",
    "te": "Telugu", "th": "Thai", "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu", "vi": "Vietnamese",
    "zh": "Chinese",
}  # fmt: skip
"""English name of each language, by its ISO 639-1 code."""

BY_SCRIPT = {
    "ARMENIAN": "hy", "BENGALI": "bn", "CJK": "zh", "ETHIOPIC": "am", "GEORGIAN": "ka", "GREEK": "el",
    "GUJARATI": "gu", "GURMUKHI": "pa", "HANGUL": "ko", "HEBREW": "he", "HIRAGANA": "ja", "KANNADA": "kn",
    "KHMER": "km", "LAO": "lo", "MALAYALAM": "ml", "MYANMAR": "my", "TAMIL": "ta", "TELUGU": "te", "THAI": "th",
}  # fmt: skip
"""Language of each script that one language writes; a text in CJK and HIRAGANA is Japanese."""

WORDS = {
    "en": "the of and to is that it for was with this are you not my have be on what which how from please",
    "de": "der die das und ist nicht ich ein eine zu mit den auf für von sie es war sehr wir auch",
    "fr": "le la les et est des une un je pas que pour dans du ce il vous très avec sur en mais",
    "es": "el la los las y es que un una no por con para muy se lo del mi pero está en más",
    "pt": "o os e é que um uma não por com para muito se do da no na mas em eu está foi",
    "it": "il di che è un una non per con sono del della mi ma molto si gli questo ho anche le",
    "nl": "de het een en is niet van ik dat te op voor met zijn maar ook er wij was heel",
    "sv": "och att det är en som inte jag på för med av den ett var mycket men har till om",
    "da": "og at det er en som ikke jeg på for med af den et var meget men har til hvad efter",
    "no": "og å det er en som ikke jeg på for med av den et var veldig men har til hva etter",
    "fi": "ja on ei se että oli en mutta hyvin kun niin tämä myös ole minun joka mitä hän kuin",
    "pl": "i nie się jest na że to w do z jak ale co tak bardzo był dla mnie po jestem",
    "cs": "a je se na že to v ale jsem jako tak velmi byl pro co jsou není ve mi který",
    "tr": "ve bir bu çok için ile da de ne ama değil gibi daha var olarak kadar ben en mi",
    "ro": "și de la nu este un o în cu pe care mai am foarte că din sunt dar pentru fost",
    "hu": "a az és nem hogy egy is van de volt nagyon ez meg csak már mint el vagy ki",
    "id": "yang dan di ini itu dengan untuk tidak dari saya ada pada akan sangat ke adalah juga bisa",
    "vi": "và là của không có cho được một những này với trong tôi rất đã người các khi",
    "ru": "и в не на что с я это как по но он все очень было для так из мы меня",  # noqa: RUF001
    "uk": "і в не на що з я це як по але він все дуже було для так із ми мене та є",  # noqa: RUF001
    "bg": "и в не на че се за с да това как по но той много беше от са аз е",  # noqa: RUF001
    "ar": "في من على إلى أن هذا لا ما مع كان هذه عن التي الذي لم كل جدا هو",
    "fa": "و در به از که این را با است برای آن یک خیلی نیست بود هم من می",
    "ur": "کے میں کی ہے اور سے کا کو یہ نہیں پر ہیں نے بہت کہ ایک تھا",
    "hi": "है के में की और का से को यह नहीं पर हैं ने बहुत कि एक था",
    "mr": "आहे आणि हे या ते नाही खूप मी की होते होता एक तो मला च्या",
}
"""Commonest words of languages that share a script."""

LEAST_LETTERS = 20
LEAST_SCRIPT = 0.6
"""Share of the letters that are of one script."""
LEAST_WORDS = 0.08
"""Share of the words that are among the commonest of the language."""
LEAD = 1.5
"""By what factor that share exceeds the one of every other language."""
READ = 2_000
"""Most texts that are read, and most characters of each."""


def recognise(texts: Sequence[str]) -> str | None:
    """Return the ISO 639-1 code of the language that most of the texts are in, None if it is not clear."""
    step = max(1, len(texts) // READ)
    read = [text[:READ] for text in texts[::step]]
    scripts = Counter(map(_script, (sign for text in read for sign in text if sign.isalpha())))
    kana = scripts.pop("KATAKANA", 0) + scripts.get("HIRAGANA", 0)
    if kana > 0.1 * scripts["CJK"]:
        scripts["HIRAGANA"] = kana + scripts.pop("CJK", 0)
    if scripts.total() < LEAST_LETTERS:
        return None
    script, count = scripts.most_common(1)[0]
    if count < LEAST_SCRIPT * scripts.total():
        return None
    return BY_SCRIPT.get(script) or _by_words(word for text in read for word in normalise(text).split())


def _by_words(words: Iterable[str]) -> str | None:
    counts = Counter(words)
    shares = {
        code: sum(counts[word] for word in common.split()) / max(counts.total(), 1) for code, common in WORDS.items()
    }
    (code, best), (_, second) = Counter(shares).most_common(2)
    return code if best >= LEAST_WORDS and best >= LEAD * second else None


@cache
def _script(sign: str) -> str:
    """Return the first word of the character's Unicode name, which names its script."""
    return unicodedata.name(sign, "").split(" ")[0].removeprefix("HALFWIDTH").split("-")[0]
