"""Measurements of what teachers make."""
