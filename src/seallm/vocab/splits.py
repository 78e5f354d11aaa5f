"""Tokens in order of priority in, merges out that act as SentencePiece and tiktoken do.

Those two merge by the token that results, whatever its two parts are: the best token first, the leftmost place among
equals. A `tokenizer.json` merges by pairs. The same ids come out where every pair that spells a token is a merge, all
of one token in a row. Two merges of one token can compete for a part only where the token repeats itself (`ab|a`
and `a|ba` in "ab a ba"); the order within the row is then chosen so that the leftmost wins. That is impossible only for
a token that is one piece again and again ("aaa"), and there matters only to texts that cut the run in an unusual way.
"""

from collections.abc import Container, Iterable, Iterator


def split_merges(tokens: Iterable[str], known: Container[str]) -> Iterator[tuple[str, str]]:
    """Merges for tokens in order of priority.

    Args:
        tokens: what merges make, the first merged first.
        known: tokens that can be part of others.
    """
    for token in tokens:
        yield from splits_of(token, known)


def splits_of(token: str, known: Container[str]) -> list[tuple[str, str]]:
    """All pairs of known tokens that spell a token, those first that must win where two compete."""
    size = len(token)
    places = [at for at in range(size - 1, 0, -1) if token[:at] in known and token[at:] in known]
    for at in [place for place in places if 2 * place < size and size - place in places]:
        # x|y before y|z where x + y == y + z is this token: x is `at` long, y the rest
        short_first = token.startswith(token[at:])
        long_first = token.startswith(token[size - at :])
        if short_first and not long_first:
            places.remove(at)
            places.insert(places.index(size - at), at)
    return [(token[:at], token[at:]) for at in places]
