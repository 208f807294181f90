"""The languages of multilingual Whisper models, by the codes of OpenAI's tokenizer."""

__all__ = ["LANGUAGES"]

# OpenAI Whisper, whisper/tokenizer.py: 99 codes up to large-v2, and yue since large-v3. A model
# says for itself which of them it knows; this list only tells a code from a typing error.
LANGUAGES = frozenset(
    "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha "
    "haw he hi hr ht hu hy id is it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr "
    "ms mt my ne nl nn no oc pa pl ps pt ro ru sa sd si sk sl sn so sq sr su sv sw ta te tg "
    "th tk tl tr tt uk ur uz vi yi yo zh yue".split()
)
