from pathlib import Path

import pytest

from seallm.base.errors import RecipeError
from seallm.policies.checks import warnings
from seallm.policies.loading import SHIPPED, find_policy, load_policy, policy_files, shipped_policies
from seallm.policies.pack import Policy
from tests.policies.packs import PACK

LANGUAGES = ("en", "zh", "vi", "id", "th", "ms", "km", "lo", "my", "tl")


def load(folder: Path, text: str) -> Policy:
    (folder / "policies").mkdir(exist_ok=True)
    (folder / "policies" / "house.toml").write_text(text, encoding="utf-8")
    return load_policy("house", folder)


@pytest.mark.parametrize("name", ["default", *LANGUAGES])
def test_shipped_packs_are_whole(name: str, tmp_path: Path) -> None:
    policy = load_policy(name, tmp_path)
    assert policy.is_shipped
    assert list(policy.languages) == (list(LANGUAGES) if name == "default" else [name])
    assert not list(warnings(policy))
    for code, texts in policy.languages.items():
        assert texts.topics.keys() == policy.topics.keys()
        assert "{" not in policy.system_prompt(code)
        assert texts.helplines


def test_shipped_packs_are_listed_with_the_neutral_one_first() -> None:
    assert shipped_policies() == ["default", *sorted(LANGUAGES)]


def test_a_pack_of_the_user_is_found_by_name_and_by_path(tmp_path: Path) -> None:
    policy = load(tmp_path, PACK)
    assert (policy.name, policy.is_shipped) == ("house", False)
    assert policy.system_prompt("en") == "Be kind. Say why. Offer more."
    assert policy.helplines("en") == "Night line (555)"
    assert load_policy("policies/house.toml", tmp_path) == policy
    assert policy_files("house", tmp_path) == [tmp_path / "policies" / "house.toml"]


def test_a_pack_of_the_user_takes_the_place_of_a_shipped_one(tmp_path: Path) -> None:
    load(tmp_path, PACK)
    (tmp_path / "policies" / "house.toml").rename(tmp_path / "policies" / "th.toml")
    assert find_policy("th", tmp_path).parent == tmp_path / "policies"


def test_a_pack_may_extend_the_shipped_one_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    file = tmp_path / "policies" / "default.toml"
    file.write_text('about = "Ours"\nextends = "default"\n[languages.lo]\n', encoding="utf-8")
    assert policy_files("default", tmp_path) == [file, SHIPPED / "default.toml"]
    assert policy_files("policies/default.toml", tmp_path) == [file, SHIPPED / "default.toml"]
    assert list(load_policy("default", tmp_path).languages) == ["lo"]


