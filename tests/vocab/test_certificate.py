import copy
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from seallm.languages import load_languages
from seallm.recipe_vocab import Vocab
from seallm.vocab.base_tokenizer import BpeTokenizer, parse_bpe
from seallm.vocab.certificate import Samples, certify
from seallm.vocab.certificate_texts import character_tables, random_texts
from seallm.vocab.encoding_checks import (
    check_mark_free,
    check_plain,
    check_preserved,
    check_reference,
    check_round_trip,
)
from seallm.vocab.expansion import LanguageTexts, expand
from seallm.vocab.extend import extended_document
from seallm.vocab.pretokenizer import repair
from seallm.vocab.scripts import assigned_characters
from seallm.vocab.vocabulary_checks import (
    check_duplicates,
    check_old_ids,
    check_reachable,
    check_record,
    cluster_share,
    new_tokens,
)
from tests.vocab.tiny import BASES, documents, sentences

CODES = ("en", "th", "my", "vi")
SAMPLES = Samples(
    sentences("test", "en", 40), [s for code in CODES for s in sentences("dev", code, 20)], ("latin", "thai", "myanmar")
)
Document = dict[str, Any]


@pytest.fixture(scope="module", params=list(BASES))
def pair(request: pytest.FixtureRequest) -> tuple[BpeTokenizer, Document]:
    """A base, and its honest extension by 120 tokens."""
    base = parse_bpe(json.loads(BASES[request.param]()), request.param)
    to_extend = parse_bpe(repair(base.document), request.param)
    texts = [
        LanguageTexts(language, documents(code, 6_000), sentences("dev", code, 30))
        for code, language in load_languages(CODES).items()
    ]
    found = expand(to_extend, texts, Vocab(parallel="-", new_tokens=240), lambda: None)
    merges = [(m.left, m.right, m.new_id) for m in found.learned.merges]
    return base, extended_document(to_extend, {s.token: s.new_id for s in found.symbols}, merges)


def changed(document: Document, change: Callable[[Document], None]) -> BpeTokenizer:
    copied = copy.deepcopy(document)
    change(copied)
    return parse_bpe(copied, "changed")


def test_an_honest_extension_passes(pair: tuple[BpeTokenizer, Document]) -> None:
    base, document = pair
    extended = parse_bpe(document, "extended")
    checks = certify(base, extended, SAMPLES, seed=1)
    assert [check.offence for check in checks] == [None] * 8
    assert len({check.claim for check in checks}) == 8
    assert len(new_tokens(base, extended)) == 240
    assert checks[3].figures["texts"] > 1_000
    assert checks[4].figures["texts"] > 300
    assert checks[5].figures["repaired"] == (base.kind == "byte-level")
    assert cluster_share(base, extended) == 1.0


def test_a_moved_id_is_found(pair: tuple[BpeTokenizer, Document]) -> None:
    base, document = pair

    def swap(changing: Document) -> None:
        vocabulary = changing["model"]["vocab"]
        old, new = sorted(vocabulary, key=vocabulary.__getitem__)[-241:-239]
        vocabulary[old], vocabulary[new] = vocabulary[new], vocabulary[old]

    check = check_old_ids(base, changed(document, swap))
    assert check.figures["moved"] == 1
    assert "had id" in str(check.offence)


def test_a_token_no_merge_makes_is_found(pair: tuple[BpeTokenizer, Document]) -> None:
    base, document = pair

    def drop_last_merge(changing: Document) -> None:
        changing["model"]["merges"].pop()
        changing["model"]["ignore_merges"] = False

    check = check_reachable(base, changed(document, drop_last_merge))
    assert check.figures["unreachable"] == 1
    assert check.offence is not None


def test_two_tokens_of_one_spelling_are_found() -> None:
    base = parse_bpe(json.loads(BASES["sentencepiece"]()), "base")
    document = extended_document(base, {"กก": base.next_id, "▁ก": base.next_id + 1, " ก": base.next_id + 2}, [])
    check = check_duplicates(base, parse_bpe(document, "extended"))
    assert check.figures["shared_spellings"] == 1
    assert check.offence == "0 ids and 1 spellings occur twice"


def test_a_lossy_decoder_is_found(pair: tuple[BpeTokenizer, Document]) -> None:
    base, document = pair
    decoder = {"type": "Replace", "pattern": {"String": "e"}, "content": ""}
    loses = changed(document, lambda d: d.update(decoder=decoder))
    check = check_round_trip(base, loses, ["the end"])
    assert check.figures["changed"] == 1
    assert "comes back changed" in str(check.offence)


def test_a_text_that_the_base_itself_changes_is_accepted_and_counted() -> None:
    document = json.loads(BASES["byte-level"]()) | {"normalizer": {"type": "NFC"}}
    base = parse_bpe(document, "base")
    check = check_round_trip(base, base, ["e\u0301", "e"])
    assert (check.offence, check.figures["normalised_by_the_base"]) == (None, 1)


