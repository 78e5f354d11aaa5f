"""Talk to a model: terminal chat, OpenAI-shaped API, chat page."""
