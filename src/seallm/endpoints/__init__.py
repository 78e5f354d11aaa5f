"""Questions in, answers of any server that speaks OpenAI's API out: many at once, none lost, none paid twice."""
