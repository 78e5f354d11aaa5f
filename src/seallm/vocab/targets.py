"""A target vocabulary in, the merges that build as much of it as pays out: the paper's Algorithm 1, put in order.

The paper walks through documents and merges the first neighbours whose concatenation is in the target vocabulary, so
its result depends on the order of the documents, and pruning rare pieces can leave longer ones unreachable. Here the
neighbours merged next are those with the highest score among all that spell a target; a target that no two targets
spell gets the intermediates it needs; and what is left over is pruned leaf by leaf, so every part of a token stays.
"""

import heapq
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from seallm.base.errors import DataError
from seallm.vocab.base_tokenizer import SPACE_PIECE, BpeTokenizer, byte_alphabet, pre_tokenizer_steps
from seallm.vocab.bpe import BpeEncoder
from seallm.vocab.learner import Merge

_NEW_SPACES = str.maketrans({SPACE_PIECE: " "})


def read_targets(path: Path) -> list[str]:
    """Spellings in a target vocabulary, a space in front where a word begins.

    Args:
        path: a `tokenizer.json` of any model, or a text file with one token a line ("▁" or a space in front of a word).

    Raises:
        DataError: there is no such file, or it holds no vocabulary.
    """
    if not path.is_file():
        raise DataError(
            f"vocab.target_vocabulary {path} does not exist. Give a tokenizer.json or a text file of tokens"
        )
    try:
        text = path.read_text(encoding="utf-8")
        tokens = _tokens_of(json.loads(text)) if path.suffix == ".json" else text.translate(_NEW_SPACES).split("\n")
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise DataError(f"{path} holds no vocabulary ({error!r}). Give a tokenizer.json or UTF-8 lines") from None
    found = list(dict.fromkeys(token for token in tokens if token.strip()))
    if not found:
        raise DataError(f"{path} holds no token. Give a tokenizer.json, or a text file with one token a line")
    return found


def _tokens_of(document: dict[str, Any]) -> list[str]:
    """Texts of the tokens in a `tokenizer.json`; tokens that are no text (parts of characters) are left out."""
    model = document["model"]
    vocabulary = model["vocab"]
    tokens = [entry[0] for entry in vocabulary] if isinstance(vocabulary, list) else list(vocabulary)
    if any(step["type"] == "ByteLevel" for step in pre_tokenizer_steps(document)):
        known = {letter: byte for byte, letter in enumerate(byte_alphabet())}
        spelled = [bytes(known[c] for c in token) for token in tokens if all(c in known for c in token)]
        decoded = [token.decode("utf-8", "replace") for token in spelled]
        return [token for token in decoded if "\ufffd" not in token]
    prefix = model.get("continuing_subword_prefix") or "##"
    if model.get("type") == "WordPiece":
        return [token.removeprefix(prefix) if token.startswith(prefix) else f" {token}" for token in tokens]
    return [token.translate(_NEW_SPACES) for token in tokens]


def closed_targets(targets: Iterable[str], base: BpeTokenizer, encoder: BpeEncoder) -> frozenset[str]:
    """The targets with the intermediates they need: every one can be made of two, down to what the encoder knows.

    A target that no two known or made tokens spell gets every run of tokens within its present encoding as possible
    intermediates: which of them serve is left to the learner, whose rules may refuse some.
    """
    made = {base.bytes_of(token).decode("utf-8", "replace") for token in encoder.vocabulary}
    wanted = sorted(set(targets) - made, key=lambda token: (len(token), token))
    spelling = {token_id: base.bytes_of(token) for token, token_id in encoder.vocabulary.items()}
    ids, offsets = encoder.encode([_piece(target, base) for target in wanted])
    closed: set[str] = set()
    for number, target in enumerate(wanted):
        new = {target}
        if not any(target[:at] in made and target[at:] in made for at in range(1, len(target))):
            parts = [spelling[token_id] for token_id in ids[offsets[number] : offsets[number + 1]].tolist()]
            ends = [(start, end) for start in range(len(parts)) for end in range(start + 2, len(parts) + 1)]
            runs = [b"".join(parts[start:end]).decode("utf-8", "replace") for start, end in ends]
            new.update(run for run in runs if "\ufffd" not in run)
        made |= new
        closed |= new
    return frozenset(closed)


def _piece(text: str, base: BpeTokenizer) -> str:
    """A text as the base's merges see it."""
    return text.replace(" ", SPACE_PIECE) if base.kind == "sentencepiece" else text


def pruned(merges: Sequence[Merge], keep: int, gain_of: Callable[[Merge], float]) -> tuple[list[Merge], int]:
    """The merges without those that gain least, so that `keep` are left; what another merge needs is never dropped.

    Args:
        merges: in order of priority.
        keep: how many stay at most.
        gain_of: what a merge saves in the text as all of them encode it.

    Returns:
        The merges that stay, in their order and numbered anew, and how many were dropped.
    """
    by_token = {merge.token: merge for merge in merges}
    gains = {merge.token: gain_of(merge) for merge in merges}
    needed = Counter(part for merge in merges for part in (merge.left, merge.right) if part in by_token)
    leaves = [(gains[merge.token], -merge.new_id, merge.token) for merge in merges if not needed[merge.token]]
    heapq.heapify(leaves)
    dropped: set[str] = set()
    while len(merges) - len(dropped) > keep:
        _, _, token = heapq.heappop(leaves)
        dropped.add(token)
        for part in (by_token[token].left, by_token[token].right):
            if part not in by_token:
                continue
            # where the token stood, its parts stand now
            gains[part] += gains[token]
            needed[part] -= 1
            if not needed[part]:
                heapq.heappush(leaves, (gains[part], -by_token[part].new_id, part))
    kept = [merge for merge in merges if merge.token not in dropped]
    return [replace(merge, new_id=merges[0].new_id + k) for k, merge in enumerate(kept)], len(dropped)
