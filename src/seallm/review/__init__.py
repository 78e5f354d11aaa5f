"""Conversations and pairs of answers in; what native speakers say of them, and how far they agree, out."""
