"""The network and how it speaks: checkpoints, embeddings, chat format, generation, scoring."""
