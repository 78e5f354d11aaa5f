"""Base tokenizer and corpus in, extended tokenizer out. Needs no torch."""
