"""Base and extended tokenizer and texts in, checks of their encodings out.

A text comes back as it was, the fast ids are those of a slow definition and of SentencePiece, and what must not change
has not changed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seallm.vocab.base_tokenizer import BpeTokenizer, parse_bpe
from seallm.vocab.pretokenizer import letters_only_patterns
from seallm.vocab.reference import ReferenceBpe
from seallm.vocab.scripts import is_mark
from seallm.vocab.vocabulary_checks import Check, encode_all

# The paper accepts English costing 0.3 % more. Continued merges can only shorten a text, so the cost is held to that
# exactly; shortened English is new to the model too, and is held to a share of its own.
MAX_COST_SHARE = 0.003
MAX_CHANGED_SHARE = 0.01


def check_round_trip(base: BpeTokenizer, extended: BpeTokenizer, texts: Sequence[str]) -> Check:
    """decode(encode(x)) == x; where the base itself changes a text (NFC, for one), the same change is accepted."""
    decoded = extended.tokenizer.decode_batch(encode_all(extended, texts), skip_special_tokens=False)
    by_base = base.tokenizer.decode_batch(encode_all(base, texts), skip_special_tokens=False)
    normalised = sum(x != was == now for x, was, now in zip(texts, by_base, decoded, strict=True))
    lost = [x for x, was, now in zip(texts, by_base, decoded, strict=True) if now not in (x, was)]
    figures = {"texts": len(texts), "normalised_by_the_base": normalised, "changed": len(lost)}
    return Check("decode(encode(x)) == x", figures, f"{lost[0]!r} comes back changed" if lost else None)


def check_reference(extended: BpeTokenizer, texts: Sequence[str]) -> Check:
    """The fast tokenizer gives the ids of a plain-Python BPE."""
    reference = ReferenceBpe(extended)
    plain = [text for text in texts if not any(token in text for token in extended.added_tokens)]
    different = [x for x, ids in zip(plain, encode_all(extended, plain), strict=True) if reference.encode(x) != ids]
    offence = f"{different[0]!r} is encoded in another way" if different else None
    return Check("fast ids == reference ids", {"texts": len(plain), "different": len(different)}, offence)


def check_mark_free(base: BpeTokenizer, extended: BpeTokenizer, texts: Sequence[str]) -> Check:
    """Where the pre-tokenizer was changed, the base's merges give old ids: to all text, or if marks were admitted, to
    text without marks.

    Args:
        base: the tokenizer before.
        extended: the one after.
        texts: any; where marks were admitted, theirs are taken out here.
    """
    claim = "the pre-tokenizer's repair leaves text without marks as it was"
    pre_tokenizer = extended.document.get("pre_tokenizer")
    if pre_tokenizer == base.document.get("pre_tokenizer"):
        return Check(claim, {"repaired": False, "texts": 0, "changed": 0})
    with_repair = parse_bpe({**base.document, "pre_tokenizer": pre_tokenizer}, base.where)
    if letters_only_patterns(base.document) and not letters_only_patterns(extended.document):
        texts = ["".join(c for c in text if not is_mark(c)) for text in texts]
    pairs = zip(texts, encode_all(base, texts), encode_all(with_repair, texts), strict=True)
    changed = [text for text, before, after in pairs if before != after]
    figures = {"repaired": True, "texts": len(texts), "changed": len(changed)}
    return Check(claim, figures, f"{changed[0]!r} is encoded in another way" if changed else None)


def check_sentencepiece(
    base: BpeTokenizer, extended: BpeTokenizer, files: tuple[Path, Path], texts: Sequence[str]
) -> Check:
    """SentencePiece itself, with the updated model file, gives the ids of the fast tokenizer.

    Where the base's own two files disagree about a text, so may the new ones.

    Args:
        base: the tokenizer before.
        extended: the one after.
        files: the base's `tokenizer.model`, and the new one.
        texts: what to encode.
    """
    from sentencepiece import SentencePieceProcessor

    before, after = (SentencePieceProcessor(model_file=str(file)) for file in files)
    plain = [text for text in texts if not any(token in text for token in extended.added_tokens)]
    pairs = zip(plain, encode_all(extended, plain), after.encode(plain), strict=True)
    different = [text for text, fast, theirs in pairs if fast != theirs]
    by_base = encode_all(base, different)
    offences = [x for x, fast in zip(different, by_base, strict=True) if fast == before.encode(x)]
    figures = {
        "texts": len(plain),
        "different": len(offences),
        "different_in_the_base": len(different) - len(offences),
        "pieces": after.get_piece_size(),
    }
    offence = f"{offences[0]!r} is encoded in another way" if offences else None
    if after.get_piece_size() != extended.next_id:
        offence = f"it has {after.get_piece_size()} pieces, tokenizer.json ids up to {extended.next_id - 1}"
    return Check("fast ids == SentencePiece ids", figures, offence)


def check_preserved(base: BpeTokenizer, extended: BpeTokenizer, sentences: Sequence[str]) -> Check:
    """The base language costs no more tokens than before, and hardly any of its tokens has given way to a new one."""
    figures = _change(base, extended, sentences)
    figures["changed_token_share_limit"] = MAX_CHANGED_SHARE
    offence = _cost_offence(figures)
    if offence is None and figures["changed_token_share"] > MAX_CHANGED_SHARE:
        offence = (
            f"{figures['changed_token_share']:.2%} of its tokens changed, at most {MAX_CHANGED_SHARE:.0%} may. "
            "Give the corpus more text in the base language, or ask for fewer vocab.new_tokens"
        )
    return Check("base language preserved", figures, offence)


def check_plain(base: BpeTokenizer, extended: BpeTokenizer, texts: Mapping[str, Sequence[str]]) -> Check:
    """Code, digits and plain English cost no more tokens than before, and digits keep their very ids.

    Args:
        base: the tokenizer before.
        extended: the one after.
        texts: short texts by kind, `digits` among them.
    """
    changes = {kind: _change(base, extended, list(some)) for kind, some in texts.items()}
    offence = next((f"{kind}: {found}" for kind, row in changes.items() if (found := _cost_offence(row))), None)
    changed_digits = changes["digits"]["texts_changed"]
    if offence is None and changed_digits:
        offence = f"{changed_digits} of {len(texts['digits'])} texts of digits have other ids"
    figures = {f"{kind}_{name}": value for kind, row in changes.items() for name, value in row.items()}
    return Check("code and digits preserved", figures, offence)


def _change(base: BpeTokenizer, extended: BpeTokenizer, texts: Sequence[str]) -> dict[str, Any]:
    """How texts are encoded before and after; `changed_token_share` counts old tokens that gave way to new ones."""
    before, after = encode_all(base, texts), encode_all(extended, texts)
    tokens = sum(map(len, before))
    kept = sum(token_id < base.next_id for ids in after for token_id in ids)
    return {
        "texts": len(texts),
        "texts_changed": sum(x != y for x, y in zip(before, after, strict=True)),
        "tokens_before": tokens,
        "tokens_after": sum(map(len, after)),
        "changed_token_share": round(1 - kept / max(tokens, 1), 6),
    }


def _cost_offence(figures: Mapping[str, Any]) -> str | None:
    if figures["tokens_after"] > figures["tokens_before"] * (1 + MAX_COST_SHARE):
        return f"{figures['tokens_after']} tokens instead of {figures['tokens_before']}"
    return None
