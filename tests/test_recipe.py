"""Recipe files: strict, with errors in the words of the file; every recipe that ships can be planned."""

from pathlib import Path

import pytest

from seallm.base.errors import RecipeError
from seallm.recipe_file import input_paths, load_recipe, reference_page

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "recipes").glob("*.toml"))
MIXTURE = (
    'name = "x"\nlanguages = ["en", "th"]\n[base]\nmodel = "somewhere"\n[corpus]\ninputs = []\n[pretrain]\n'
    '[[pretrain.mixtures]]\nname = "m"\ntiers = ["high"]\n'
)
MINIMAL = 'name = "x"\nlanguages = ["en", "th"]\n[base]\nmodel = "somewhere"\n'


def load(tmp_path: Path, text: str, *overrides: str) -> object:
    path = tmp_path / "r.toml"
    path.write_text(text, encoding="utf-8")
    return load_recipe(path, overrides)


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_shipped_recipes_load(path: Path) -> None:
    assert load_recipe(path).languages[0] == "en"


def test_reference_page_is_up_to_date() -> None:
    assert (ROOT / "docs" / "recipe.md").read_text(encoding="utf-8") == reference_page() + "\n"


def test_every_setting_is_documented() -> None:
    rows = [line for line in reference_page().splitlines() if line.startswith("| `")]
    assert len(rows) > 80
    assert not [row for row in rows if row.endswith("|  |")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINIMAL.replace("name", "nam", 1), "did you mean `name`"),
        (MINIMAL + "[corpus]\ninput = []\n", "unknown key `corpus.input`; did you mean `inputs`"),
        (MINIMAL + "[corpus]\nzzz = 1\ninputs = []\n", "known keys: inputs"),
        (MINIMAL + '[corpus]\ninputs = "data"\n', "`corpus.inputs` = 'data': .*list"),
        (MINIMAL + '[corpus]\ninputs = []\nheld_out_share = "a"\n', "`corpus.held_out_share` = 'a'"),
        (MINIMAL + "[corpus]\ninputs = []\nheld_out_share = 1.5\n", "less than or equal to 1"),
        (MINIMAL + "[corpus]\ninputs = []\nminhash_bands = 13\n", "must divide minhash_permutations"),
        (MINIMAL + "[dpo]\nbeta = 0.2\n", r"\[dpo\] needs pairs: a \[prefer\] section, files"),
        (
            MINIMAL + '[sft]\nconversations = ["c"]\n[prefer]\nconversations = ["c"]\nrounds = 2\n',
            "needs .dpo., which ends",
        ),
        (MINIMAL + '[vocab]\nparallel = "p"\n', r"\[vocab\] needs the result of \[corpus\]"),
        (
            MIXTURE + 'tokens = 9\n[vocab]\nparallel = "p"\nsuperwords = ["vi"]\n',
            r"settings of \[vocab\]: 'vi' is not one of the recipe's languages",
        ),
        (MINIMAL + '[vocab]\nparallel = "p"\nmethod = "target"\n', "target_vocabulary = None: the two go together"),
        (
            MINIMAL + '[vocab]\nparallel = "p"\nmin_tokens = { th = 9 }\nnew_tokens = 8\n',
            "add up to 9, above new_tokens",
        ),
        (
            MINIMAL + '[vocab]\nparallel = "p"\nmin_tokens = { th = 9 }\nmax_tokens = { th = 8 }\n',
            "min_tokens of 'th' is 9, above its max_tokens",
        ),
        (MINIMAL + '[corpus]\ninputs = []\n[vocab]\nparallel = "p"\n', "only \\[pretrain\\] can teach"),
        (MINIMAL.replace('model = "somewhere"', ""), "needs either `model`"),
        (MINIMAL.replace('"th"', '"xx"'), "Unknown language 'xx'. Known: en"),
        ("name = ", "not a TOML file"),
        (MINIMAL.split("[base]")[0], "`base` is missing"),
        (MINIMAL + "[pretrain]\n[[pretrain.mixtures]]\nnam = 1\n", "`pretrain.mixtures.0.nam`; did you mean `name`"),
        (MINIMAL.replace('"x"', '"../x"'), "`name` = '../x'"),
        (MIXTURE + "tokens = 9\n" + MIXTURE[MIXTURE.index("[[") :] + "tokens = 9\n", "two mixtures are named 'm'"),
        (MIXTURE, "mixture 'm' needs either `tokens` or `epochs`"),
        (MIXTURE + "tokens = 9\nepochs = 1.0\n", "mixture 'm' needs either `tokens` or `epochs`"),
        (MIXTURE + "tokens = 9\nparallel_share = 0.1\n", "names no `parallel` folder"),
        (MIXTURE + "tokens = 9\nshares = { th = 0.8, en = 0.3 }\n", "add up to more than 1"),
        (MIXTURE + "tokens = 9\nshares = { th = 0.8 }\n", r"`shares` with that of en add up to 1\.05, more than 1"),
        (MIXTURE + "tokens = 9\nshares = { vi = 0.1 }\n", "'vi' is not one of the recipe's languages: en, th"),
        (MIXTURE + "tokens = 9\ndynamic.targets = { en = 1.0 }\n", "`targets` lacks th"),
        (MIXTURE + "tokens = 9\ndynamic.strenght = 1.0\n", "did you mean `strength`"),
        (MINIMAL + "[sft]\nconversations = []\nlanguage_caps = { fr = 0.1 }\n", r"sft\.language_caps: 'fr' is not one"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as error:
        load(tmp_path, text)
    assert "\n" not in str(error.value).replace("TOML", "")


def test_a_missing_recipe_lists_those_there() -> None:
    with pytest.raises(RecipeError, match=r"quickstart\.toml"):
        load_recipe(ROOT / "recipes" / "quickstartt.toml")


def test_overrides(tmp_path: Path) -> None:
    text = MINIMAL + '[corpus]\ninputs = ["a"]\n[pretrain]\nmixtures = [{name = "a", tiers = ["high"], tokens = 5}]\n'
    recipe = load(tmp_path, text, "seed=3", "name=trial", "pretrain.mixtures.0.tokens=1_000", "compute.workers=2")
    assert (recipe.seed, recipe.name, recipe.compute.workers) == (3, "trial", 2)  # type: ignore[attr-defined]
    assert recipe.pretrain.mixtures[0].tokens == 1000  # type: ignore[attr-defined]


@pytest.mark.parametrize("override", ["seed", "seed.x=1", "corpus.zzz=1", "name.x.y=2"])
def test_bad_overrides_are_named(tmp_path: Path, override: str) -> None:
    with pytest.raises(RecipeError):
        load(tmp_path, MINIMAL, override)


def test_input_paths_are_found_at_any_depth() -> None:
    recipe = load_recipe(ROOT / "recipes" / "quickstart.toml")
    assert list(input_paths(recipe.base, ROOT)) == ["sample:base/english.jsonl.gz"]
    assert recipe.evaluate is not None
    assert set(input_paths(recipe.evaluate, ROOT)) == {"sample:bench", "sample:parallel", "sample:safety/prompts.jsonl"}
