"""Tokens, scores and kinds of a GGUF file in; ids by the sentencepiece library, which merges by scores too, out."""

from collections.abc import Callable, Sequence

from seallm.vocab.sentencepiece_file import Piece, PieceType, new_model


def sentencepiece_encoder(
    tokens: Sequence[str], scores: Sequence[float], kinds: Sequence[int], *, adds_space: bool
) -> Callable[[Sequence[str]], list[list[int]]]:
    """A function from texts to ids."""
    import sentencepiece

    pieces = [Piece(t, s, PieceType(k)) for t, s, k in zip(tokens, scores, kinds, strict=True)]
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(new_model(pieces, adds_space=adds_space))
    return lambda texts: [list(processor.encode(text)) for text in texts]
