"""What a request may cost."""

import pytest

from sandle.embedding_protocol import EmbeddingsRequest
from sandle.protocol import CompletionRequest, DetokenizeRequest, TokenizeRequest
from wrapper_cost import estimate


@pytest.mark.parametrize(('fields', 'tokens'), [
    ({'prompt': 'x' * 40}, 11 + 16), ({'prompt': [1, 2, 3], 'max_tokens': 5}, 8),
    ({'prompt': [[1, 2], [3]], 'max_tokens': 5, 'n': 2}, 3 + 4 * 5), ({'max_tokens': 5, 'n': 2, 'best_of': 7}, 1 + 35),
    ({'prompt': ['', 'abcd'], 'max_tokens': 0, 'echo': True}, 3)])
def test_completion(fields: dict[str, object], tokens: int) -> None:
    assert estimate(CompletionRequest.model_validate({'model': 'm', **fields})) == tokens


def test_embeddings() -> None:
    assert estimate(EmbeddingsRequest(model='m', input=['x' * 40, 'y'])) == 12
    assert estimate(EmbeddingsRequest(model='m', input=[[1, 2], [3]])) == 3


def test_tokenizers() -> None:
    assert estimate(TokenizeRequest(prompt='x' * 400)) == 101
    assert estimate(DetokenizeRequest(tokens=[1] * 9)) == 9