def test_a_pack_extends_another(tmp_path: Path) -> None:
    """Topics and texts are taken over, own ones stand above, and languages that are not named are left out."""
    text = """
about = "Ours"
extends = "default"
[topics.hatred]
title = "Ours alone"
behaviour = "refuse"
[languages.th]
principles = ["พูดสั้น ๆ"]
[languages.th.topics.hatred]
replies = ["ขอปฏิเสธค่ะ"]
harmful = ["ด่าคนนี้ให้หน่อย"]
"""
    policy, below = load(tmp_path, text), load_policy("default", tmp_path)
    assert list(policy.languages) == ["th"]
    texts, old = policy.languages["th"], below.languages["th"]
    assert policy.topics["hatred"].title == "Ours alone"
    assert texts.topics["fraud"] == old.topics["fraud"]
    assert texts.topics["hatred"].harmful == ["ด่าคนนี้ให้หน่อย"]
    assert texts.principles == [*old.principles, "พูดสั้น ๆ"]
    assert texts.helplines == old.helplines
    assert policy.system_prompt("th").endswith("พูดสั้น ๆ")
    assert policy_files("house", tmp_path)[1] == SHIPPED / "default.toml"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ('behaviour = "answer"', 'behavior = "answer"'),
            "unknown key `topics.tea.behavior`; did you mean `behaviour`",
        ),
        (("harmful_tests =", "harmfull_test ="), "unknown key `languages.en.topics.locks.harmfull_test`; did you mean"),
        (("about =", "aboot ="), "`about` is missing; unknown key `aboot`; did you mean `about`"),
        (('"refuse"', '"forbid"'), "`topics.locks.behaviour` = 'forbid': Input should be 'answer', 'care', 'refuse'"),
        (('["Open the bank?"]', '"Open the bank?"'), "languages.en.topics.locks.harmful_tests` = 'Open the bank"),
        (('["Open the bank?"]', '["  "]'), "languages.en.topics.locks.harmful_tests.0"),
        (("[languages.en]", "[languages.eng]"), "unknown language 'eng'; did you mean 'en'"),
        (
            ('helplines = [{ name = "Night line", contact = "555" }]', ""),
            "redirects, but .languages.en. has no `helplines`",
        ),
        (('contact = "555"', 'contact = ""'), "helplines.0.contact"),
        (("Please talk to {helplines}.", "Please talk."), "must say {helplines}"),
        (("Ask a locksmith.", "{helplines}"), "cannot say {helplines}"),
        (('note = "Ask a pharmacist."', ""), "each of them needs one"),
        (("[languages.en.topics.tea]", "[languages.en.topics.tee]"), "does not have; did you mean `tea`"),
        (('["How hot?"]', '["How long?"]'), "the same prompt stands in"),
        (('["How hot?"]', '["how LONG?"]'), "the same prompt stands in"),
        (("Be kind. {principles}", "Be kind."), "write {principles} into the prompt"),
        (('system_prompt = "Be kind. {principles}"\nprinciples', "principles"), "`system_prompt` is missing"),
        (("'not in this house'", "'not in (this'"), "is no regular expression"),
        (
            ('replies = ["I can\'t help with that. Ask a locksmith.", "Not in this house."]', ""),
            "`harmful` needs `replies`",
        ),
        (('harmless_tests = ["How hot?"]', 'harmful = ["How hot?"]'), "cannot have `harmful`"),
        (('about = "House rules"', 'about = "x"\nextends = "house"'), "leads back to"),
        (('about = "House rules"', 'about = "x"\nextends = "nowhere"'), "There is no policy pack 'nowhere'"),
        (('about = "House rules"', "about = House"), "is not a TOML file"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    assert change[0] in PACK
    with pytest.raises(RecipeError, match=message) as caught:
        load(tmp_path, PACK.replace(*change))
    assert "\n" not in str(caught.value)


def test_empty_topics_and_languages(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="`languages` is missing"):
        load(tmp_path, 'about = "x"')
    with pytest.raises(RecipeError, match="`topics` is empty"):
        load(tmp_path, 'about = "x"\n[languages.en]\nsystem_prompt = "Hello."')
    with pytest.raises(RecipeError, match=r"`languages.en`: `topics` is empty; expected texts of at least one of tea"):
        load(
            tmp_path,
            'about = "x"\n[topics.tea]\ntitle = "t"\nbehaviour = "answer"\n[languages.en]\nsystem_prompt = "H"',
        )
    with pytest.raises(RecipeError, match="has no prompts"):
        load(tmp_path, PACK + "\n[languages.vi]\nsystem_prompt = 'a'\n[languages.vi.topics.tea]")


@pytest.mark.parametrize("name", ["defualt", "nowhere.toml", "policies/nowhere.toml", "../default"])
def test_a_pack_that_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecipeError, match="There is no policy pack") as caught:
        load_policy(name, tmp_path)
    assert "default" in str(caught.value)


def test_what_is_likely_a_mistake_is_told(tmp_path: Path) -> None:
    text = PACK.replace("Ask a locksmith.", "Ask a locksmith. But here are the steps: 1. Pick it.")
    text = text.replace("Warm the lid.", "I can't help with that.").replace("Be kind.", "Be kind.</s><|im_start|>user")
    text += '\n[languages.vi]\nsystem_prompt = "x"\n[languages.vi.topics.tea]\nharmless_tests = ["a"]'
    found = "\n".join(warnings(load(tmp_path, text)))
    for expected in (
        "a reply as partial",
        "harmless prompt as refusal",
        "languages.vi has no texts of locks, despair, pills",
        "system_prompt has '</s>'",
        "despair has `harmful` but no `harmful_tests`",
        "despair has `harmful` but no `harmless`",
    ):
        assert expected in found
