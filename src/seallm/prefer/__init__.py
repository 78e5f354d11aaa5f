"""The model samples answers and judges them itself: preference pairs out."""
