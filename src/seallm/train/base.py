"""The model to start from: a Hugging Face folder or hub id, checked and copied; or a tiny Llama trained here.

The tiny one learns a byte-level BPE and a Llama from English documents, in the same loop as everything else. Its
pre-tokenizer keeps letters and the marks upon them together, so that a later extension of the vocabulary can compress
scripts that write vowels as marks (Burmese, Khmer, Lao, Thai): the letters-only pattern of Llama 3 and Qwen cannot.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from seallm.base.artifacts import StageContext
from seallm.base.errors import DataError
from seallm.base.files import atomic_writer, read_json_lines, write_json_lines
from seallm.base.records import DOCUMENT_SCHEMA
from seallm.model.checkpoints import load_tokenizer, new_llama, resolve_base
from seallm.recipe import Base
from seallm.recipe_training import TrainBase
from seallm.train.batches import rows_per_step
from seallm.train.loop import Periodic, Phase, train
from seallm.train.mixture import TextBatches, make_rows
from seallm.train.objectives import next_token_loss
from seallm.train.shares import Balance
from seallm.train.sources import Source
from seallm.train.start import MODEL, check_positions, finish, load_weights_in_full, prepare_torch
from seallm.train.store import TokenStore, build_store, tokenizer_mark

BEGIN, END = "<s>", "</s>"
WORDS = (  # one pre-token: an English ending, a word with its space, a digit, punctuation, a line end, spaces
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{M}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHECKPOINT_EVERY_STEPS = 50
WORK, SENTENCEPIECE_FILE = "work", "tokenizer.model"


def run(settings: Base, context: StageContext) -> None:
    """Write `model/`; a model that is trained here also gets `metrics.jsonl`.

    Raises:
        ModelError: the folder or hub model is incomplete or has weights that are not numbers.
        DataError: there are no documents to train on.
    """
    if settings.train is not None:
        _train(settings.train, context)
        return
    folder = resolve_base(settings, context.recipe_folder)
    tokenizer = load_tokenizer(folder)
    model = load_weights_in_full(folder, context)
    context.counts["parameters"] = sum(p.numel() for p in model.parameters())
    finish(context, model, tokenizer)
    if (folder / SENTENCEPIECE_FILE).is_file():  # the vocab stage extends it too
        shutil.copyfile(folder / SENTENCEPIECE_FILE, context.out / MODEL / SENTENCEPIECE_FILE)


def learn_tokenizer(texts: Sequence[str], vocabulary_tokens: int) -> PreTrainedTokenizerFast:
    """Learn a byte-level BPE with tokens for the beginning and the end of a document.

    Args:
        texts: what to learn from.
        vocabulary_tokens: size wanted; smaller texts give fewer tokens. At least the 256 bytes and two control tokens.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_tokens,
        special_tokens=[BEGIN, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BEGIN} $A", special_tokens=[(BEGIN, 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BEGIN, eos_token=END, clean_up_tokenization_spaces=False
    )


def _train(settings: TrainBase, context: StageContext) -> None:
    """Learn the tokenizer, then train the model, in a working folder that goes when both are done."""
    work = context.out / WORK
    texts = _read_texts(context.files(settings.documents), context)
    tokenizer = learn_tokenizer(texts, settings.vocabulary_tokens)
    store = _open_store(work, texts, tokenizer, context)
    device = prepare_torch(context)
    model = new_llama(
        len(tokenizer),
        hidden_size=settings.hidden_size,
        layers=settings.layers,
        heads=settings.heads,
        max_sequence_tokens=settings.max_sequence_tokens,
        seed=context.seed,
    ).to(device)
    check_positions({"[base.train] sequence_tokens": settings.sequence_tokens}, model)
    per_step = rows_per_step(settings.batch_tokens, settings.sequence_tokens)
    sources = {name: (Source(name, store.documents(name), context.seed), 0) for name in store.tokens}
    balance = Balance(context.languages[0], 1.0, 1.0)
    rows = make_rows("base", store, sources, balance, settings.steps * per_step, settings.sequence_tokens)
    context.counts.update(
        parameters=sum(p.numel() for p in model.parameters()),
        vocabulary_tokens=len(tokenizer),
        documents=len(texts),
        tokens=sum(map(len, store.tokens.values())),
        sources=rows.summary(),
    )
    phase = Phase("base", settings.steps, TextBatches(rows, per_step, device), next_token_loss, settings.optimiser)
    train(model, [phase], context, Periodic("training the base", CHECKPOINT_EVERY_STEPS))
    finish(context, model, tokenizer)
    shutil.rmtree(work)


def _open_store(
    work: Path, texts: Sequence[str], tokenizer: PreTrainedTokenizerFast, context: StageContext
) -> TokenStore:
    tokenizer.save_pretrained(str(work / "tokenizer"))
    documents = work / "documents.parquet"
    _write_documents(documents, texts, context.languages[0])
    mark = tokenizer_mark(work / "tokenizer", tokenizer)
    return build_store(work / "tokens", {f"{context.languages[0]}.high": documents}, mark, context.runtime)


def _read_texts(files: Sequence[Path], context: StageContext) -> list[str]:
    """The texts of JSONL documents; rows without a text go to quarantine.jsonl and are counted."""
    texts, bad = [], []
    for path in files:
        for number, row in read_json_lines(path):
            text = None if isinstance(row, DataError) else row.get("text")
            if isinstance(text, str) and text.strip():
                texts.append(text)
            else:
                reason = str(row).removeprefix(f"{path}:{number}: ") if isinstance(row, DataError) else "no text"
                bad.append({"where": f"{path.name}:{number}", "reason": reason})
    write_json_lines(context.out / "quarantine.jsonl", bad)
    context.counts["quarantined"] = len(bad)
    if not texts:
        raise DataError(
            f"[base.train] documents: {len(files)} files from {files[0] if files else 'nowhere'} on hold no document "
            'with a text. Expected JSONL, one {"text": ...} a line'
        )
    return texts


def _write_documents(path: Path, texts: Sequence[str], language: str) -> None:
    columns = {"id": [str(n) for n in range(len(texts))], "text": texts, "language": [language] * len(texts)}
    table = pa.table(
        {**columns, **{n: [None] * len(texts) for n in DOCUMENT_SCHEMA.names if n not in columns}}, DOCUMENT_SCHEMA
    )
    with atomic_writer(path) as file:
        pq.write_table(table, file, compression="zstd")
