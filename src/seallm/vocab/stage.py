"""The vocab stage: base tokenizer and corpus in; extended tokenizer, certificate and compression figures out.

    tokenizer/            Hugging Face folder
    tokens_added.json     every new token with its language, and what was refused
    certificate.json      what was checked, on how many texts, with what result
    compression.json      tokens for the same meaning before and after, by language

It takes seconds to minutes and is made again from the start after a kill; every file is written whole.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from seallm.base.artifacts import StageContext, timed
from seallm.base.errors import VocabError
from seallm.base.files import write_json
from seallm.base.runtime import progress
from seallm.canonical.repair import repair_line
from seallm.languages import load_languages
from seallm.recipe_vocab import Vocab
from seallm.vocab.base_tokenizer import BpeTokenizer, load_bpe
from seallm.vocab.certificate import Samples, certificate, certify, demand
from seallm.vocab.compression import measure_compression
from seallm.vocab.expansion import Expansion, LanguageTexts, expand
from seallm.vocab.extend import extended_document, write_tokenizer
from seallm.vocab.sentencepiece_extension import SENTENCEPIECE_FILE, model_file_of, with_all_splits, write_model
from seallm.vocab.superwords import prepared_base
from seallm.vocab.texts import corpus_texts, parallel_sentences

SAMPLE_MEGABYTES, SAMPLE_CHARACTERS = 0.05, 300
SAMPLE_SENTENCES = 50

Sentences = Mapping[str, Sequence[str]]


def run(settings: Vocab, context: StageContext) -> None:
    """Extend the base's tokenizer with tokens for the run's other languages.

    Args:
        settings: the recipe's [vocab].
        context: `inputs` has "base" (with a `model/` folder) and "corpus"; the first language is preserved.

    Raises:
        VocabError: the base cannot be extended, the corpus gives too few tokens, or the certificate fails.
        DataError: a language has no corpus text, or the parallel files do not fit together.
    """
    if len(context.languages) < 2:
        raise VocabError(f"The recipe's only language is {context.languages[0]!r}: there is nothing to extend for")
    folder = context.inputs["base"] / "model"
    base = load_bpe(folder)
    model_file, new_model_file = model_file_of(base, folder), context.out / "tokenizer" / SENTENCEPIECE_FILE
    parallel = context.resolve(settings.parallel)
    development, test = (_canonical(parallel_sentences(parallel, half, context.languages)) for half in ("dev", "test"))
    if settings.target_vocabulary is not None:
        settings = settings.model_copy(update={"target_vocabulary": str(context.resolve(settings.target_vocabulary))})
    languages = list(load_languages(context.languages).values())
    to_extend = prepared_base(base, development, languages, settings.superwords)
    with timed(context.timings, "learn_seconds"), progress("new tokens", settings.new_tokens, context.runtime) as task:
        expansion = expand(to_extend, _texts(settings, context, development), settings, task.advance)
    merges = [(m.left, m.right, m.new_id) for m in expansion.learned.merges]
    symbols = {symbol.token: symbol.new_id for symbol in expansion.symbols}
    document = extended_document(to_extend, symbols, merges)
    if model_file:
        document = with_all_splits(document, to_extend)
    write_tokenizer(folder, document, context.out / "tokenizer")
    extended = load_bpe(context.out / "tokenizer")
    if model_file:
        write_model(model_file, base, extended, new_model_file)
    write_json(context.out / "tokens_added.json", _tokens_added(expansion, extended))
    with timed(context.timings, "certify_seconds"):
        files = (model_file, new_model_file) if model_file else None
        checks = certify(base, extended, _samples(context, development, test), context.seed, files)
        found = certificate(checks, base, extended, development, settings.row_multiple)
        write_json(context.out / "certificate.json", {**found, "by_language": expansion.by_language()})
    compression = measure_compression(base.tokenizer, extended.tokenizer, test)
    write_json(context.out / "compression.json", compression)
    demand(checks)
    context.counts.update(
        new_tokens=settings.new_tokens,
        symbols=len(symbols),
        by_language=expansion.by_language(),
        before=compression["before"],
        after=compression["after"],
    )


def _canonical(sentences: Sentences) -> dict[str, list[str]]:
    """In the form that the corpus has, or the learner would follow characters that no text holds any more."""
    return {code: [repair_line(line) for line in lines] for code, lines in sentences.items()}


def _texts(settings: Vocab, context: StageContext, development: Sentences) -> list[LanguageTexts]:
    corpus = context.inputs["corpus"]
    return [
        LanguageTexts(language, corpus_texts(corpus, code, settings.megabytes_per_language), development[code])
        for code, language in load_languages(context.languages).items()
    ]


def _samples(context: StageContext, development: Sentences, test: Sentences) -> Samples:
    """Sentences and beginnings of documents of every language, in turn."""
    texts = [sentence for code in context.languages for sentence in development[code][:SAMPLE_SENTENCES]]
    for code in context.languages:
        documents = corpus_texts(context.inputs["corpus"], code, SAMPLE_MEGABYTES)
        texts += [document[:SAMPLE_CHARACTERS] for document in documents]
    languages = load_languages(context.languages).values()
    scripts = tuple(dict.fromkeys(script for language in languages for script in language.scripts))
    return Samples(test[context.languages[0]], texts, scripts)


def _tokens_added(expansion: Expansion, extended: BpeTokenizer) -> dict[str, Any]:
    symbols = [(s.new_id, s.token, s.language, s.count) for s in expansion.symbols]
    merges = [(m.new_id, m.token, expansion.languages[m.language], m.occurrences) for m in expansion.learned.merges]
    names = {number: expansion.languages[number] for number in expansion.learned.stopped}
    return {
        "by_language": expansion.by_language(),
        "symbols": len(symbols),
        "refused": dict(expansion.learned.rejected),
        "stopped_after_merges": {names[number]: merges for number, merges in expansion.learned.stopped.items()},
        "tokens": [
            {"id": i, "token": t, "text": extended.bytes_of(t).decode("utf-8", "replace"), "language": code, "count": n}
            for i, t, code, n in symbols + merges
        ],
    }
