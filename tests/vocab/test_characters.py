import json
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from seallm.languages import load_languages
from seallm.vocab.base_tokenizer import parse_bpe
from seallm.vocab.characters import MIN_RARE_SHARE, character_counts, missing_symbols
from tests.vocab.tiny import PROPERTY, byte_level_json, sentencepiece_json

BASE = parse_bpe(json.loads(sentencepiece_json()), "base")


def missing(code: str, pieces: dict[str, int], min_frequency: int = 2) -> dict[str, tuple[str, int]]:
    return missing_symbols(BASE, list(load_languages((code,)).values()), [character_counts(pieces)], min_frequency)


@PROPERTY
@given(st.dictionaries(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1), st.integers(1, 9)))
def test_characters_are_counted(pieces: dict[str, int]) -> None:
    wanted: Counter[str] = Counter()
    for piece, count in pieces.items():
        for character in piece:
            wanted[character] += count
    assert character_counts(pieces) == wanted


def test_characters_of_the_languages_script_come_in_order() -> None:
    assert missing("th", {"กาก": 3, "ขx": 1, "ж": 9, "๑": 2}) == {"ก": ("th", 6), "า": ("th", 3), "๑": ("th", 2)}


def test_a_rare_chinese_character_is_not_worth_a_token() -> None:
    plain = round(3 / MIN_RARE_SHARE)
    pieces = {"的": plain, "龘": 2, "國": 4, "。": 10}
    assert list(missing("zh", pieces)) == ["。", "國", "的"]


def test_a_character_belongs_to_the_first_language_that_needs_it() -> None:
    languages = list(load_languages(("zh", "vi")).values())
    counts = [character_counts({"，汉": 5}), character_counts({"，đ": 5})]
    assert {c: code for c, (code, _) in missing_symbols(BASE, languages, counts, 2).items()} == {
        "，": "zh",
        "汉": "zh",
        "đ": "vi",
    }


def test_a_byte_level_base_gets_the_bytes_it_lacks() -> None:
    document = json.loads(byte_level_json())
    whole = parse_bpe(document, "base")
    languages = list(load_languages(("th",)).values())
    assert missing_symbols(whole, languages, [Counter()], 2) == {}
    lacking = {token: number for token, number in document["model"]["vocab"].items() if token not in "ļÀ"}
    merges = [pair for pair in document["model"]["merges"] if not {"ļ", "À"} & set("".join(pair))]
    document["model"] = {**document["model"], "vocab": lacking, "merges": merges}
    # "À" stands for 0xC0, which no UTF-8 text holds
    assert missing_symbols(parse_bpe(document, "base"), languages, [Counter()], 2) == {"ļ": ("th", 0)}
