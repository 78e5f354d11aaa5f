import base64
import itertools
import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from seallm.base.errors import VocabError
from seallm.vocab.base_tokenizer import parse_bpe
from seallm.vocab.tiktoken_file import PATTERNS, read_tiktoken
from tests.vocab.tiny import byte_level_json, sentences


def write(folder: Path, name: str = "cl100k_base") -> Path:
    """The tokens of a small byte-level tokenizer in the order of their ranks."""
    base = parse_bpe(json.loads(byte_level_json(600, "llama3")), "base")
    tokens = sorted(base.vocabulary, key=base.vocabulary.__getitem__)
    spelled = [base.bytes_of(token) for token in tokens if token not in base.added_tokens]
    lines = [f"{base64.b64encode(token).decode()} {rank}" for rank, token in enumerate(spelled)]
    path = folder / f"{name}.tiktoken"
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return path


def by_rank(text: str, ranks: dict[bytes, int]) -> list[int]:
    """The definition: of the neighbours whose joint bytes are a token, those of the lowest rank, the leftmost first."""
    parts = [bytes([byte]) for byte in text.encode("utf-8")]
    while True:
        pairs = [a + b for a, b in itertools.pairwise(parts)]
        known = [(ranks[pair], at) for at, pair in enumerate(pairs) if pair in ranks]
        if not known:
            return [ranks[part] for part in parts]
        _, at = min(known)
        parts[at : at + 2] = [pairs[at]]


def test_ids_are_ranks(tmp_path: Path) -> None:
    path = write(tmp_path)
    tokenizer = Tokenizer.from_str(json.dumps(read_tiktoken(path)))
    ranks = {base64.b64decode(line.split()[0]): int(line.split()[1]) for line in path.read_bytes().splitlines()}
    for code in ("en", "vi", "my", "zh"):
        for sentence in sentences("dev", code, 20):
            words = [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(sentence)]
            expected = [rank for word in words for rank in by_rank(tokenizer.decoder.decode([word]), ranks)]
            assert tokenizer.encode(sentence).ids == expected
            assert tokenizer.decode(expected) == sentence


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("cl100k_base", ["We", "'ve", " paid", " ", "123", "45", " €", " in", " \n\n", "  ", " Ko", "\u0308ln", ".\n"]),
        ("o200k_base", ["We've", " paid", " ", "123", "45", " €", " in", " \n\n", "  ", " Ko\u0308ln", ".\n"]),
        ("r50k_base", ["We", "'ve", " paid", " 12345", " €", " in", " \n\n  ", " Ko", "\u0308", "ln", ".", "\n"]),
    ],
)
def test_each_encoding_cuts_in_its_own_way(name: str, pieces: list[str], tmp_path: Path) -> None:
    text = "".join(pieces)
    tokenizer = Tokenizer.from_str(json.dumps(read_tiktoken(write(tmp_path, name))))
    places = [place for _, place in tokenizer.pre_tokenizer.pre_tokenize_str(text)]
    assert [text[start:stop] for start, stop in places] == pieces


def test_a_name_that_says_nothing(tmp_path: Path) -> None:
    with pytest.raises(VocabError, match=r"must say which it is. Known: r50k_base\.tiktoken, .*cl100k_base") as caught:
        read_tiktoken(write(tmp_path, "mine"))
    assert "\n" not in str(caught.value)
    assert set(PATTERNS) == {"r50k_base", "p50k_base", "cl100k_base", "o200k_base"}


def test_a_damaged_file(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_bytes(path.read_bytes() + b"no base64\n")
    with pytest.raises(VocabError, match=r"cl100k_base\.tiktoken:\d+ is not a token in base64 and its rank"):
        read_tiktoken(path)
