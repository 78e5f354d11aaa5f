"""What the stage does with personal data, harm, benchmarks, lists of domains and frames, as a recipe asks for it."""

import json
from pathlib import Path

import pytest

from seallm.base.errors import RecipeError
from seallm.corpus.why import render, why
from tests.corpus.small_crawl import rows, run_rows, variant

CASINO = "online casino slot bonus jackpot betting poker roulette sportsbook "


def documents(count: int = 3, **changes: object) -> list[dict[str, object]]:
    return [{"id": f"d{n}", "text": variant("en", n), **changes} for n in range(count)]


def reasons(out: Path) -> dict[object, object]:
    return {row["id"]: row["reason"] for row in rows(out, "dropped/*.parquet")}


def kept_texts(out: Path) -> dict[object, str]:
    kept = rows(out, "documents/*.parquet") + rows(out, "held_out/*.parquet")
    return {row["id"]: str(row["text"]) for row in kept}


def test_personal_data_is_masked(tmp_path: Path) -> None:
    given = documents()
    given[0]["text"] = str(given[0]["text"]) + " Write to somchai.1234@mail-77.co.th please."
    out = run_rows(tmp_path, given, ("en",))
    assert kept_texts(out)["d0"].endswith("Write to <email> please.")
    row = next(row for row in rows(out, "ledger/*.parquet") if row["id"] == "d0")
    assert dict(row["scores"])["personal_email"] == 1


def test_documents_with_personal_data_can_be_dropped(tmp_path: Path) -> None:
    given = documents()
    given[0]["text"] = str(given[0]["text"]) + " Write to somchai.1234@mail-77.co.th please."
    out = run_rows(tmp_path, given, ("en",), personal_data="drop")
    assert reasons(out) == {"d0": "personal_data"}
    assert "somchai" not in "".join(str(row["text"]) for row in rows(out, "dropped/*.parquet"))


def test_personal_data_can_stay(tmp_path: Path) -> None:
    given = documents()
    given[0]["text"] = str(given[0]["text"]) + " Write to somchai.1234@mail-77.co.th please."
    out = run_rows(tmp_path, given, ("en",), personal_data="off")
    assert "somchai.1234@mail-77.co.th" in kept_texts(out)["d0"]


def test_a_placeholder_that_could_pass_for_a_control_token_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="control token"):
        run_rows(tmp_path, documents(), ("en",), personal_placeholder="<|{type}|>")


def test_two_pages_that_differ_in_a_number_are_no_exact_copies(tmp_path: Path) -> None:
    text = variant("en", 0)
    given = [{"id": f"d{n}", "text": f"{text} Call +66 81 234 567{n} now."} for n in range(2)]
    out = run_rows(tmp_path, given, ("en",))
    assert "exact_duplicate" not in reasons(out).values()


@pytest.mark.parametrize("action", ["label", "drop"])
def test_harm(tmp_path: Path, action: str) -> None:
    spam = "\n".join(f"{CASINO} {line}" for line in variant("en", 7).split(". "))
    given = [*documents(), {"id": "spam", "text": spam}]
    out = run_rows(tmp_path, given, ("en",), harm_words=action)
    row = next(row for row in rows(out, "ledger/*.parquet") if row["id"] == "spam")
    assert dict(row["scores"])["harm_gambling"] > 20
    assert ("harm" in row["reasons"]) == (action == "drop")


def test_lists_of_domains(tmp_path: Path) -> None:
    (tmp_path / "blocked.txt").write_text("bad.example\n", encoding="utf-8")
    (tmp_path / "opted_out.txt").write_text("news.example/archive\n", encoding="utf-8")
    given = documents(4)
    urls = ["https://www.bad.example/1", "https://news.example/archive/2", "https://news.example/today", None]
    for row, url in zip(given, urls, strict=True):
        row["url"] = url
    out = run_rows(tmp_path, given, ("en",), blocked_domains=["blocked.txt"], opt_out_domains=["opted_out.txt"])
    assert reasons(out) == {"d0": "blocked", "d1": "opted_out"}
    texts = {row["id"]: row["text"] for row in rows(out, "dropped/*.parquet")}
    assert texts == {"d0": given[0]["text"], "d1": ""}


PASSAGE = (
    "The quick survey of the harbour showed that eleven wooden boats, each older than its owner, had been moored "
    "beside the northern wall since the flood of the previous spring."
)


