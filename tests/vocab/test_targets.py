import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from seallm.base.errors import DataError, VocabError
from seallm.languages import load_languages
from seallm.recipe_vocab import Vocab
from seallm.vocab.base_tokenizer import BpeTokenizer, parse_bpe
from seallm.vocab.bpe import BpeEncoder
from seallm.vocab.certificate import check_reachable
from seallm.vocab.expansion import Expansion, LanguageTexts, expand
from seallm.vocab.extend import extended_document
from seallm.vocab.learner import Merge
from seallm.vocab.pretokenizer import repair
from seallm.vocab.targets import closed_targets, pruned, read_targets
from tests.vocab.tiny import BASES, PROPERTY, documents, sentences

CODES = ("en", "id", "th")
WORDS = [
    " yang",
    " dengan",
    " untuk",
    " adalah",
    " tidak",
    " menggunakan",
    "ประเทศ",
    "การ",
    "ความ",
    "เป็น",
    " the",
    "123",
]


def base_of(name: str) -> BpeTokenizer:
    return parse_bpe(repair(json.loads(BASES[name]())), name)


def texts(reverse: bool = False) -> list[LanguageTexts]:
    step = -1 if reverse else 1
    return [
        LanguageTexts(language, documents(code, 30_000)[::step], sentences("dev", code, 40)[::step])
        for code, language in load_languages(CODES).items()
    ]


def learn(base: BpeTokenizer, file: Path, new_tokens: int, reverse: bool = False) -> Expansion:
    settings = Vocab(parallel="-", method="target", target_vocabulary=str(file), new_tokens=new_tokens)
    return expand(base, texts(reverse), settings, lambda: None)


def extended(base: BpeTokenizer, found: Expansion) -> BpeTokenizer:
    merges = [(m.left, m.right, m.new_id) for m in found.learned.merges]
    return parse_bpe(extended_document(base, {s.token: s.new_id for s in found.symbols}, merges), "extended")


@pytest.mark.parametrize("name", ["byte-level", "sentencepiece"])
def test_targets_become_reachable_tokens_whatever_the_order_of_documents(name: str, tmp_path: Path) -> None:
    base, file = base_of(name), tmp_path / "target.txt"
    file.write_text("\n".join(WORDS).replace(" ", "▁"), encoding="utf-8")
    available = learn_all(base, file)
    found = learn(base, file, available)
    assert learn(base, file, available, reverse=True) == found
    tokenizer = extended(base, found)
    made = {tokenizer.bytes_of(m.token).decode("utf-8", "replace") for m in found.learned.merges}
    assert {" yang", " menggunakan", "ประเทศ", "ความ"} <= made
    assert not {" the", "123"} & made  # English has its own tokens, digits stay single
    assert check_reachable(base, tokenizer).offence is None


def learn_all(base: BpeTokenizer, file: Path) -> int:
    """How many tokens the target vocabulary gives, as the error for too many says."""
    with pytest.raises(VocabError, match=r"gives only (\d+)") as caught:
        learn(base, file, 5_000)
    return int(str(caught.value).split("gives only ")[1].split(" ")[0])


def test_with_fewer_tokens_the_least_useful_leaves_go_and_the_rest_stays_reachable(tmp_path: Path) -> None:
    base, file = base_of("sentencepiece"), tmp_path / "target.txt"
    file.write_text("\n".join(WORDS).replace(" ", "▁"), encoding="utf-8")
    available = learn_all(base, file)
    everything, fewer = (learn(base, file, count) for count in (available, available - 8))
    assert fewer.learned.rejected["pruned: gains too little"] == 8
    assert len(fewer.symbols) + len(fewer.learned.merges) == available - 8
    assert {m.token for m in fewer.learned.merges} < {m.token for m in everything.learned.merges}
    first = base.next_id + len(fewer.symbols)
    assert [m.new_id for m in fewer.learned.merges] == list(range(first, first + len(fewer.learned.merges)))
    assert check_reachable(base, extended(base, fewer)).offence is None


def merge(left: str, right: str, new_id: int) -> Merge:
    return Merge(left, right, new_id, 1, 1)


@PROPERTY
@given(st.data())
def test_pruning_keeps_every_part_and_drops_the_least_gain(data: st.DataObject) -> None:
    known, merges = ["a", "b", "c"], []
    for number in range(data.draw(st.integers(1, 12))):
        left, right = (data.draw(st.sampled_from(known)) for _ in range(2))
        if left + right not in known:
            merges.append(merge(left, right, 100 + number))
            known.append(left + right)
    gains = {m.token: data.draw(st.integers(0, 9)) for m in merges}
    keep = data.draw(st.integers(0, len(merges)))
    kept, dropped = pruned(merges, keep, lambda m: float(gains[m.token]))
    assert (len(kept), dropped) == (keep, len(merges) - keep) if merges else (0, 0)
    tokens = {"a", "b", "c"}
    for m in kept:
        assert {m.left, m.right} <= tokens
        tokens.add(m.token)
    # the plain way: one leaf after another, its gain handed to its parts
    left_over, gain = list(merges), dict(gains)
    while len(left_over) > keep:
        parts = Counter(part for m in left_over for part in (m.left, m.right))
        worst = min((m for m in left_over if not parts[m.token]), key=lambda m: (gain[m.token], -m.new_id))
        left_over.remove(worst)
        for part in (worst.left, worst.right):
            gain[part] = gain.get(part, 0) + gain[worst.token]
    assert [m.token for m in kept] == [m.token for m in left_over]


def test_a_target_that_no_two_tokens_spell_gets_intermediates() -> None:
    base = base_of("sentencepiece")
    encoder = BpeEncoder(base, {}, 0)
    closed = closed_targets([" xqzw", " xqzwk"], base, encoder)
    assert {" xqzw", " xqzwk"} <= closed
    assert all(token in " xqzwk" for token in closed)
    for token in closed:
        known = {base.bytes_of(t).decode() for t in base.vocabulary} | closed
        assert any(token[:at] in known and token[at:] in known for at in range(1, len(token)))


def test_target_files(tmp_path: Path) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text("▁yang\n yang\nkan\n\n", encoding="utf-8")
    assert read_targets(lines) == [" yang", "kan"]
    unigram = tmp_path / "unigram.json"
    Tokenizer(models.Unigram([("<unk>", 0.0), ("▁yang", -1.0), ("kan", -2.0)], 0, False)).save(str(unigram))
    assert read_targets(unigram) == ["<unk>", " yang", "kan"]
    words = tmp_path / "words.json"
    Tokenizer(models.WordPiece({"yang": 0, "##kan": 1}, unk_token="yang")).save(str(words))
    assert read_targets(words) == [" yang", "kan"]
    byte_level = tmp_path / "bytes.json"
    byte_level.write_text(BASES["byte-level"](), encoding="utf-8")
    found = read_targets(byte_level)
    assert " the" in found
    assert not any("\ufffd" in token or "Ġ" in token for token in found)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "does not exist"), (b"\n\n", "holds no token"), (b"\xff\xfe", "holds no vocabulary")],
)
def test_a_wrong_target_file_is_one_clear_line(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "target.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_targets(path)


def test_a_json_file_that_is_no_tokenizer_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "wrong.json").write_text("[1]")
    with pytest.raises(DataError, match="holds no vocabulary"):
        read_targets(tmp_path / "wrong.json")
