"""A `.tiktoken` file (token in base64 and rank, one a line) in, the content of a `tokenizer.json` out.

The file does not name the regex that cuts text before merges, so its name must: `cl100k_base.tiktoken`. The regexes
are those that the tiktoken package publishes, possessive repeats written plainly: they match the same.
"""

import base64
import binascii
from pathlib import Path
from typing import Any

from seallm.base.errors import VocabError
from seallm.vocab.base_tokenizer import byte_alphabet
from seallm.vocab.pretokenizer import GPT2_PATTERN
from seallm.vocab.splits import split_merges

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_BEFORE = r"[^\r\n\p{L}\p{N}]?"
_UPPER, _LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
PATTERNS = {
    "r50k_base": GPT2_PATTERN,
    "p50k_base": GPT2_PATTERN,
    "cl100k_base": rf"{_CONTRACTIONS}|{_BEFORE}\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}",
    "o200k_base": rf"{_BEFORE}[{_UPPER}]*[{_LOWER}]+{_CONTRACTIONS}?|{_BEFORE}[{_UPPER}]+[{_LOWER}]*{_CONTRACTIONS}?"
    rf"|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}",
}


def read_tiktoken(path: Path) -> dict[str, Any]:
    """Read a `.tiktoken` file.

    Raises:
        VocabError: its name is that of no known encoding, or a line is not a token and its rank.
    """
    pattern = PATTERNS.get(path.stem)
    if pattern is None:
        raise VocabError(
            f"{path}: a .tiktoken file does not hold the regex of its encoding, so its name must say which it is. "
            f"Known: {', '.join(f'{name}.tiktoken' for name in PATTERNS)}"
        )
    letters = str.maketrans({chr(byte): letter for byte, letter in enumerate(byte_alphabet())})
    vocabulary: dict[str, int] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            token, rank = line.split()
            spelled = base64.b64decode(token, validate=True).decode("latin-1").translate(letters)
            vocabulary[spelled] = int(rank)
        except (ValueError, binascii.Error):
            raise VocabError(f"{path}:{number} is not a token in base64 and its rank") from None
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
            ],
        },
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": True,
            "vocab": {token: vocabulary[token] for token in tokens},
            "merges": [list(pair) for pair in split_merges(tokens, vocabulary)],
        },
    }
