"""The house rules a linter cannot hold: sizes, docstrings, one-way imports, a light start."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "seallm"
MAX_FILE_LINES, MAX_FUNCTION_LINES = 350, 60
FLOOR = {
    "base",
    "canonical",
    "languages",
    "comparisons",
    "recipe",
    "recipe_corpus",
    "recipe_instructions",
    "recipe_section",
    "recipe_training",
    "recipe_vocab",
}
STAGE_PACKAGES = {"corpus", "vocab", "train", "prefer", "evaluate", "serve"}
MAY_IMPORT: dict[str, set[str]] = {
    "base": set(),
    "canonical": set(),
    "endpoints": {"base"},
    "languages": {"base"},
    "policies": {"base", "languages"},
    "comparisons": {"base"},
    "recipe_section": {"base"},
    "recipe_corpus": {"base", "recipe_section"},
    "recipe_instructions": {"base", "recipe_section"},
    "recipe_training": {"base", "recipe_section"},
    "recipe_vocab": {"base", "languages", "recipe_section"},
    "recipe": {
        "base",
        "languages",
        "recipe_corpus",
        "recipe_instructions",
        "recipe_section",
        "recipe_training",
        "recipe_vocab",
    },
    "recipe_file": FLOOR | {"policies"},
    "estimate": FLOOR,
    "corpus": FLOOR,
    "vocab": FLOOR,
    "model": FLOOR | {"endpoints"},
    "train": FLOOR | {"model", "policies"},
    "prefer": FLOOR | {"model", "corpus", "answer_language"},
    "chat_data": FLOOR | {"corpus", "model", "endpoints"},
    "evaluate": FLOOR | {"model", "policies", "endpoints", "comparisons"},
    "serve": FLOOR | {"model", "policies", "web"},
    "web": {"base"},
    "export": FLOOR | {"model", "vocab"},
    "review": FLOOR | {"web"},
    "run_recipe": FLOOR | {"recipe_file"},
    "run_stage": FLOOR | {"plan", "run_recipe"},
    "stage_kinds": FLOOR,
    "plan": FLOOR | {"recipe_file", "run_recipe", "stage_kinds"},
    "plan_table": FLOOR | {"plan", "estimate"},
    "summary": FLOOR | {"plan"},
    "many_values": set(),
    "chat_data_make_verbs": FLOOR | {"chat_data", "endpoints", "model"},
    "chat_data_verbs": FLOOR | {"plan", "recipe_file", "chat_data", "many_values"},
    "corpus_verbs": FLOOR | {"plan", "recipe_file", "corpus", "many_values"},
    "evaluate_verbs": FLOOR | {"plan", "recipe_file", "evaluate", "model", "many_values", "endpoints"},
    "policy_verbs": FLOOR | {"policies"},
    "answer_language": FLOOR | {"corpus"},
    "evaluate_stage": FLOOR | {"answer_language", "evaluate"},
    "card_verbs": FLOOR | {"evaluate", "plan", "run_recipe"},
    "judge_verbs": FLOOR | {"answer_language", "endpoints", "evaluate", "evaluate_verbs", "model", "many_values"},
    "parallel_folder": FLOOR | {"corpus", "vocab"},
    "vocab_inputs": FLOOR | {"corpus", "vocab", "parallel_folder"},
    "vocab_alone": FLOOR | {"plan", "stage_kinds", "recipe_file", "vocab", "parallel_folder", "vocab_inputs"},
    "vocab_plan": FLOOR | {"vocab", "vocab_alone"},
    "vocab_probe": FLOOR | {"model", "train", "vocab", "vocab_inputs"},
    "vocab_verbs": FLOOR | {"vocab", "vocab_alone", "vocab_plan", "vocab_probe"},
    "prefer_verbs": FLOOR | {"prefer"},
    "serve_verbs": FLOOR | {"serve", "answer_language", "policies", "review"},
    "train_verbs": FLOOR | {"plan", "run_recipe", "train", "run_stage"},
    "export_verbs": FLOOR | {"card_verbs", "export", "model", "policies", "run_stage", "train"},
    "review_verbs": FLOOR | {"review"},
    "cli": FLOOR
    | {
        "plan",
        "plan_table",
        "recipe_file",
        "summary",
        "serve",
        "chat_data_make_verbs",
        "chat_data_verbs",
        "serve_verbs",
        "corpus_verbs",
        "evaluate_verbs",
        "card_verbs",
        "prefer_verbs",
        "policies",
        "policy_verbs",
        "export_verbs",
        "judge_verbs",
        "review_verbs",
        "train_verbs",
        "vocab_verbs",
    },
    "__main__": {"cli"},
    "__init__": set(),
}
WITHOUT_TORCH = (
    "base",
    "canonical",
    "endpoints",
    "languages",
    "policies",
    "policy_verbs",
    "comparisons",
    "web",
    "recipe",
    "recipe_instructions",
    "recipe_training",
    "recipe_file",
    "estimate",
    "corpus",
    "vocab",
    "run_recipe",
    "run_stage",
    "stage_kinds",
    "plan",
    "plan_table",
    "chat_data_make_verbs",
    "chat_data_verbs",
    "corpus_verbs",
    "evaluate_verbs",
    "prefer_verbs",
    "answer_language",
    "card_verbs",
    "export_verbs",
    "judge_verbs",
    "review",
    "review_verbs",
    "serve_verbs",
    "train_verbs",
    "parallel_folder",
    "vocab_inputs",
    "vocab_alone",
    "vocab_plan",
    "vocab_verbs",
    "cli",
)
MODULES = sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST) -> set[str]:
    """Every `seallm.*` name the tree imports, at any depth; relative imports fail."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: absolute imports only"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.startswith("seallm.") and name != "seallm.__version__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_file(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    unit = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert text.count("\n") <= MAX_FILE_LINES, f"over {MAX_FILE_LINES} lines: split it"
    assert ast.get_docstring(tree), "say in a module docstring what turns into what"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or 0) - node.lineno + 1
            assert size <= MAX_FUNCTION_LINES, f"{node.name} has {size} lines"
        if isinstance(node, ast.ExceptHandler):
            swallows = all(isinstance(n, ast.Pass | ast.Continue) for n in node.body)
            assert not swallows, f"line {node.lineno} swallows an exception"
    for name in imported(tree):
        other = name.split(".")[1]
        assert other == unit or other in MAY_IMPORT[unit], f"{unit} must not import {other}"


def test_every_unit_has_a_rule() -> None:
    units = {p.relative_to(PACKAGE).parts[0].removesuffix(".py") for p in MODULES}
    assert units - {"sample"} == set(MAY_IMPORT)


def test_no_file_is_named_for_nothing() -> None:
    assert not {p.stem for p in MODULES} & {"utils", "util", "common", "misc", "helpers"}


@pytest.mark.parametrize("unit", WITHOUT_TORCH)
def test_imports_no_torch(unit: str) -> None:
    names = [module_name(p) for p in MODULES if p.relative_to(PACKAGE).parts[0].removesuffix(".py") == unit]
    code = f"import sys, importlib; [importlib.import_module(n) for n in {names}]; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0, f"{unit} imports torch"
