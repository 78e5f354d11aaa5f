"""Instruction data: how many planted faults the checks find, how often categories are right, and how fast it is."""
