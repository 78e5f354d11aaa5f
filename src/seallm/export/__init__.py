"""A finished model -> what other programs load: a Hugging Face folder, GGUF, Ollama, a hub."""
