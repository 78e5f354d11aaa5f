"""The [corpus] section of the recipe: how raw documents become clean ones."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from seallm.recipe_section import InputPath, Positive, Section, Share


class Corpus(Section):
    """Raw documents in, clean documents by language and tier out."""

    inputs: list[InputPath]
    """Files, folders, globs or URLs of WARC, WET, HTML, JSONL, Parquet or text files."""
    columns: dict[str, str] = {}
    """Names of columns in foreign tables: { text = "content", url = "meta.url", licence = "license" }."""
    extractor: Literal["resiliparse", "trafilatura"] = "resiliparse"
    """What takes the article out of an HTML page; trafilatura is slower and stricter (`seallm[extract]`)."""
    strip_site_frames: bool = True
    """Remove the lines that repeat over a site's pages: menus, banners, footers."""
    zero_width: Literal["remove", "keep"] = "remove"
    """Zero-width spaces between letters of Khmer, Lao, Thai and Burmese."""
    full_width: Literal["keep", "ascii"] = "keep"
    """Full-width Latin letters and digits; Chinese punctuation stays full-width."""
    vietnamese_tones: Literal["keep", "new", "old"] = "keep"
    """`new` writes hoà, thuý; `old` writes hòa, thúy."""
    zawgyi: Literal["convert", "keep"] = "convert"
    """Burmese text in the Zawgyi encoding becomes Unicode."""
    identifier_model: InputPath | None = None
    """Another fastText model (.bin or .ftz) in place of lid.176."""
    identifier_threshold: Literal["file", "fitted"] = "file"
    """Least identification score: of the language file, or median less standard deviation of the crawl's scores."""
    personal_data: Literal["mask", "drop", "off"] = "mask"
    """E-mail addresses, telephone, card and identity numbers, IP addresses: replace them by `<email>` and so on."""
    personal_placeholder: str = "<{type}>"
    """What stands for masked data; a form that a tokenizer could take for a control token is refused."""
    harm_words: Literal["label", "drop", "off"] = "label"
    """Label documents worded like pornography, gambling, fraud or abuse, or drop them as well."""
    harm_model: InputPath | None = None
    """A classifier of harm of your own: fastText (.bin, .ftz), or scikit-learn by skops (`seallm[classifier]`)."""
    harm_label: str = "harmful"
    """The label of that classifier whose probability is taken, without `__label__`."""
    harm_threshold: Share = 0.5
    """Probability from which its label counts."""
    harm_model_action: Literal["label", "drop"] = "label"
    """Write its probability into `scores` alone, or drop the documents that reach the threshold as well."""
    blocked_domains: list[InputPath] = []
    """Files of domains or URL prefixes whose pages are dropped."""
    opt_out_domains: list[InputPath] = []
    """Files of sites that do not want to be trained on; their pages are dropped."""
    benchmarks: list[InputPath] = []
    """Files of benchmarks whose passages must not be in the corpus."""
    benchmark_fields: list[str] = []
    """Fields of the benchmarks that hold passages; none: every string."""
    benchmark_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of a passage that a document must hold to be dropped."""
    benchmark_action: Literal["drop", "cut"] = "drop"
    """What goes: the document, or the paragraphs that hold the passage."""
    high_sources: list[str] = []
    """Sources whose documents are of the high tier; the rest is tiered by quality score."""
    high_share: Share = 0.5
    """Share of each language's other documents (by quality score) that goes to the high tier."""
    high_threshold: Share | None = None
    """Least quality score of the high tier, in place of `high_share`: the classifier's, or the rules' without one."""
    reference_sources: list[str] = []
    """Sources whose documents are good (names or patterns): a tier classifier is trained on them; none: rule score."""
    reference_scores: InputPath | None = None
    """A judge's JSON lines {"id" or "text", "score": 0 to 5} to train it on instead."""
    held_out_share: Share = 0.02
    """Share of each language's documents kept apart to measure bits per byte."""
    minhash_permutations: Positive = 126
    """Hash functions of a near-duplicate signature."""
    minhash_bands: Positive = 21
    """Bands of the signature; must divide the permutations. Documents with one equal band are compared."""
    near_duplicate_similarity: Share = 0.7
    """Estimated share of shingles in common from which two documents are near duplicates."""
    minhash_shingle_units: Positive = 5
    """Words in a shingle; without spaces, four clusters or two Chinese characters stand for a word."""

    @model_validator(mode="after")
    def _bands_divide(self) -> "Corpus":
        if self.minhash_permutations % self.minhash_bands:
            raise ValueError(
                f"minhash_bands = {self.minhash_bands} must divide minhash_permutations = {self.minhash_permutations}"
            )
        if self.minhash_permutations // self.minhash_bands > 8:
            raise ValueError(
                f"minhash_bands = {self.minhash_bands} is too few for minhash_permutations = "
                f"{self.minhash_permutations}: a band holds 8 at most"
            )
        return self
