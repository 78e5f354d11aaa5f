"""Build the sample that ships with seallm from a folder of real texts.

    python scripts/make_sample.py --data DIR [--out src/seallm/sample] [--notice NOTICE]

Reads DIR and the hand-written chat/<language>.jsonl and quiz/<language>.json of OUT; writes everything else below OUT,
and NOTICE. The same input gives the same bytes: the seed is fixed and no time is stored. Needs PyICU for one file
(`pip install PyICU`). It stops where an evaluation text occurs in a training text, or the sample grows beyond 8 MB.

DIR holds, for the ten languages <l> (en zh vi id th ms km lo my tl):
    docs/<l>.jsonl.gz               {id, text, source, lang}: `source` is a `pack` name of sample_parts/sources.toml
    docs_noisy/<l>.tesseract.txt.gz fragments, one a line (km lo my th); th.wisesight.txt.gz: posts, one a line
    html/<l>/lo_*.html udhr_*.html  original pages of LibreOffice Help and of the UDHR, where there are any
    chat/<l>.jsonl                  {messages, source, lang} (en zh vi id th my)
    bench/xcopa/val.<l>.jsonl       XCOPA (id th vi zh); bench/xquad/<l>.jsonl: XQuAD, answers as texts (en th vi zh)
    parallel/sib200/{train,dev}.<l>.jsonl {id, text}; parallel/ntrex/<l>.txt: aligned lines
    safety/multijail.jsonl          {id, en, zh, vi, th, ...}
    safety/seasafeguard_general.<l>.jsonl {id, prompt_text} (id ms my tl)
"""

import argparse
import gzip
import html
import json
import random
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

from sample_parts import chats, evaluation, knowledge, notice, web
from sample_parts.noisy import noisy_rows
from sample_parts.overlap import MAX_SHARED, letters, shared_passages
from sample_parts.sources import LANGUAGES, Part, Row, choose, load_table, read_parts, read_rows

SEED = 20240305
WEB_SHARE = 0.6
MAX_SAMPLE_BYTES = 8_000_000
ROOT = Path(__file__).resolve().parents[1]


class Sample:
    """What is built, until it is written: files by name, and which source lies in which."""

    def __init__(self, data: Path, hand_written: Path) -> None:
        self.data = data
        self.hand_written = hand_written
        self.sources, self.kilobytes, self.base_kilobytes = load_table()
        self.texts = _load_texts()
        self.files: dict[str, bytes] = {}
        self.held: dict[str, set[str]] = {}
        self.training: dict[str, list[str]] = {language: [] for language in LANGUAGES}
        self.passages: dict[str, dict[str, str]] = {language: {} for language in LANGUAGES}
        self.questions: dict[str, list[str]] = {language: [] for language in LANGUAGES}

    def random(self, name: str) -> random.Random:
        """A generator of its own for each piece of work, so that a change in one does not move the others."""
        return random.Random(f"{SEED} {name}")

    def add(self, name: str, content: bytes, sources: Iterable[str]) -> None:
        """Keep a file and note what it holds."""
        self.files[name] = content
        for source in sources:
            self.held.setdefault(source, set()).add(
                re.sub(r"\.(en|zh|vi|id|th|ms|km|lo|my|tl)\.", ".<language>.", name)
            )

    def add_rows(self, name: str, rows: list[Row], sources: Iterable[str] | None = None) -> None:
        """Keep JSON lines; a `.gz` name packs them. Sources default to the rows' own."""
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8")
        names = {row.get("origin") or row["source"] for row in rows} if sources is None else sources
        self.add(name, gzip.compress(content, 9, mtime=0) if name.endswith(".gz") else content, names)


def _load_texts() -> Row:
    return tomllib.loads((Path(__file__).parent / "sample_parts" / "texts.toml").read_text(encoding="utf-8"))


def document_row(part: Part) -> Row:
    """A part as it lies in documents/ and base/."""
    source = part.source
    return {"id": part.id, "text": part.text, "source": source.name, "url": source.link, "licence": source.licence}


def choose_base(sample: Sample, parts: dict[str, list[Part]]) -> set[str]:
    """Write base/english.jsonl.gz; return the documents that are set apart for it, of each source a share."""
    rows: list[Row] = []
    set_apart: set[str] = set()
    for name, kilobytes in sample.base_kilobytes.items():
        rng = sample.random(f"base {name}")
        documents = list(dict.fromkeys(part.document for part in parts[name]))
        share = kilobytes / (kilobytes + sample.kilobytes["en"][name])
        apart = set(rng.sample(documents, round(share * len(documents))))
        chosen = choose([part for part in parts[name] if part.document in apart], kilobytes * 1000, "en", rng)
        rows += [document_row(part) for part in chosen]
        set_apart |= apart
    sample.random("base order").shuffle(rows)
    sample.add_rows("base/english.jsonl.gz", rows)
    sample.training["en"] += [row["text"] for row in rows]
    return set_apart


