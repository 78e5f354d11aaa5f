"""Time and peak memory of the learner as its text grows, each size in a process of its own.

The documents are too few for large sizes. They are cut into fragments of 12 to 40 characters (at spaces where there
are any, else between clusters) which are drawn at random and joined anew, so that long
pieces do not repeat as copies of documents would; words and clusters keep their frequencies.
"""

import json
import random
import resource
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.vocab.data import LANGUAGES, canonical, documents, sib200
from seallm.languages import load_languages
from seallm.recipe_vocab import Vocab
from seallm.vocab.base_tokenizer import load_bpe
from seallm.vocab.expansion import LanguageTexts, expand
from seallm.vocab.scripts import is_cluster_boundary

UNSPACED = ("en", "th", "km", "lo", "my")
FRAGMENT_CHARACTERS, DOCUMENT_FRAGMENTS, SEED = (12, 40), 200, 7


def measure_scaling(arguments: Namespace) -> list[dict[str, Any]]:
    """One row a size: seconds and peak megabytes, compilation of the kernels left out."""
    rows = []
    cases = [("ten languages", LANGUAGES, size) for size in arguments.megabytes]
    cases.append(("scripts without spaces", UNSPACED, sorted(arguments.megabytes)[len(arguments.megabytes) // 2]))
    for name, languages, megabytes in cases:
        case = {"data": str(arguments.data), "base": str(arguments.tokenizers / "llama2"), "languages": languages}
        case |= {"megabytes": megabytes, "new_tokens": arguments.new_tokens}
        command = [sys.executable, "-m", "benchmarks.vocab.scaling", json.dumps(case)]
        row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        rows.append({"text": name, **row})
        print(rows[-1], flush=True)
    return rows


def learn_once(case: dict[str, Any]) -> dict[str, Any]:
    """Learn from so many megabytes, shared equally by the languages."""
    base, data = load_bpe(Path(case["base"])), Path(case["data"])
    languages, each = load_languages(tuple(case["languages"])), case["megabytes"] / len(case["languages"])
    sentences = canonical(sib200(data, "train"))

    def texts(megabytes: float) -> list[LanguageTexts]:
        return [LanguageTexts(k, resampled(data, code, megabytes), sentences[code]) for code, k in languages.items()]

    expand(base, texts(0.05), Vocab(parallel="-", new_tokens=2_500), lambda: None)  # compiles the kernels
    drawn = [LanguageTexts(t.language, list(t.corpus), t.development) for t in texts(each)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, processor = time.perf_counter(), time.process_time()
    settings = Vocab(parallel="-", new_tokens=case["new_tokens"])
    expand(base, drawn, settings, lambda: None)
    return {
        "megabytes": case["megabytes"],
        "seconds": round(time.perf_counter() - started, 1),
        "processor_seconds": round(time.process_time() - processor, 1),
        "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "of_which_text_megabytes": round(before / 1024),
    }


def resampled(data: Path, code: str, megabytes: float) -> Iterator[str]:
    """New documents out of fragments of the old ones."""
    source = random.Random(f"{SEED}-{code}")
    fragments = [f for text in documents(data, code, 20.0) for line in text.split("\n") for f in cut(line, source)]
    size = 0
    while size < megabytes * 1e6:
        text = "".join(source.choices(fragments, k=DOCUMENT_FRAGMENTS))
        size += len(text.encode("utf-8"))
        yield text


def cut(line: str, source: random.Random) -> Iterator[str]:
    """Fragments of a line, which begin with a space where the line had one there."""
    start = 0
    while start < len(line):
        end = min(start + source.randint(*FRAGMENT_CHARACTERS), len(line))
        space = line.find(" ", end)
        if 0 <= space < end + FRAGMENT_CHARACTERS[1]:
            end = space
        while end < len(line) and not is_cluster_boundary(line[end - 1], line[end]):
            end += 1
        yield line[start:end]
        start = end


if __name__ == "__main__":
    print(json.dumps(learn_once(json.loads(sys.argv[1]))))
