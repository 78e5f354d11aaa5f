from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import skops.io
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from seallm.base.errors import DataError, RecipeError
from seallm.corpus.fasttext import predict
from seallm.corpus.fasttext_file import load_model
from seallm.corpus.harm_model import load_harm_model
from tests.corpus.test_fasttext_file import write_model
from tests.corpus.test_judge_texts import reasons, rows, run_rows, variant

KIND = ["kind words on the market", "kind people in the village", "a kind song", "kind and warm"]
CRUEL = ["cruel words on the market", "cruel people in the village", "a cruel song", "cruel and cold"]


def save_classifier(path: Path) -> Path:
    classifier = make_pipeline(CountVectorizer(), LogisticRegression(C=100))
    skops.io.dump(classifier.fit(KIND + CRUEL, ["fine"] * 4 + ["harmful"] * 4), path)
    return path


def test_scikit_learn(tmp_path: Path) -> None:
    score = load_harm_model(save_classifier(tmp_path / "a.skops"), "harmful")
    found = score(pa.array(["a kind child", "a cruel child", ""], pa.large_string()))
    assert found.dtype == np.float32
    assert found[0] < 0.3 < 0.7 < found[1]


def test_fasttext(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_model(path, 3)
    texts = pa.array(["yang dan", "ที่"], pa.large_string())
    model, labels = load_model(path)
    expected = predict(texts, model)[:, labels.index("zsm_Latn")]
    np.testing.assert_array_equal(load_harm_model(path, "zsm_Latn")(texts), expected)


def test_an_unknown_label(tmp_path: Path) -> None:
    path = save_classifier(tmp_path / "a.skops")
    with pytest.raises(RecipeError, match=r"'toxic', but .* knows the labels fine, harmful"):
        load_harm_model(path, "toxic")


def shout(texts: list[str]) -> list[str]:
    return [text.upper() for text in texts]


def test_a_file_that_could_run_code(tmp_path: Path) -> None:
    classifier = make_pipeline(FunctionTransformer(shout), CountVectorizer(), LogisticRegression())
    skops.io.dump(classifier.fit(KIND + CRUEL, [0] * 4 + [1] * 4), tmp_path / "a.skops")
    with pytest.raises(DataError, match=r"shout.*could run code"):
        load_harm_model(tmp_path / "a.skops", "1")


def test_no_classifier(tmp_path: Path) -> None:
    (tmp_path / "a.skops").write_bytes(b"no model")
    with pytest.raises(DataError, match="not a model"):
        load_harm_model(tmp_path / "a.skops", "harmful")
    skops.io.dump(CountVectorizer(), tmp_path / "b.skops")
    with pytest.raises(DataError, match="CountVectorizer; expected a classifier"):
        load_harm_model(tmp_path / "b.skops", "harmful")


@pytest.mark.parametrize("action", ["label", "drop"])
def test_in_a_corpus(tmp_path: Path, action: str) -> None:
    save_classifier(tmp_path / "a.skops")
    given = [{"id": f"d{n}", "text": f"{'cruel' if n == 1 else 'kind'} {variant('en', n)}"} for n in range(4)]
    out = run_rows(tmp_path, given, ("en",), harm_model="a.skops", harm_threshold=0.6, harm_model_action=action)
    assert reasons(out) == ({"d1": "harm"} if action == "drop" else {})
    scores = {row["id"]: dict(row["scores"])["harm_model"] for row in rows(out, "ledger/*.parquet")}
    assert scores["d1"] > 0.6 > scores["d2"]
