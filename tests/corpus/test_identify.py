import pyarrow as pa
import pytest

from seallm.corpus.fasttext import default_model
from seallm.corpus.identify import Identifier
from seallm.corpus.ngrams import make_minhash
from seallm.corpus.statistics import measure
from seallm.languages import Language, known_languages, load_language, load_languages
from tests.corpus.pages import ARTICLES, FOREIGN


def identify(*texts: str, more: tuple[Language, ...] = ()) -> list[tuple[str, float]]:
    model, labels = default_model()
    identifier = Identifier((*load_languages(known_languages()).values(), *more), model, labels)
    array = pa.array(texts, pa.large_string())
    found = identifier.identify(array, measure(array, identifier.word_lists(), make_minhash(1, 1)))
    return list(zip(found.languages.tolist(), found.scores.tolist(), strict=True))


def test_articles_of_all_languages() -> None:
    found = identify(*ARTICLES.values())
    assert [code for code, _ in found] == list(ARTICLES)
    thresholds = {code: language.min_identifier_score for code, language in load_languages(known_languages()).items()}
    assert all(score > thresholds[code] for code, score in found)


def test_other_languages_are_named_by_their_label() -> None:
    assert [code for code, _ in identify(*FOREIGN.values())] == list(FOREIGN)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Kerajaan negeri akan membina lebuh raya baharu kerana penduduk mahu perkhidmatan yang lebih baik.", "ms"),
        ("Pemerintah daerah akan membangun jalan karena warga ingin kualitas yang lebih baik dari sebelumnya.", "id"),
        # nothing tells here: lid.176 has the last word
        ("Rumah besar itu berada di tepi sungai yang panjang.", "id"),
    ],
)
def test_malay_and_indonesian(text: str, code: str) -> None:
    assert identify(text)[0][0] == code


def test_the_script_outweighs_technical_terms() -> None:
    (code, score), *_ = identify("ใช้คำสั่ง git commit เพื่อบันทึกการเปลี่ยนแปลงลงใน repository ของคุณ แล้วตรวจสอบ")
    assert code == "th"
    assert 0.5 < score < 0.9


def test_a_quoted_word_of_another_script_does_not_decide() -> None:
    text = (
        "The word สวัสดี is the Thai greeting that every visitor learns on the first day, and most remember it for long."
    )
    assert identify(text)[0][0] == "en"


@pytest.mark.parametrize("text", ["", "12345 67890", "\n", "!!! ??? ..."])
def test_a_text_without_letters(text: str) -> None:
    assert identify(text) == [("und", 0.0)]


def test_the_neighbours_in_a_batch_do_not_matter() -> None:
    texts = [*ARTICLES.values(), "", *FOREIGN.values()]
    assert identify(*texts) == [identify(text)[0] for text in texts]


def test_no_texts() -> None:
    assert identify() == []


def test_an_added_language_of_a_script_that_does_not_decide() -> None:
    tibetan = load_language("my").model_copy(
        update={"code": "bo", "scripts": ("other",), "identifier_labels": ("bo",), "name": "Tibetan"}
    )
    found = identify("བོད་ཀྱི་སྐད་ཡིག་ནི་རྒྱ་ཆེན་པོ་ཞིག་ཡིན། " * 3, ARTICLES["my"], more=(tibetan,))
    assert [code for code, _ in found] == ["bo", "my"]
    assert found[0][1] > 0.5


def test_two_languages_of_one_script_go_by_their_labels() -> None:
    cantonese = load_language("zh").model_copy(update={"code": "yue", "identifier_labels": ("yue",)})
    text = "呢個係粵語嘅句子，佢哋喺香港講嘢嘅時候成日用。" * 3
    ((plain, _),), ((code, score),) = identify(text), identify(text, more=(cantonese,))
    assert (plain, code) == ("zh", "yue")
    assert score > 0.3
