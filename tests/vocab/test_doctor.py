import json
import unicodedata

from seallm.vocab.base_tokenizer import parse_bpe
from seallm.vocab.doctor import examine, patterns_of
from seallm.vocab.pretokenizer import GPT2_PATTERN, admit_marks, repair
from tests.vocab.tiny import BASES, LLAMA3_PATTERN, sentences

TEXTS = {code: sentences("dev", code, 40) for code in ("en", "vi", "th", "my")}


def test_a_letters_only_regex_is_found_and_its_repair_proved() -> None:
    found = examine(parse_bpe(json.loads(BASES["byte-level"]()), "gpt2"), TEXTS)
    assert found.letters_only == [GPT2_PATTERN]
    assert found.floors is not None
    assert found.floors_repaired is not None
    assert found.floors["en"] == found.floors_repaired["en"] == 1.0
    assert found.floors["my"] > 3 > 1 > found.floors_repaired["my"]
    assert found.floors["vi"] == found.floors_repaired["vi"]  # composed letters are no marks
    assert found.mark_shares["my"] > 0.3 > found.mark_shares["th"] > 0.1 > found.mark_shares["vi"] == 0.0
    assert found.proof is not None
    assert found.proof.offence is None
    assert found.proof.figures["texts"] == 4 * 40 + 30
    assert found.repaired is not None
    assert patterns_of(found.repaired.document) == [admit_marks(GPT2_PATTERN)]
    assert json.dumps(found.document())


def test_nothing_to_repair() -> None:
    repaired = parse_bpe(repair(json.loads(BASES["byte-level with specials behind"]())), "llama3")
    found = examine(repaired, TEXTS)
    assert (list(found.letters_only), found.repaired, found.proof, found.floors_repaired) == ([], None, None, None)
    assert found.patterns == [admit_marks(LLAMA3_PATTERN)]
    sentencepiece = examine(parse_bpe(json.loads(BASES["sentencepiece"]()), "llama2"), TEXTS)
    assert (sentencepiece.floors, list(sentencepiece.patterns), sentencepiece.repaired) == (None, [], None)


def test_decomposed_text_costs_more_unless_the_tokenizer_composes_it() -> None:
    document = json.loads(BASES["byte-level"]())
    found = examine(parse_bpe(document, "plain"), TEXTS)
    tokenizer = parse_bpe(document, "plain").tokenizer
    counts = [
        sum(len(tokenizer.encode(unicodedata.normalize(form, line)).ids) for line in TEXTS["vi"])
        for form in ("NFC", "NFD")
    ]
    assert found.normal_form is None
    assert found.decomposed_costs["vi"] == round(counts[1] / counts[0], 4) > 1.1
    assert 1.0 <= found.decomposed_costs["en"] < 1.01
    composing = examine(parse_bpe({**document, "normalizer": {"type": "NFC"}}, "nfc"), TEXTS)
    assert (composing.normal_form, composing.decomposed_costs["vi"]) == ("NFC", 1.0)
