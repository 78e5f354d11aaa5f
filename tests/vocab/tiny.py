"""Small real tokenizers, trained on the sample's English, and corpus folders from the sample's documents."""

import functools
import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import settings
from sentencepiece import SentencePieceTrainer
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from seallm.base.artifacts import StageContext
from seallm.base.files import resolve_path
from seallm.base.records import DOCUMENT_SCHEMA
from seallm.base.runtime import Runtime

PROPERTY = settings(deadline=None, max_examples=60)  # the first example may wait for a compiler
SAMPLE = resolve_path("sample:documents", Path())
PARALLEL = resolve_path("sample:parallel", Path())
LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@functools.cache
def documents(language: str, characters: int = 30_000) -> tuple[str, ...]:
    """The first documents of a language in the sample."""
    texts, size = [], 0
    with gzip.open(SAMPLE / f"{language}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            texts.append(json.loads(line)["text"][:4_000])
            size += len(texts[-1])
            if size > characters:
                break
    return tuple(texts)


def sentences(half: str, language: str, count: int) -> list[str]:
    """The first parallel sentences of the sample."""
    return (PARALLEL / f"{half}.{language}.txt").read_text(encoding="utf-8").split("\n")[:count]


@functools.cache
def byte_level_json(vocabulary: int = 600, pattern: str = "gpt2") -> str:
    """A byte-level tokenizer: GPT-2's regex inside ByteLevel, or Llama-3's beside it, with specials at the end."""
    tokenizer = Tokenizer(models.BPE())
    if pattern == "gpt2":
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        split = pre_tokenizers.Split(Regex(LLAMA3_PATTERN), "isolated")
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>"] if pattern == "gpt2" else [],
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents("en"), trainer)
    if pattern == "llama3":
        tokenizer.add_special_tokens(["<|begin|>", "<|end|>"])
        tokenizer.add_tokens(["<extra>"])
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<|begin|> $A", special_tokens=[("<|begin|>", tokenizer.token_to_id("<|begin|>"))]
        )
        document = json.loads(tokenizer.to_str())
        document["model"]["ignore_merges"] = True
        return json.dumps(document)
    return str(tokenizer.to_str())


@functools.cache
def sentencepiece_json(vocabulary: int = 700) -> str:
    """A tokenizer in the form of Llama-2's: no pre-tokenizer, "▁" for a space, byte pieces for unknown characters."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Metaspace()
    learner.train_from_iterator(documents("en"), trainers.BpeTrainer(vocab_size=vocabulary, show_progress=False))
    learned = json.loads(learner.to_str())["model"]
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += sorted(learned["vocab"], key=learned["vocab"].__getitem__)
    ids = {piece: number for number, piece in enumerate(pieces)}
    merges = [tuple(pair) for pair in learned["merges"]]
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    return str(tokenizer.to_str())


@functools.cache
def sentencepiece_model(kind: str = "bpe", vocabulary: int = 700, **options: object) -> bytes:
    """A `tokenizer.model` as SentencePiece's own trainer writes it, with byte fallback, like Llama-2's."""
    written = io.BytesIO()
    usual = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False, "byte_fallback": True}
    SentencePieceTrainer.train(
        sentence_iterator=iter(line[:2_000] for text in documents("en") for line in text.split("\n") if line),
        model_writer=written,
        model_type=kind,
        vocab_size=vocabulary,
        minloglevel=2,
        **{**usual, **options},
    )
    return written.getvalue()


BASES = {
    "byte-level": byte_level_json,
    "byte-level with specials behind": functools.partial(byte_level_json, 600, "llama3"),
    "sentencepiece": sentencepiece_json,
}


def write_base(folder: Path, tokenizer_json: str) -> Path:
    """A base stage's folder."""
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "tokenizer.json").write_text(tokenizer_json, encoding="utf-8")
    return folder


def write_corpus(folder: Path, languages: Sequence[str], characters: int = 30_000) -> Path:
    """A corpus stage's folder, every second document in the low tier."""
    (folder / "documents").mkdir(parents=True)
    for language in languages:
        rows = [
            {"id": str(n), "text": text, "language": language} for n, text in enumerate(documents(language, characters))
        ]
        for tier, part in (("high", rows[::2]), ("low", rows[1::2])):
            pq.write_table(
                pa.Table.from_pylist(part, DOCUMENT_SCHEMA), folder / "documents" / f"{language}.{tier}.parquet"
            )
    return folder


def write_parallel(folder: Path, languages: Sequence[str], count: int = 60) -> Path:
    """A parallel folder with the first sentences of both halves."""
    folder.mkdir(parents=True)
    for language in languages:
        for half in ("dev", "test"):
            text = "\n".join(sentences(half, language, count)) + "\n"
            (folder / f"{half}.{language}.txt").write_text(text, encoding="utf-8")
    return folder


def make_context(folder: Path, languages: Sequence[str], base: str = "byte-level") -> StageContext:
    """A stage context over a base, a corpus and parallel sentences in one new folder."""
    inputs = {"base": write_base(folder / "base", BASES[base]()), "corpus": write_corpus(folder / "corpus", languages)}
    write_parallel(folder / "parallel", languages)
    (folder / "out").mkdir()
    return StageContext(folder / "out", inputs, tuple(languages), 3, Runtime(show_progress=False), folder)