def test_ids_that_are_not_those_of_plain_bpe_are_found(pair: tuple[BpeTokenizer, Document]) -> None:
    _, document = pair
    extended = parse_bpe(document, "extended")
    unmerged = {**document, "model": {**document["model"], "merges": document["model"]["merges"][:-200]}}
    lying = BpeTokenizer("lying", document, extended.kind, parse_bpe(unmerged, "unmerged").tokenizer)
    texts = sentences("dev", "my", 20)
    assert check_reference(extended, texts).offence is None
    assert check_reference(lying, texts).offence is not None


def test_a_repair_that_changes_plain_text_is_found() -> None:
    base = parse_bpe(json.loads(BASES["byte-level with specials behind"]()), "base")
    document = repair(base.document)
    samples = ["the end", "မြန်မာ and the rest"]
    assert check_mark_free(base, parse_bpe(document, "careful"), samples).figures == {
        "repaired": True,
        "texts": 2,
        "changed": 0,
    }
    step = document["pre_tokenizer"]["pretokenizers"][0]
    step["pattern"]["Regex"] = step["pattern"]["Regex"].replace(r"[\p{L}\p{M}]+", r"[\p{L}\p{M}]")
    check = check_mark_free(base, parse_bpe(document, "careless"), samples)
    assert check.figures["changed"] == 2
    assert check.offence == "'the end' is encoded in another way"


def test_english_that_changed_is_found(pair: tuple[BpeTokenizer, Document]) -> None:
    base, _ = pair
    text = "a question of quality, quite quickly answered"
    tokens = base.tokenizer.encode(text, add_special_tokens=False).tokens
    pairs = list(itertools.pairwise(tokens))
    inside_words = (pair for pair in pairs if pair[1].isascii() and pair[1].isalpha() and pairs.count(pair) == 1)
    left, right = next(pair for pair in inside_words if "".join(pair) not in base.vocabulary)
    document = extended_document(base, {}, [(left, right, base.next_id)])
    check = check_preserved(base, parse_bpe(document, "extended"), [text])
    assert check.figures["tokens_after"] == len(tokens) - 1
    assert check.figures["changed_token_share"] == round(2 / len(tokens), 6)
    assert "of its tokens changed, at most 1% may" in str(check.offence)


def test_an_id_without_a_token_is_found(pair: tuple[BpeTokenizer, Document]) -> None:
    base, document = pair

    def leave_a_hole(changing: Document) -> None:
        vocabulary = changing["model"]["vocab"]
        last = max(vocabulary, key=vocabulary.__getitem__)
        vocabulary[last] += 1

    check = check_duplicates(base, changed(document, leave_a_hole))
    assert check.figures["unused_ids"] == 1
    assert check.offence == "1 ids behind the base's belong to no token"


def test_a_record_that_is_wrong_is_found() -> None:
    base = parse_bpe(json.loads(BASES["byte-level"]()), "base")
    extended = parse_bpe(extended_document(base, {}, [("à", "¸", base.next_id)]), "extended")
    row = {"id": base.next_id, "token": "à¸", "language": "th"}
    assert check_record(base, extended, {"tokens": [row], "by_language": {"th": 1, "lo": 0}}).offence is None
    check = check_record(base, extended, {"tokens": [{**row, "id": 3}], "by_language": {"th": 1}})
    assert check.offence == f"'à¸' is id {base.next_id}, the record says 3"
    check = check_record(base, extended, {"tokens": [row], "by_language": {"th": 2}})
    assert check.offence == "tokens by language are {'th': 1}, the record says {'th': 2}"


def test_digits_that_are_merged_are_found(pair: tuple[BpeTokenizer, Document]) -> None:
    base, _ = pair
    document = extended_document(base, {}, [("5", "9", base.next_id)])
    texts = {"code": ["x = 1"], "digits": ["3 59 7"]}
    check = check_plain(base, parse_bpe(document, "extended"), texts)
    assert check.figures["digits_texts_changed"] == 1
    assert check.figures["code_texts_changed"] == 0
    assert check.offence == "1 of 1 texts of digits have other ids"


def test_english_that_costs_more_is_found(pair: tuple[BpeTokenizer, Document]) -> None:
    base, document = pair
    fewer = changed(document, lambda d: d["model"]["merges"].pop(0))
    check = check_preserved(base, fewer, list(SAMPLES.preserved))
    assert "tokens instead of" in str(check.offence)


def test_random_texts_depend_on_the_seed_alone() -> None:
    assert random_texts(("thai", "khmer"), 50, 1) == random_texts(("thai", "khmer"), 50, 1)
    assert random_texts(("thai", "khmer"), 50, 1) != random_texts(("thai", "khmer"), 50, 2)
    letters = set("".join(random_texts(("thai", "khmer"), 400, 1)))
    assert len(letters & set(assigned_characters("thai"))) > 70
    assert len(letters & set(assigned_characters("khmer"))) > 100


def test_character_tables_hold_every_assigned_character() -> None:
    both = assigned_characters("lao") + assigned_characters("latin")
    assert set("".join(character_tables(("lao", "latin")))) == set(both)
