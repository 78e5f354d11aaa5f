"""Figures that can be compared, each with n and an interval, and the report."""
