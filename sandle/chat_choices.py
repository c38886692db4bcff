"""From an engine's deltas to the choices of a chat: messages, their pieces, and logprobs in chat's form.

Knows the shapes of the contract; knows nothing of threads, sockets or models.
"""

import re
from collections.abc import Iterator, Sequence

from sandle.chat_answer_protocol import (AnsweredMessage, ChatChoice, ChatChunkChoice, ChatDelta, ChatLogprobs,
                                         TokenLogprob, TopLogprob)
from sandle.chat_protocol import ChatRequest
from sandle.choices import Gatherer, shown
from sandle.engine.engine import Delta, Token

NOT_UTF8 = re.compile(r'bytes:((?:\\x[0-9a-f]{2})+)')  # see sandle.engine.text.token_text


class ChatWriter(Gatherer):
    """Words one choice of a chat."""

    def __init__(self, request: ChatRequest, index: int, prompt_ids: Sequence[int]) -> None:
        super().__init__(request, request.logprobs)
        self._request = request
        self._index = index
        self._prompt_ids = list(prompt_ids)
        self._has_begun = False

    def chunks(self, delta: Delta) -> Iterator[ChatChunkChoice]:
        """Takes in a delta and yields what can be streamed now; what comes first says whose turn it is."""
        if not self.add_and_look(delta):
            return
        if not self._has_begun:
            self._has_begun = True
            opening = ChatChunkChoice(index=self._index, delta=ChatDelta(role='assistant', content=''), logprobs=None,
                                      finish_reason=None)
            if self._request.return_token_ids:
                opening.prompt_token_ids, opening.token_ids = self._prompt_ids, []
            yield opening
        text, tokens = self.taken()
        yield ChatChunkChoice(
            index=self._index, delta=ChatDelta(content=text or None), logprobs=self._logprobs(tokens),
            finish_reason=self.finish_reason,  # type: ignore[arg-type]  # FinishReason's values are the protocol's
            token_ids=[token.id for token in tokens] if self._request.return_token_ids else None)

    def choice(self) -> ChatChoice:
        """Returns the whole choice."""
        text, tokens = self.taken()
        choice = ChatChoice(
            index=self._index, message=AnsweredMessage(content=text), logprobs=self._logprobs(tokens),
            finish_reason=self.finish_reason)  # type: ignore[arg-type]  # as above
        if self._request.return_token_ids:
            choice.prompt_token_ids, choice.token_ids = self._prompt_ids, [token.id for token in tokens]
        return choice

    def _logprobs(self, tokens: Sequence[Token]) -> ChatLogprobs | None:
        if not self._request.logprobs:
            return None
        return ChatLogprobs(content=[TokenLogprob(
            token=token.text, logprob=shown(token.logprob or 0.0), bytes=_bytes(token.text),
            top_logprobs=[TopLogprob(token=other.text, logprob=shown(other.logprob), bytes=_bytes(other.text))
                          for other in token.top or ()]) for token in tokens])


def _bytes(text: str) -> list[int]:
    """Returns the bytes of a token by how it is shown."""
    match = NOT_UTF8.fullmatch(text)
    return list(bytes.fromhex(match[1].replace('\\x', '')) if match else text.encode())
