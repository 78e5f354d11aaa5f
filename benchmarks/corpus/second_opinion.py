"""A page's label and text in, whether the text bears the label out: by function words alone, nothing that seallm uses.

The labelled crawls take a document's folder for its language. Untranslated manuals, and archives in which articles of
two languages were strung together, bear labels that their text contradicts, and no identifier can be right about them.
How much of a text is in a language is estimated from its function words: their count over their rate in the parallel
sentences of NTREX-128. Other scripts than the Latin one speak for themselves; their labels are believed.
"""

import re
from collections import Counter
from pathlib import Path

FUNCTION_WORDS = {
    "en": "the to of and for that is with was has be by have are this not which from been would",
    "vi": "của và một trong các đã có là được với vào những khi không sẽ này từ để đang bị",
    "malay": "yang dan di ke dari daripada untuk dengan dalam pada ini itu tidak adalah akan oleh mereka",
    "tl": "sa ng na ang mga isang ni si hindi noong ito niya nang ay kung kanyang siya dahil habang ngunit",
    "id": "bahwa saat karena bisa hal bagian adanya persen tim hasil sedangkan berkas",
    "ms": "beliau selepas kerana pasukan bahawa apabila semula syarikat berlaku semasa peratus ramai",
}
GROUPS = {"en": "en", "vi": "vi", "id": "malay", "ms": "malay", "tl": "tl"}
PAIR = ("id", "ms")
MIN_SHARE = 0.5
_WORD = re.compile(r"[^\W\d_]+")


class SecondOpinion:
    """Tells labels that a text contradicts, from the rates of function words in parallel sentences."""

    def __init__(self, data: Path) -> None:
        self.words = {name: frozenset(words.split()) for name, words in FUNCTION_WORDS.items()}
        counts = {code: _count((data / "parallel" / "ntrex" / f"{code}.txt").read_text("utf-8")) for code in GROUPS}
        spoken = {name: ("id", "ms") if name == "malay" else (name,) for name in self.words}
        self.rates = {
            name: sum(self._found(counts[code], name) for code in codes) / sum(counts[code].total() for code in codes)
            for name, codes in spoken.items()
        }

    def holds(self, text: str, label: str) -> bool:
        """Whether the label's language makes up half of the text or more; True where its words cannot tell."""
        if label not in GROUPS:
            return True
        counts = _count(text)
        share = self._share(counts, GROUPS[label], tuple(dict.fromkeys(GROUPS.values())))
        return share >= MIN_SHARE and (label not in PAIR or self._share(counts, label, PAIR) >= MIN_SHARE)

    def _share(self, counts: Counter[str], name: str, rivals: tuple[str, ...]) -> float:
        amounts = {rival: self._found(counts, rival) / self.rates[rival] for rival in rivals}
        return amounts[name] / sum(amounts.values()) if any(amounts.values()) else 1.0

    def _found(self, counts: Counter[str], name: str) -> int:
        return sum(counts[word] for word in self.words[name])


def _count(text: str) -> Counter[str]:
    return Counter(_WORD.findall(text.lower()))
