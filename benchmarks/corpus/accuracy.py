"""What became of each kind of page of a labelled crawl, as one table; the aims stand beside the figures.

The crawls are made of natural documents, which were not checked: some are in another language than their folder says,
copies of one another, or full of addresses. Such rows stand twice, once for all pages and once for those without.
"""

import re
from argparse import Namespace
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from benchmarks.corpus.crawls import LANGUAGES, Row, build, documents_of, make_crawl, read_corpus, truth_of
from benchmarks.corpus.second_opinion import SecondOpinion

NEAR_JACCARD, NATURAL_COPY_JACCARD = 0.8, 0.6
PLACEHOLDER = re.compile(r"<(email|phone|card|id|ip)>")
CONTACT = re.compile(r"[@＠]|\b(?:tel|telp|telepon|telefon|phone|fax|faks|hp|wa|hotline|talian)\b", re.IGNORECASE)
MOJIBAKE = re.compile("[ÂÃ][\x80-\xbf]|á[º»]|à[¸¹]|\ufffd")
UNSPACED = {"zh", "th", "km", "lo", "my"}


def measure_accuracy(arguments: Namespace) -> list[Row]:
    """Build a corpus of a crawl for each seed, and compare it with the truth."""
    rows = []
    for seed in arguments.seeds:
        crawl = make_crawl(arguments, seed, arguments.pages)
        out = arguments.out / f"corpus-{seed}"
        bench = sorted(map(str, (arguments.data / "bench" / "xquad").glob("*.jsonl")))
        build(crawl, out, "--languages", ",".join(LANGUAGES), "--decontaminate", *bench)
        rows.append({"seed": seed, **_compare(truth_of(crawl), read_corpus(out), arguments)})
        _print_table(rows[-1])
    return rows


def _compare(truth: Sequence[Row], corpus: dict[str, list[Row]], arguments: Namespace) -> Row:
    kinds: dict[str, list[tuple[Row, Row]]] = defaultdict(list)
    lost = []
    for page in truth:
        documents = corpus.get(page["url"], [])
        if documents:
            kinds[page["kind"]].append((page, max(documents, key=lambda d: d["kept"])))
        elif page["kind"] != "broken":
            lost.append(page["url"])
    confusion = {kind: _outcomes(pairs) for kind, pairs in sorted(kinds.items())}
    family: dict[str, list[Row]] = defaultdict(list)
    for page, document in (pair for pairs in kinds.values() for pair in pairs):
        family[page["group"] or page["url"]].append(document)
    texts = {page["url"]: document["text"] for pairs in kinds.values() for page, document in pairs}
    opinion = SecondOpinion(arguments.data)
    borne_out = [(page, d) for page, d in kinds["good"] if opinion.holds(d["text"], page["lang"])]
    copied = {page["group"] for page in truth if page["group"]}
    alone = [pair for pair in kinds["good"] if pair[0]["url"] not in copied]
    lost_as_copies = [(page, d) for page, d in alone if d["reason"] in ("exact_duplicate", "near_duplicate")]
    in_error = [pair for pair in lost_as_copies if not _resembles_kept(pair[1], kinds["good"])]
    clean = [d for page, d in kinds["good"] if d["kept"]]
    without_contact = [d for d in clean if not CONTACT.search(_unmasked(d["text"]))]
    near = [p for p in kinds["near"] if _jaccard(texts.get(p[0]["group"], ""), p[1]) >= NEAR_JACCARD]

    def kept_right(pair: tuple[Row, Row]) -> bool:
        return any(_is_right((pair[0], document)) for document in family[pair[0]["url"]])

    return {
        "confusion": confusion,
        "figures": {
            "good kept or a copy of it, language right (98 %)": _share(kinds["good"], kept_right),
            "  those whose words bear the label out (98 %)": _share(borne_out, kept_right),
            "foreign dropped (97 %)": _share(kinds["foreign"], _is_dropped),
            "gibberish dropped (97 %)": _share(kinds["gibberish"], _is_dropped),
            "exact copies found (100 %)": _share(kinds["exact"], lambda p: not _both_kept(p, corpus)),
            "near copies found, Jaccard 0.8 (95 %)": _share(near, lambda p: not _both_kept(p, corpus)),
            "originals lost as duplicates (0.5 %)": (len(lost_as_copies), len(alone)),
            "  those that no kept page resembles (0.5 %)": (len(in_error), len(alone)),
            "personal data masked (98 %)": _share(kinds["pii"], lambda p: p[0]["planted"]["value"] not in p[1]["text"]),
            "clean pages touched (1 %)": (sum(bool(PLACEHOLDER.search(d["text"])) for d in clean), len(clean)),
            "  those with no @ and no word for telephone (1 %)": (
                sum(bool(PLACEHOLDER.search(d["text"])) for d in without_contact),
                len(without_contact),
            ),
            "leaks caught (100 %)": _share(kinds["leak"], lambda p: not p[1]["kept"]),
            "mojibake kept, language right": _share(kinds["mojibake"], _is_right),
            "mojibake characters restored (100 %)": _restored(kinds["mojibake"], arguments),
            "pages that left no trace (0)": (len(lost), len(truth)),
        },
        "lost": lost[:20],
    }


