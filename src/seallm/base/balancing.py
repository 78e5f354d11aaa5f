"""How many there are of each name in, how many to take out: as many as shares or weights allow."""

from collections.abc import Mapping


def capped_counts(counts: Mapping[str, int], shares: Mapping[str, float], share: float) -> dict[str, int]:
    """How many of each name to take, as many as possible, so that none has more than its share of them all.

    Where the shares add up to less than 1, those of the names without one of their own are raised until they do, or,
    where all have one, all are raised in proportion.

    Args:
        counts: how many there are of each name, each at least one.
        shares: largest shares of single names.
        share: largest share of every other name.
    """
    own = {name: shares[name] for name in counts if name in shares}
    others = [name for name in counts if name not in shares]
    if others:
        share = max(share, (1 - sum(own.values())) / len(others))
        caps = own | dict.fromkeys(others, share)
    else:
        caps = {name: value / max(min(1.0, sum(own.values())), 1e-9) for name, value in own.items()}
    total = _largest_total(counts, caps)
    return {name: min(n, int(caps[name] * total + 1e-6)) for name, n in counts.items()}


def _largest_total(counts: Mapping[str, int], caps: Mapping[str, float]) -> float:
    """The largest T for which min(n, cap x T), summed over all names, is T.

    Names give all they have one after another as T grows, in order of n / cap. Where the first of them do, T is the sum
    of their numbers over what the caps of the others leave of 1.
    """
    order = sorted((name for name in counts if caps[name] > 0), key=lambda name: counts[name] / caps[name])
    given, capped = float(sum(counts[name] for name in order)), 0.0
    for name in reversed(order):  # it and those before it give all they have, those after it are at their caps
        if capped < 1 - 1e-9 and given / (1 - capped) >= counts[name] / caps[name] - 1e-6:
            return given / (1 - capped)
        given, capped = given - counts[name], capped + caps[name]
    return min((counts[name] / caps[name] for name in order), default=0.0)


def parted(counts: Mapping[str, int], total: int) -> dict[str, int]:
    """A total in parts proportional to the counts, by largest remainders; no part is larger than its count."""
    whole = sum(counts.values())
    parts = {name: n * total // whole for name, n in counts.items()}
    by_remainder = sorted(counts, key=lambda name: (-(counts[name] * total % whole), name))
    for name in by_remainder[: total - sum(parts.values())]:
        parts[name] += 1
    return dict(sorted(parts.items()))


def tempered_counts(counts: Mapping[str, int], total: int, temperature: float) -> dict[str, int]:
    """Part a total so that each name's share is its number to the power 1 / temperature; none gives more than it has.

    What a name cannot give, the others give in the same proportions.

    Args:
        counts: how many there are of each name.
        total: how many to take; all, where there are fewer.
        temperature: 1 keeps the proportions; the higher, the more even.
    """
    weights = {name: n ** (1 / temperature) for name, n in counts.items() if n}
    given: dict[str, int] = dict.fromkeys(counts, 0)
    left = min(total, sum(counts.values()))
    while weights:
        whole = sum(weights.values())
        full = [name for name in weights if counts[name] * whole <= left * weights[name]]
        if not full:
            break
        for name in full:
            given[name] = counts[name]
            left -= counts[name]
            del weights[name]
    whole = sum(weights.values())
    exact = {name: left * weight / whole for name, weight in weights.items()}
    given |= {name: int(share) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (int(exact[name]) - exact[name], name))
    for name in by_remainder[: left - sum(given[name] for name in exact)]:
        given[name] += 1
    return given
