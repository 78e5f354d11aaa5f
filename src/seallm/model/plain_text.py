"""Text to ids and back where text can never become a control token.

A Hugging Face tokenizer turns the characters `</s>` in a web page or in a user's message into the id that ends a turn.
`PlainText` runs the same tokenizer without its control tokens: normaliser, pre-tokeniser and merges are the base's own,
so harmless text gets exactly the ids of `tokenizer.encode(text, add_special_tokens=False)`, and `</s>` gets the ids of
its four characters. Control tokens are all added tokens, special or not, but those of white space alone (Gemma's runs
of newlines), which are ordinary text.

Decoding goes through the bytes of each token, so that a stream can be decoded token by token to the same text.
"""

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from seallm.base.errors import DataError, ModelError

WORD_START = "▁"  # SentencePiece writes a space as U+2581


class PlainText:
    """Encoder and decoder of text without control tokens.

    Args:
        tokenizer: a BPE tokenizer, byte-level or SentencePiece-style; later changes to it are not seen here.

    Attributes:
        tokenizer: the tokenizer it was made from.
        control_ids: ids that no text is encoded to.

    Raises:
        ModelError: the tokenizer is not BPE, or would drop characters of ordinary text without a trace.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        state = json.loads(tokenizer.backend_tokenizer.to_str())
        if state["model"]["type"] != "BPE":
            raise ModelError(f"The tokenizer is of type {state['model']['type']}; seallm works with BPE tokenizers")
        self.tokenizer = tokenizer
        self.control_ids = frozenset(t["id"] for t in state["added_tokens"] if t["content"].strip())
        self._added = {t["id"]: t["content"] for t in state["added_tokens"]}
        _remove_controls(state, self.control_ids)
        self._state = state
        self._is_byte_level = _find(state["pre_tokenizer"], "ByteLevel") is not None
        _check_complete(state["model"], self._is_byte_level)
        self._document = Tokenizer.from_str(json.dumps(state))

    def encode(self, text: str) -> list[int]:
        """Ids of a text that stands at the start of a document.

        Raises:
            DataError: the text holds half a surrogate pair, which is not Unicode.
        """
        return self.encode_many([text])[0]

    def encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` for many texts at once, on all cores."""
        return _encode(self._document, texts)

    def encode_inner(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of texts that stand right after other text: without the space some tokenizers put in front."""
        return _encode(self._inner, texts)

    @cached_property
    def _inner(self) -> Tokenizer:
        state = json.loads(json.dumps(self._state))
        return Tokenizer.from_str(json.dumps(state)) if _remove_prefix(state) else self._document

    @cached_property
    def _token_bytes(self) -> list[bytes]:
        """UTF-8 bytes of every id's text; empty for control tokens and unused ids."""
        vocabulary: dict[str, int] = self._document.get_vocab(with_added_tokens=False)
        table = [b""] * (max([*vocabulary.values(), *self._added, 0]) + 1)
        bytes_of = _byte_level_bytes if self._is_byte_level else _sentencepiece_bytes
        for token, token_id in vocabulary.items():
            table[token_id] = bytes_of(token)
        for token_id, content in self._added.items():
            table[token_id] = b"" if token_id in self.control_ids else content.encode()
        return table

    @cached_property
    def _strips_first_space(self) -> bool:
        """True where encoding puts a space in front of a text, so that decoding takes it away."""
        decoder = self._state["decoder"]
        strip, metaspace = _find(decoder, "Strip"), _find(decoder, "Metaspace")
        return bool(strip and strip["start"]) or bool(metaspace and metaspace["prepend_scheme"] != "never")

    def token_bytes(self, token_id: int, *, is_first: bool) -> bytes:
        """UTF-8 bytes that an id adds to a text, perhaps a part of a character; none for a control token.

        Args:
            token_id: the id; ids beyond the vocabulary add nothing.
            is_first: True for the first token of the text, whose leading space may belong to the tokenizer.
        """
        table = self._token_bytes
        found = table[token_id] if 0 <= token_id < len(table) else b""
        return found[1:] if is_first and self._strips_first_space and found[:1] == b" " else found

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, control tokens left out; bytes that are not UTF-8 become U+FFFD."""
        kept = [i for i in ids if i not in self.control_ids]
        parts = (self.token_bytes(token_id, is_first=number == 0) for number, token_id in enumerate(kept))
        return b"".join(parts).decode("utf-8", errors="replace")


def _encode(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    try:
        return [encoding.ids for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]
    except (TypeError, UnicodeEncodeError):
        for number, text in enumerate(texts):
            _check_unicode(text, number)
        raise


def _check_unicode(text: str, number: int) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"Text {number} holds U+{ord(text[error.start]):04X} at character {error.start}: half a surrogate pair, "
            "not Unicode. Repair or drop it before it is tokenised"
        ) from None


def _find(part: dict[str, Any] | None, kind: str) -> dict[str, Any] | None:
    """The first component of a kind in a (nested) sequence of a tokenizer's JSON."""
    if part is None:
        return None
    if part["type"] == kind:
        return part
    inner = [p for key in ("pretokenizers", "normalizers", "decoders") for p in part.get(key, ())]
    return next((found for p in inner if (found := _find(p, kind))), None)


def _remove_controls(state: dict[str, Any], control_ids: frozenset[int]) -> None:
    """Take control tokens from the added tokens, and from the vocabulary and merges that could also reach them."""
    model = state["model"]
    unknown = model["unk_token"]  # stays as what an unknown character becomes; no merge leads to it
    reachable = {token for token, token_id in model["vocab"].items() if token_id in control_ids}
    model["merges"] = [
        [a, b] for a, b in model["merges"] if a + b not in reachable and a not in reachable and b not in reachable
    ]
    model["vocab"] = {t: i for t, i in model["vocab"].items() if t not in reachable or t == unknown}
    state["added_tokens"] = [t for t in state["added_tokens"] if t["id"] not in control_ids]
    # an added token that the vocabulary lacks is numbered after its size, which has just changed: pin its id
    model["vocab"] |= {t["content"]: t["id"] for t in state["added_tokens"]}
    state["post_processor"] = state["truncation"] = state["padding"] = None


def _remove_prefix(state: dict[str, Any]) -> bool:
    """Switch off whatever puts a space in front of a text; False where there is nothing of the kind."""
    changed = False
    if prepend := _find(state["normalizer"], "Prepend"):
        prepend["prepend"], changed = "", True
    if metaspace := _find(state["pre_tokenizer"], "Metaspace"):
        changed |= metaspace["prepend_scheme"] != "never"
        metaspace["prepend_scheme"] = "never"
    if byte_level := _find(state["pre_tokenizer"], "ByteLevel"):
        changed |= byte_level["add_prefix_space"]
        byte_level["add_prefix_space"] = False
    return changed


def _check_complete(model: dict[str, Any], is_byte_level: bool) -> None:
    """Every character of real text must become some id.

    Real byte-level bases lack the bytes that their training text never held: ASCII control characters (SmolLM2) and
    those of unassigned planes. Such characters are dropped in encoding, as by the base's own tokenizer.
    """
    needed = [9, 10, 13, *range(0x20, 0x7F), *range(0x80, 0xC0), *range(0xC2, 0xF1)]
    writing = {byte: character for character, byte in BYTE_OF_CHARACTER.items()}
    tokens = [writing[byte] if is_byte_level else f"<0x{byte:02X}>" for byte in needed]
    missing = [token for token in tokens if token not in model["vocab"]]
    if (missing or not (is_byte_level or model["byte_fallback"])) and model["unk_token"] is None:
        raise ModelError(
            f"The tokenizer lacks {len(missing)} of the bytes of UTF-8 text and has no unknown token: it would drop "
            "characters without a trace. Train it with the full byte alphabet (initial_alphabet=ByteLevel.alphabet())"
        )


def _byte_characters() -> dict[str, int]:
    """GPT-2's writing of bytes as characters: printable ones as they are, the others from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(b): b for b in printable} | {chr(0x100 + number): b for number, b in enumerate(others)}


BYTE_OF_CHARACTER = _byte_characters()


def _byte_level_bytes(token: str) -> bytes:
    return bytes(BYTE_OF_CHARACTER[c] for c in token) if all(c in BYTE_OF_CHARACTER for c in token) else token.encode()


def _sentencepiece_bytes(token: str) -> bytes:
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        return bytes([int(token[3:5], 16)])
    return token.replace(WORD_START, " ").encode()
