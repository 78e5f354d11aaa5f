"""Raw Unicode in, canonical text out: the one policy that corpus, tokenizer, measuring and chat share."""
