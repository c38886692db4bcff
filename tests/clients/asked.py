"""What every client asks, and what sandle-tiny says to it at temperature 0."""

CAPITAL = 'Q: What is the capital of France?\nA:'
CAPITAL_SAID = ' Paris'
QUESTION = 'What is the capital of France?'
QUESTION_SAID = 'The capital of France is Paris.'
MODEL = 'sandle-tiny'
EMBEDDING_MODEL = 'finder'
EMBEDDING_SIZE = 64
