"""Judgements of people or models in; scores, win rates, agreement and their intervals out. Needs numpy alone."""