def choose_parts(
    sample: Sample, language: str, parts: dict[str, list[Part]]
) -> tuple[list[Part], list[Part], list[Part]]:
    """Parts for web pages, parts for documents, and parts left over."""
    pages: list[Part] = []
    documents: list[Part] = []
    left: list[Part] = []
    for name, kilobytes in sample.kilobytes[language].items():
        chosen = choose(parts[name], kilobytes * 1000, language, sample.random(f"{language} {name}"))
        wanted = WEB_SHARE * sum(part.bytes for part in chosen)
        size = 0
        for part in chosen:
            (pages if size < wanted else documents).append(part)
            size += part.bytes
        left += [part for part in parts[name] if part not in set(chosen)]
    sample.random(f"{language} order").shuffle(pages)
    return pages, documents, left


def add_texts(sample: Sample) -> None:
    """Web pages, documents and the base text: everything that is trained on, conversations apart."""
    entries: list[web.Entry] = []
    spare: dict[str, Part] = {}
    for language in LANGUAGES:
        parts = read_parts(sample.data, language, sample.sources)
        shown = set(web.real_pages(sample.data, language))
        if "udhr_" in " ".join(shown):
            parts["udhr"] = []
        for name, listed in parts.items():
            parts[name] = [
                p for p in listed if p.document.replace("libreoffice-help/", "lo_").replace("/", "_") not in shown
            ]
        if language == "en":
            taken = choose_base(sample, parts)
            parts = {name: [p for p in listed if p.document not in taken] for name, listed in parts.items()}
        pages, documents, left = choose_parts(sample, language, parts)
        rng = sample.random(f"{language} pages")
        placed = web.page_entries(pages, language, sample.texts, rng)
        entries += [entry for _, entry in placed]
        entries += web.copies(placed, sample.texts, rng)
        entries += web.real_entries(sample.data, language, sample.sources)
        add_documents(sample, language, documents, left)
        spare[language] = next((part for part in left if part.bytes > 1500), pages[0])
    entries += web.odd_entries(spare, sample.texts, sample.sources, sample.random("odd"))
    damaged = web.damaged_entry(spare["en"], sample.texts)
    files = web.place(entries, damaged, sample.random("place"))
    for file, placed_entries in sorted(files.items()):
        held = {entry.source for entry in placed_entries} | {"seallm-sample"}
        sample.add(f"web/{file}.warc.gz", web.warc_bytes(file, placed_entries), held)
    truth = [entry.truth() for file in sorted(files) for entry in files[file]]
    sample.add_rows("web/truth.jsonl", truth, ["seallm-sample"])
    for entry in entries:
        text = html.unescape(re.sub(r"<[^>]+>", " ", entry.body.decode("utf-8", errors="replace")))
        sample.training[entry.language if entry.language in LANGUAGES else "en"].append(text)


