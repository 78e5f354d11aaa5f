"""How many tokens to add: the learner run once, and the ratios of every language after any number of its tokens.

What each thousand tokens gains falls steadily, what it costs does not: rows of both embeddings to train and to store,
and a larger output matrix to read for every decoded token. The plan shows both, and where to stop.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seallm.base.files import read_json, write_json
from seallm.languages import load_languages
from seallm.recipe import Recipe
from seallm.recipe_vocab import Vocab
from seallm.vocab.base_tokenizer import BpeTokenizer, load_bpe, parse_bpe
from seallm.vocab.compression import count_tokens
from seallm.vocab.expansion import Expansion, LanguageTexts, Shortage, expand
from seallm.vocab.extend import extended_document
from seallm.vocab.planner import Curve, NewToken, Shape, cheapest_decoding, shape_of, stop_at, table, trace
from seallm.vocab.plots import plot_curves
from seallm.vocab.superwords import prepared_base
from seallm.vocab.texts import corpus_texts
from seallm.vocab.tokenizer_places import OpenTokenizer, open_tokenizer, short_names
from seallm.vocab_alone import Inputs, Request, inputs_of

LEAST_GAIN = 0.01
PLOT_POINTS = 200


@dataclass(frozen=True)
class TokenPlan:
    """What was found.

    Attributes:
        document: all figures, as written to `plan.json`.
        notes: what a reader should know, one line each.
    """

    document: dict[str, Any]
    notes: list[str]


def plan(
    request: Request,
    *,
    reference: str | None = None,
    least_gain: float = LEAST_GAIN,
    step: int = 1_000,
    out: Path | None = None,
    advance: Callable[[], None] = lambda: None,
) -> TokenPlan:
    """Learn as many tokens as the request asks for, and trace the ratios on the test sentences.

    Args:
        request: as for an extension; its `new_tokens` is the most that is looked at.
        reference: tokenizer whose English is the unit; absent: the base.
        least_gain: share of the mean ratio that 1,000 more tokens must take off to be worth it.
        step: distance of the rows of the table in tokens.
        out: folder for `plan.json` and `plan.png`.
        advance: called for each learned token.

    Raises:
        VocabError: the base cannot be opened or extended.
        DataError: documents or sentences are missing or do not fit together.
    """
    recipe = request.recipe()
    opened = open_tokenizer(request.base)
    with inputs_of(request, recipe) as inputs:
        base, expansion, notes = _learn(recipe, inputs, advance)
        test = inputs.halves["test"].canonical
        notes = [*notes, *inputs.halves["test"].notes]
    unit_tokenizer = open_tokenizer(reference) if reference else opened
    unit = count_tokens(unit_tokenizer.tokenizer, test[recipe.languages[0]])
    merges = [(m.left, m.right, m.new_id) for m in expansion.learned.merges]
    document = extended_document(base, {s.token: s.new_id for s in expansion.symbols}, merges)
    curve = trace(base, parse_bpe(document, base.where), _new_tokens(expansion), test, unit)
    figures = _figures(curve, opened, base.next_id, least_gain, step)
    figures["reference"] = f"{recipe.languages[0]} with {short_names([reference or request.base])[0]}"
    figures["sentences"] = len(test[recipe.languages[0]])
    if out is not None:
        write_json(out / "plan.json", {**figures, "notes": notes})
        _plot(curve, figures, out / "plan.png")
    return TokenPlan(figures, notes)


def _learn(recipe: Recipe, inputs: Inputs, advance: Callable[[], None]) -> tuple[BpeTokenizer, Expansion, list[str]]:
    """Base with its regex repaired where need be, and as many new tokens as there are, up to those asked for."""
    settings = recipe.vocab
    assert settings is not None, "a request's recipe has a [vocab]"
    base = load_bpe(inputs.stage["base"] / "model")
    development = inputs.halves["dev"].canonical
    base = prepared_base(base, development, list(load_languages(tuple(recipe.languages)).values()), settings.superwords)

    def texts() -> list[LanguageTexts]:
        known = load_languages(tuple(recipe.languages))
        megabytes = settings.megabytes_per_language
        return [
            LanguageTexts(language, corpus_texts(inputs.stage["corpus"], code, megabytes), development[code])
            for code, language in known.items()
        ]

    try:
        return base, expand(base, texts(), settings, advance), []
    except Shortage as shortage:
        fewer: Vocab = settings.model_copy(update={"new_tokens": shortage.made})
        note = f"the corpus gives {shortage.made:,} tokens, fewer than the {settings.new_tokens:,} asked for"
        return base, expand(base, texts(), fewer, lambda: None), [note]


def _new_tokens(expansion: Expansion) -> list[NewToken]:
    symbols = [NewToken(s.token, s.new_id, None, s.language) for s in expansion.symbols]
    merges = [
        NewToken(m.token, m.new_id, (m.left, m.right), expansion.languages[m.language])
        for m in expansion.learned.merges
    ]
    return [*symbols, *merges]


def _figures(curve: Curve, opened: OpenTokenizer, base_rows: int, least_gain: float, step: int) -> dict[str, Any]:
    shape = _shape(opened)
    stop = stop_at(curve, least_gain)
    figures: dict[str, Any] = {
        "base": opened.name,
        "languages": list(curve.ratios),
        "new_tokens": len(curve.mean) - 1,
        "least_gain_share_per_1000": least_gain,
        "stop_at": stop,
        "at_stop": {
            "ratios": {code: round(float(ratio[stop]), 4) for code, ratio in curve.ratios.items()},
            "by_language": {code: int(counts[stop]) for code, counts in curve.by_language.items()},
            "mean": round(float(curve.mean[stop]), 4),
            "worst": round(float(curve.worst[stop]), 4),
        },
        "rows": table(curve, step, shape, base_rows),
    }
    if shape is not None:
        best, cost = cheapest_decoding(curve, shape, base_rows)
        figures["cheapest_decoding"] = {"new_tokens": best, "cost": round(cost, 4)}
    return figures


def _shape(opened: OpenTokenizer) -> Shape | None:
    config = opened.folder / "config.json"
    return shape_of(read_json(config)) if config.is_file() else None


def _plot(curve: Curve, figures: dict[str, Any], path: Path) -> None:
    last = len(curve.mean) - 1
    places = sorted({*range(0, last, max(1, last // PLOT_POINTS)), last})
    series = {code: [float(ratio[k]) for k in places] for code, ratio in curve.ratios.items()}
    series["mean"] = [float(curve.mean[k]) for k in places]
    plot_curves(places, series, figures["stop_at"], figures["reference"], path)
