"""Measurements of the training engine."""