def add_documents(sample: Sample, language: str, documents: list[Part], left: list[Part]) -> None:
    """documents/<language>.jsonl.gz with noisy rows among the good ones, and the plain file with two broken lines."""
    rows = [document_row(part) for part in documents]
    prose = [part for part in left if part.source.name in ("edgeai-for-beginners", "libreoffice-help")]
    rows += noisy_rows(sample.data, language, prose, sample.sources, sample.random(f"{language} noisy"))
    sample.random(f"{language} documents").shuffle(rows)
    if language == "en":
        good, rows = rows[:3], rows[3:]
        lines = [json.dumps(row, ensure_ascii=False) for row in good]
        broken = [lines[0], lines[1][: len(lines[1]) // 2], lines[1], '["a list", "is not a document"]', lines[2]]
        names = {row.get("origin") or row["source"] for row in good}
        sample.add("documents/broken.jsonl", ("\n".join(broken) + "\n").encode("utf-8"), names)
        sample.training["en"] += [row["text"] for row in good]
    sample.add_rows(f"documents/{language}.jsonl.gz", rows)
    sample.training[language] += [row["text"] for row in rows]


def add_knowledge(sample: Sample) -> None:
    """Documents, conversations and test questions from the quiz items."""
    source = sample.sources["seallm-knowledge"]
    asked: list[Row] = []
    for language in LANGUAGES:
        quiz = knowledge.load_quiz(sample.hand_written / "quiz", language)
        rows = knowledge.documents(quiz, language, source, sample.random(f"{language} knowledge"))
        sample.add_rows(f"documents/knowledge.{language}.jsonl.gz", rows)
        asked += knowledge.conversations(quiz, language, source, sample.random(f"{language} questions"))
        tests = knowledge.test_questions(quiz, sample.random(f"{language} tests"))
        sample.add_rows(f"bench/quiz.{language}.jsonl", tests, [source.name])
        sample.training[language] += [row["text"] for row in rows]
        sample.questions[language] = [row["question"] for row in tests]
    sample.add_rows("chat/knowledge.jsonl", asked)
    public = chats.public_conversations(sample.data, sample.sources, sample.random("public"))
    sample.add_rows("chat/public.jsonl", public)
    own = [row for language in LANGUAGES for row in read_rows(sample.hand_written / "chat" / f"{language}.jsonl")]
    for row in asked + public + own:
        sample.training[row["language"]].append("\n".join(message["content"] for message in row["messages"]))


def add_evaluation(sample: Sample) -> None:
    """Parallel sentences, benchmark rows, safety prompts."""
    halves = evaluation.parallel(sample.data, sample.random("parallel"))
    ntrex = evaluation.ntrex(sample.data, sample.random("ntrex"))
    for language in LANGUAGES:
        for half, by_language in halves.items():
            _add_lines(sample, f"parallel/{half}.{language}.txt", by_language[language], "sib-200")
        _add_lines(sample, f"bench/ntrex.{language}.txt", ntrex[language], "ntrex-128")
        passages = sample.passages[language]
        passages |= {f"parallel {half} {k}": t for half in halves for k, t in enumerate(halves[half][language])}
        passages |= {f"ntrex {k}": text for k, text in enumerate(ntrex[language])}
    for name, benchmark in (("xcopa", evaluation.xcopa(sample.data)), ("xquad", evaluation.xquad(sample.data))):
        for language, rows in benchmark.items():
            sample.add_rows(f"bench/{name}.{language}.jsonl", rows, [name])
            keys = ("premise", "choice1", "choice2", "context", "question")
            texts = {f"{name} {k}": " ".join(row[key] for key in keys if key in row) for k, row in enumerate(rows)}
            sample.passages[language] |= texts
    prompts = evaluation.safety(sample.data, sample.texts, sample.sources)
    sample.add_rows("safety/prompts.jsonl", prompts)
    for number, row in enumerate(prompts):
        sample.passages[row["language"]][f"safety {number}"] = row["prompt"]


def _add_lines(sample: Sample, name: str, lines: list[str], source: str) -> None:
    sample.add(name, ("\n".join(lines) + "\n").encode("utf-8"), [source])


def check_overlap(sample: Sample) -> None:
    """Print the largest share of an evaluation text found in training text, by language.

    Raises:
        SystemExit: a passage or a test question leaks.
    """
    leaks: list[str] = []
    for language in LANGUAGES:
        shares = shared_passages(sample.training[language], sample.passages[language])
        worst = sorted(shares, key=lambda name: -shares[name])[:3]
        print(f"overlap {language}: " + ", ".join(f"{name} {shares[name]:.2f}" for name in worst))
        leaks += [
            f"{language} {name}: {sample.passages[language][name]}" for name in shares if shares[name] >= MAX_SHARED
        ]
        plain = "\n".join(letters(text) for text in sample.training[language])
        leaks += [
            f"{language} quiz: {question}" for question in sample.questions[language] if letters(question) in plain
        ]
    if leaks:
        raise SystemExit("Evaluation texts occur in training texts:\n" + "\n".join(leaks))


def write(sample: Sample, out: Path, notice_path: Path) -> None:
    """Write all files and print their sizes.

    Raises:
        SystemExit: the sample is too large.
    """
    kept = {path.relative_to(out).as_posix(): path.stat().st_size for path in _hand_written_files(out)}
    total = sum(len(content) for content in sample.files.values()) + sum(kept.values())
    if total > MAX_SAMPLE_BYTES:
        raise SystemExit(
            f"The sample takes {total:,} bytes; at most {MAX_SAMPLE_BYTES:,}. Lower the kilobytes in sources.toml"
        )
    for name, content in sample.files.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    notice_path.write_text(notice.notice(sample.sources, sample.held), encoding="utf-8")
    folders: dict[str, int] = {}
    for name, size in (*kept.items(), *((name, len(content)) for name, content in sample.files.items())):
        folders[name.split("/")[0]] = folders.get(name.split("/")[0], 0) + size
    print(
        ", ".join(f"{folder} {size / 1e6:.2f}" for folder, size in sorted(folders.items())) + f"; {total / 1e6:.2f} MB"
    )


def _hand_written_files(out: Path) -> list[Path]:
    chat = [out / "chat" / f"{language}.jsonl" for language in LANGUAGES]
    return chat + [out / "quiz" / f"{language}.json" for language in LANGUAGES]


def main() -> None:
    """Build, check, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=ROOT / "src" / "seallm" / "sample")
    parser.add_argument("--notice", type=Path, default=ROOT / "NOTICE")
    arguments = parser.parse_args()
    sample = Sample(arguments.data, arguments.out)
    sample.held["seallm-sample"] = {"chat/<language>.jsonl", "quiz/<language>.json"}
    add_texts(sample)
    add_knowledge(sample)
    add_evaluation(sample)
    check_overlap(sample)
    write(sample, arguments.out, arguments.notice)


if __name__ == "__main__":
    main()
