"""seallm: raw web pages and an open base model in, an assistant for your languages out."""

__version__ = "0.1.0"
