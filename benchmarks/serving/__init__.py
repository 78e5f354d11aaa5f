"""The server beside `transformers serve` and a plain loop: speed, second turns, and whether it survives its clients."""
