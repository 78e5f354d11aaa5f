"""What data sets call languages and categories in, our codes and names out.

Languages are known by code (`vi`), region (`vi-VN`), three letters (`vie`), English and native name. Categories have
five names of ours; the names of common task types are read as one of them, and any other name stays as it is.
"""

import functools
import re

from seallm.languages import known_languages, load_language

CATEGORIES = ("text-processing", "math-logic", "general-instruction", "natural-dialogue", "safety")
PROCESSING, MATH, GENERAL, DIALOGUE, SAFETY = CATEGORIES
_TASK_TYPES = {
    PROCESSING: "summarization summarisation translation rewriting rewrite paraphrase paraphrasing extraction "
    "information-extraction classification closed-qa reading-comprehension grammar editing proofreading "
    "text-processing sentiment ner keyword-extraction simplification mt",
    MATH: "math maths mathematics arithmetic logic reasoning math-logic math-and-logic gsm8k logical-reasoning",
    GENERAL: "general general-instruction general-instructions open-qa general-qa brainstorming creative-writing "
    "writing generation coding code programming qa question-answering roleplay-writing instruction",
    DIALOGUE: "dialogue dialog chat chitchat conversation natural-dialogue roleplay role-play multi-turn smalltalk",
    SAFETY: "safety harmless harmlessness refusal refusals red-teaming toxicity",
}
_CATEGORY_OF = {name: category for category, names in _TASK_TYPES.items() for name in names.split()}


def category_name(text: str) -> str:
    """Our category of a data set's name for it; another name as it is, an empty one stays empty."""
    plain = re.sub(r"[\s_/]+", "-", text.strip().lower()).replace("-&-", "-and-")
    return _CATEGORY_OF.get(plain, text.strip())


def language_code(text: str) -> str:
    """Our code of a data set's name for a language; an unknown name in lower case, an empty one stays empty."""
    plain = text.strip().lower().replace("_", "-")
    names = _language_names(known_languages())
    return names.get(plain) or names.get(plain.split("-")[0]) or plain


@functools.cache
def _language_names(codes: tuple[str, ...]) -> dict[str, str]:
    names = {code: code for code in codes}
    for code in codes:
        language = load_language(code)
        three_letters = [label.split("_")[0] for label in language.identifier_labels if "_" in label]
        for name in (language.name, language.native_name, *three_letters):
            names.setdefault(name.lower(), code)
    return names
