"""Makes the language model sandle-tiny: corpus, tokenizer, training, test prompts."""
