"""Base and extended tokenizer in, checks of their vocabularies out: old ids, duplicates, holes, unreachable tokens."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seallm.vocab.base_tokenizer import BpeTokenizer
from seallm.vocab.rules import splits_cluster


@dataclass(frozen=True)
class Check:
    """One claim, its figures, and an example where it does not hold."""

    claim: str
    figures: Mapping[str, Any]
    offence: str | None = None


def check_old_ids(base: BpeTokenizer, extended: BpeTokenizer) -> Check:
    """Every token of the base has the id it had."""
    before, after = (
        base.tokenizer.get_vocab(with_added_tokens=True),
        extended.tokenizer.get_vocab(with_added_tokens=True),
    )
    moved = [token for token, token_id in before.items() if after.get(token) != token_id]
    offence = f"{moved[0]!r} had id {before[moved[0]]} and has {after.get(moved[0])}" if moved else None
    return Check("old ids unmoved", {"tokens": len(before), "moved": len(moved)}, offence)


def check_duplicates(base: BpeTokenizer, extended: BpeTokenizer) -> Check:
    """No two tokens share an id, no two new ones stand for the same bytes, and no id behind the base's is left out."""
    vocabulary = extended.tokenizer.get_vocab(with_added_tokens=True)
    shared = len(vocabulary) - len(set(vocabulary.values()))
    spellings = [extended.bytes_of(token) for token in new_tokens(base, extended)]
    doubled = len(spellings) - len(set(spellings))
    unused = len(set(range(base.next_id, extended.next_id)) - set(vocabulary.values()))
    figures = {
        "tokens": len(vocabulary),
        "shared_ids": shared,
        "shared_spellings": doubled,
        "unused_ids": unused,
    }
    offence = f"{shared} ids and {doubled} spellings occur twice" if shared or doubled else None
    if offence is None and unused:
        offence = f"{unused} ids behind the base's belong to no token"
    return Check("no duplicates, no unused ids", figures, offence)


def new_tokens(base: BpeTokenizer, extended: BpeTokenizer) -> dict[str, int]:
    """Tokens that the base does not have, by id."""
    old = base.tokenizer.get_vocab(with_added_tokens=True)
    return {t: i for t, i in sorted(extended.vocabulary.items(), key=lambda entry: entry[1]) if t not in old}


def check_record(base: BpeTokenizer, extended: BpeTokenizer, record: Mapping[str, Any]) -> Check:
    """What `tokens_added.json` says of new tokens, their ids and languages, is what the tokenizer has.

    Args:
        base: the tokenizer before.
        extended: the one after.
        record: content of the file.
    """
    listed = {row["token"]: row["id"] for row in record["tokens"]}
    by_language = Counter(row["language"] for row in record["tokens"])
    added = new_tokens(base, extended)
    wrong = sorted(set(listed.items()) ^ set(added.items()), key=lambda entry: entry[1])
    offence = (
        f"{wrong[0][0]!r} is id {added.get(wrong[0][0])}, the record says {listed.get(wrong[0][0])}" if wrong else None
    )
    counts = {code: by_language[code] for code in record["by_language"]}
    if offence is None and counts != record["by_language"]:
        offence = f"tokens by language are {counts}, the record says {record['by_language']}"
    return Check("every new token recorded with its language", {"new_tokens": len(added), **counts}, offence)


def check_reachable(base: BpeTokenizer, extended: BpeTokenizer) -> Check:
    """Every new token is produced by some text; parts of characters, which are no text, by their own bytes."""
    added = new_tokens(base, extended)
    texts = {token: _text_of(extended, token) for token in added}
    parts = [token for token, text in texts.items() if text is None]
    whole = {token: text for token, text in texts.items() if text is not None}
    unreachable = [t for t in parts if [found.value for found in extended.tokenizer.model.tokenize(t)] != [t]]
    # alone; without its space, which the tokenizer may put in front itself; behind a line break, where it puts none
    for before, without_space in (("", False), ("", True), ("\n", False)):
        batch = [before + (text.removeprefix(" ") if without_space else text) for text in whole.values()]
        found = encode_all(extended, batch)
        whole = {t: x for (t, x), ids in zip(whole.items(), found, strict=True) if added[t] not in ids}
    unreachable += whole
    figures = {"new_tokens": len(added), "parts_of_characters": len(parts), "unreachable": len(unreachable)}
    return Check("every new token reachable", figures, f"no text produces {unreachable[0]!r}" if unreachable else None)


def _text_of(tokenizer: BpeTokenizer, token: str) -> str | None:
    try:
        return tokenizer.bytes_of(token).decode("utf-8")
    except UnicodeDecodeError:
        return None


def encode_all(tokenizer: BpeTokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Ids of many texts, without any that frame them."""
    return [e.ids for e in tokenizer.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]


def cluster_share(base: BpeTokenizer, extended: BpeTokenizer) -> float:
    """Share of whole clusters among the new tokens of several characters; 1 where there is none."""
    texts = [_text_of(extended, token) for token in new_tokens(base, extended)]
    words = [word for word in (text.removeprefix(" ") for text in texts if text) if len(word) > 1]
    return sum(not splits_cluster(word) for word in words) / len(words) if words else 1.0