def _unmasked(text: str) -> str:
    """An e-mail's placeholder tells that there was an @."""
    return text.replace("<email>", "@")


def _resembles_kept(document: Row, good: Sequence[tuple[Row, Row]]) -> bool:
    rivals = (d for _, d in good if d["kept"] and d["language"] == document["language"])
    return any(_jaccard(rival["text"], document) >= NATURAL_COPY_JACCARD for rival in rivals)


def _outcomes(pairs: Iterable[tuple[Row, Row]]) -> dict[str, int]:
    return dict(
        Counter(
            ("kept" if d["language"] == page["lang"] else "kept as another language") if d["kept"] else d["reason"]
            for page, d in pairs
        ).most_common()
    )


def _is_right(pair: tuple[Row, Row]) -> bool:
    page, document = pair
    return bool(document["kept"] and document["language"] == page["lang"])


def _is_dropped(pair: tuple[Row, Row]) -> bool:
    return not pair[1]["kept"]


def _both_kept(pair: tuple[Row, Row], corpus: dict[str, list[Row]]) -> bool:
    original = corpus.get(pair[0]["group"], [])
    return bool(pair[1]["kept"] and any(document["kept"] for document in original))


def _share(pairs: Sequence[tuple[Row, Row]], test: Callable[[tuple[Row, Row]], bool]) -> tuple[int, int]:
    return sum(map(test, pairs)), len(pairs)


def _jaccard(original: str, copy: Row) -> float:
    """Of 5-grams of words, or of 10-grams of characters where no spaces part words."""
    units = [list(t) if copy["language"] in UNSPACED else t.split() for t in (original, copy["text"])]
    size = 10 if copy["language"] in UNSPACED else 5
    first, second = ({tuple(u[i : i + size]) for i in range(len(u) - size + 1)} for u in units)
    return len(first & second) / max(len(first | second), 1)


def _restored(pairs: Sequence[tuple[Row, Row]], arguments: Namespace) -> tuple[int, int]:
    """Characters in 8-grams that the unbroken document has too, over all characters; white space aside."""
    originals: dict[str, list[set[str]]] = {}
    right = total = 0
    for page, document in pairs:
        if page["lang"] not in originals:
            originals[page["lang"]] = [_grams(t) for t in documents_of(arguments, page["lang"])]
        text = "".join(document["text"].split())
        grams = [text[i : i + 8] for i in range(len(text) - 7)]
        probe = set(grams[:: max(len(grams) // 50, 1)])
        source = max(originals[page["lang"]], key=lambda known: len(probe & known))
        right += sum(gram in source for gram in grams)
        total += len(grams)
    return right, total


def _grams(text: str) -> set[str]:
    text = "".join(text[:20_000].split())
    return {text[i : i + 8] for i in range(len(text) - 7)}


def _print_table(row: dict[str, Any]) -> None:
    print(f"\nseed {row['seed']}")
    for kind, outcomes in row["confusion"].items():
        print(f"  {kind:<10} {sum(outcomes.values()):>6}  " + ", ".join(f"{k} {n}" for k, n in outcomes.items()))
    for name, (hits, n) in row["figures"].items():
        print(f"  {name:<50} {hits:>7,} of {n:>7,}  {100 * hits / max(n, 1):6.2f} %")
