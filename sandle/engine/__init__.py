"""The generation engine: it knows sequences, tokens and text, and nothing of HTTP."""
