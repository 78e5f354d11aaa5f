"""Texts and a classifier file of the user's in, the probability that each text is harmful out.

The file is a supervised fastText model (.bin, .ftz) or a scikit-learn classifier of strings saved by skops (.skops).
skops builds only what it knows to be harmless, so a file from elsewhere cannot run code; a pickle could.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from seallm.base.errors import DataError, MissingExtra, RecipeError
from seallm.corpus.fasttext import predict
from seallm.corpus.fasttext_file import load_model

SKOPS_SUFFIX = ".skops"
_TEXT_CHARACTERS = 4_000  # of the beginning; enough to tell what a page is about

Scorer = Callable[[pa.Array], npt.NDArray[np.float32]]


@functools.cache
def load_harm_model(path: Path, label: str) -> Scorer:
    """A function from n texts (large_string) to the probability of `label` for each, (n,).

    Raises:
        RecipeError: the model has no such label.
        DataError: the file is no classifier, or holds objects that skops does not know to be harmless.
        MissingExtra: skops or scikit-learn is not installed.
    """
    if path.suffix == SKOPS_SUFFIX:
        classifier = _load_skops(path)
        column = _column([str(name) for name in classifier.classes_], label, path)

        def score(texts: pa.Array) -> npt.NDArray[np.float32]:
            starts = [text[:_TEXT_CHARACTERS] for text in texts.to_pylist()]
            return np.asarray(classifier.predict_proba(starts)[:, column], np.float32)

        return score
    model, labels = load_model(path)
    number = _column(list(labels), label, path)
    return lambda texts: np.ascontiguousarray(predict(texts, model)[:, number])


def _column(labels: list[str], label: str, path: Path) -> int:
    if label not in labels:
        raise RecipeError(f"corpus.harm_label = {label!r}, but {path} knows the labels {', '.join(labels[:20])}")
    return labels.index(label)


def _load_skops(path: Path) -> Any:
    try:
        from skops.io import get_untrusted_types, load
    except ImportError:
        raise MissingExtra("skops", "classifier") from None
    try:
        untrusted = get_untrusted_types(file=path)
        if untrusted:
            raise DataError(
                f"{path} holds {', '.join(untrusted)}, which could run code. Save a plain scikit-learn model"
            )
        classifier = load(path)
    except (BadZipFile, ValueError, KeyError, OSError) as error:
        raise DataError(f"{path} is not a model that skops can load ({error})") from None
    if not hasattr(classifier, "predict_proba") or not hasattr(classifier, "classes_"):
        raise DataError(f"{path} holds a {type(classifier).__name__}; expected a classifier with predict_proba")
    return classifier
