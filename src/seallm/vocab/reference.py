"""Plain-Python BPE: slow, short, and written from the definition, to hold the fast tokenizer against.

It shares with the fast one only the cutting of text (normaliser and pre-tokenizer); symbols, byte fallback and merges
are its own.
"""

import itertools

from tokenizers import Tokenizer

from seallm.vocab.base_tokenizer import BpeTokenizer, byte_piece

_NEVER = float("inf")


class ReferenceBpe:
    """Encodes text that holds none of the tokenizer's added tokens."""

    def __init__(self, tokenizer: BpeTokenizer) -> None:
        self._parts: Tokenizer = tokenizer.tokenizer
        self._vocabulary = tokenizer.vocabulary
        self._ranks = {pair: rank for rank, pair in enumerate(tokenizer.merges)}
        self._takes_whole = tokenizer.ignores_merges
        self._falls_back = bool(tokenizer.document["model"].get("byte_fallback"))

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without any that frame it."""
        normalizer, pre_tokenizer = self._parts.normalizer, self._parts.pre_tokenizer
        normal = normalizer.normalize_str(text) if normalizer else text
        pieces = [piece for piece, _ in pre_tokenizer.pre_tokenize_str(normal)] if pre_tokenizer else [normal]
        return [self._vocabulary[token] for piece in pieces for token in self._tokens(piece)]

    def _tokens(self, piece: str) -> list[str]:
        if self._takes_whole and piece in self._vocabulary:
            return [piece]
        tokens = [token for letter in piece for token in self._symbols(letter)]
        ranks = [self._ranks.get(pair, _NEVER) for pair in itertools.pairwise(tokens)]
        while ranks and (best := min(ranks)) != _NEVER:
            at = ranks.index(best)
            tokens[at : at + 2] = [tokens[at] + tokens[at + 1]]
            del ranks[at]
            for left in (at - 1, at):
                if 0 <= left < len(ranks):
                    ranks[left] = self._ranks.get((tokens[left], tokens[left + 1]), _NEVER)
        return tokens

    def _symbols(self, letter: str) -> list[str]:
        if letter in self._vocabulary or not self._falls_back:
            return [letter]
        return [byte_piece(byte) for byte in letter.encode("utf-8")]