@pytest.mark.parametrize("action", ["drop", "cut"])
def test_benchmarks_are_kept_out(tmp_path: Path, action: str) -> None:
    (tmp_path / "exam.json").write_text(json.dumps([{"question": PASSAGE}]), encoding="utf-8")
    given = documents()
    given[1]["text"] = f"{given[1]['text']}\n\n{PASSAGE.upper()}\n\nThe end of the page."
    out = run_rows(tmp_path, given, ("en",), benchmarks=["exam.json"], benchmark_action=action)
    (leak,) = [json.loads(line) for line in (out / "decontamination.jsonl").read_text(encoding="utf-8").splitlines()]
    assert (leak["id"], leak["row"], leak["share"]) == ("d1", 1, 1.0)
    assert reasons(out) == ({"d1": "benchmark"} if action == "drop" else {})
    if action == "cut":
        assert "HARBOUR" not in kept_texts(out)["d1"]
        assert kept_texts(out)["d1"].endswith("The end of the page.")


def test_the_list_of_leaks_quotes_no_personal_data(tmp_path: Path) -> None:
    passage = f"{PASSAGE} Write to somchai.k@mail.co.th about the boats."
    (tmp_path / "exam.json").write_text(json.dumps([passage]), encoding="utf-8")
    given = documents()
    given[1]["text"] = f"{given[1]['text']}\n\n{passage}"
    out = run_rows(tmp_path, given, ("en",), benchmarks=["exam.json"])
    found = (out / "decontamination.jsonl").read_text(encoding="utf-8")
    assert "<email>" in found
    assert "somchai" not in found


def test_a_document_of_two_languages_says_of_which(tmp_path: Path) -> None:
    given = [*documents(), {"id": "both", "text": f"{variant('en', 40)}\n{variant('vi', 41)}\n{variant('en', 42)}"}]
    out = run_rows(tmp_path, given, ("en", "vi"))
    scores = {row["id"]: dict(row["scores"]) for row in rows(out, "ledger/*.parquet")}
    shares = {name: share for name, share in scores["both"].items() if name.startswith("language_share_")}
    assert set(shares) == {"language_share_en", "language_share_vi"}
    assert shares["language_share_en"] > shares["language_share_vi"] > 0.2
    assert not any(name.startswith("language_share_") for name in scores["d0"])
    assert "by its lines en 6" in render(why(out, "both")) or "by its lines en 7" in render(why(out, "both"))


@pytest.mark.parametrize("strip", [True, False])
def test_frames_of_sites(tmp_path: Path, strip: bool) -> None:
    menu = "Home page\nAbout the paper\nShare this page with friends"
    given = [
        {"id": f"d{n}", "url": f"https://paper.example/{n}", "text": f"{menu}\n\n{variant('en', n)}"} for n in range(12)
    ]
    out = run_rows(tmp_path, given, ("en",), strip_site_frames=strip)
    texts = kept_texts(out)
    assert len(texts) == 12
    assert all(("Share this page" in text) != strip for text in texts.values())


def test_fitted_thresholds_keep_what_no_threshold_changes(tmp_path: Path) -> None:
    (tmp_path / "exam.json").write_text(json.dumps([PASSAGE]), encoding="utf-8")
    given = documents(130)
    given[1]["text"] = f"{given[1]['text']}\n\n{PASSAGE}"
    out = run_rows(tmp_path, given, ("en",), benchmarks=["exam.json"], identifier_threshold="fitted")
    assert reasons(out)["d1"] == "benchmark"
    story = render(why(out.rename(tmp_path / "whole"), "d2"))
    assert "min_identifier_score" in story
    assert "min_identifier_score 0.4\n" not in story


def test_reference_sources_train_a_tier_model(tmp_path: Path) -> None:
    given = [{"id": f"g{n}", "text": variant("en", n), "source": f"good{n % 3}"} for n in range(60)]
    given += [
        {"id": f"b{n}", "text": variant("ms", n) + variant("en", n + 100)[:400], "source": f"web{n % 3}"}
        for n in range(60)
    ]
    out = run_rows(tmp_path, given, ("en", "ms"), reference_sources=["good*"])
    about = json.loads((out / "tier_models.json").read_text(encoding="utf-8"))
    assert about["en"]["held_out_auc"] > 0.9
    mean = {}
    for side in ("g", "b"):
        quality = [
            row["quality"] for row in rows(out, "ledger/*.parquet") if row["language"] == "en" and row["id"][0] == side
        ]
        mean[side] = sum(quality) / len(quality)
    assert mean["g"] > 0.7 > 0.4 > mean["b"]
