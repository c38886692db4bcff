"""What a request may cost, in tokens, before it has run: the queue goes by it until the real cost is known."""

from sandle.chat_protocol import ChatRequest
from sandle.embedding_protocol import EmbeddingsRequest
from sandle.protocol import CompletionRequest, DetokenizeRequest, TokenizeRequest

CHARACTERS_A_TOKEN = 4  # of a text in English
ANSWER_TOKENS = 256  # of one that nothing but the context ends; most are shorter than that by far
TINY = 1  # of a request that no model has to work for

Forwarded = ChatRequest | CompletionRequest | EmbeddingsRequest | TokenizeRequest | DetokenizeRequest


def estimate(request: Forwarded) -> int:
    """Returns the tokens of the prompts, about, and as many as may be generated."""
    match request:
        case CompletionRequest():
            prompts = request.prompts()
            answers = len(prompts) * (request.best_of or request.n)
            return sum(map(_tokens, prompts)) + answers * request.max_tokens
        case ChatRequest():
            messages = sum(_tokens(message.text() or '') for message in request.messages)
            tools = sum(_tokens(tool.model_dump_json(exclude_none=True)) for tool in request.tools or ())
            return messages + tools + request.n * (request.answer_tokens() or ANSWER_TOKENS)
        case EmbeddingsRequest():
            return sum(map(_tokens, request.texts()))
        case TokenizeRequest():
            return _tokens(request.prompt)
        case DetokenizeRequest():
            return len(request.tokens)


def _tokens(prompt: str | tuple[int, ...]) -> int:
    return len(prompt) // CHARACTERS_A_TOKEN + 1 if isinstance(prompt, str) else len(prompt)
