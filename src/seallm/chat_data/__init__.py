"""Instruction data: foreign conversation files in; checked, mixed conversations of all languages out."""
