"""From an engine's deltas to the choices of a chat: messages, their pieces, and logprobs in chat's form.

Knows the shapes of the contract; knows nothing of threads, sockets or models.
"""

import re
import secrets
from collections.abc import Iterator, Sequence

from sandle.chat_answer_protocol import (AnsweredFunction, AnsweredMessage, AnsweredToolCall, ChatChoice,
                                         ChatChunkChoice, ChatDelta, ChatFinishReason, ChatLogprobs, TokenLogprob,
                                         TopLogprob)
from sandle.chat_protocol import ChatRequest
from sandle.choices import Gatherer, shown
from sandle.engine.engine import Delta, Token
from sandle.tool_calls import CallPiece, CallReader, TextPiece

NOT_UTF8 = re.compile(r'bytes:((?:\\x[0-9a-f]{2})+)')  # see sandle.engine.text.token_text


class ChatWriter(Gatherer):
    """Words one choice of a chat."""

    def __init__(self, request: ChatRequest, index: int, prompt_ids: Sequence[int], calls: CallReader | None) -> None:
        """`calls` reads the calls out of an answer, where there may be some."""
        super().__init__(request, request.logprobs)
        self._calls = calls
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
        deltas = self._deltas(text)
        if not deltas and (self.finish_reason is not None or self._shows_tokens):
            deltas = [ChatDelta()]
        for place, each in enumerate(deltas):
            is_last = place == len(deltas) - 1  # which has what is of the whole step
            yield ChatChunkChoice(
                index=self._index, delta=each, logprobs=self._logprobs(tokens) if is_last else None,
                finish_reason=self._reason() if is_last else None,
                token_ids=[token.id for token in tokens] if is_last and self._request.return_token_ids else None)

    def choice(self) -> ChatChoice:
        """Returns the whole choice."""
        text, tokens = self.taken()
        choice = ChatChoice(index=self._index, message=self._message(text), logprobs=self._logprobs(tokens),
                            finish_reason=self._reason())
        if self._request.return_token_ids:
            choice.prompt_token_ids, choice.token_ids = self._prompt_ids, [token.id for token in tokens]
        return choice

    def _reason(self) -> ChatFinishReason | None:
        if self.finish_reason == 'stop' and self._calls is not None and self._calls.has_called:
            return 'tool_calls'
        return self.finish_reason  # type: ignore[return-value]  # FinishReason's values are the protocol's

    def _message(self, text: str) -> AnsweredMessage:
        if self._calls is None:
            return AnsweredMessage(content=text)
        content, calls = '', list[AnsweredToolCall]()
        for piece in self._calls.read(text, is_last=True):
            if isinstance(piece, TextPiece):
                content += piece.text
            elif piece.name is not None:
                calls.append(_new_call(piece, index=None))
            else:
                calls[-1].function.arguments += piece.arguments
        return AnsweredMessage(content=content or (None if calls else ''), tool_calls=calls or None)

    def _deltas(self, text: str) -> list[ChatDelta]:
        """Returns the pieces of a stream that a text is."""
        if self._calls is None:
            return [ChatDelta(content=text or None)]
        return [_delta(piece) for piece in self._calls.read(text, self.finish_reason is not None)]

    def _logprobs(self, tokens: Sequence[Token]) -> ChatLogprobs | None:
        if not self._request.logprobs:
            return None
        return ChatLogprobs(content=[TokenLogprob(
            token=token.text, logprob=shown(token.logprob or 0.0), bytes=_bytes(token.text),
            top_logprobs=[TopLogprob(token=other.text, logprob=shown(other.logprob), bytes=_bytes(other.text))
                          for other in token.top or ()]) for token in tokens])


def _delta(piece: TextPiece | CallPiece) -> ChatDelta:
    if isinstance(piece, TextPiece):
        return ChatDelta(content=piece.text)
    if piece.name is not None:
        return ChatDelta(tool_calls=[_new_call(piece, piece.index)])
    return ChatDelta(tool_calls=[AnsweredToolCall(index=piece.index,
                                                  function=AnsweredFunction(arguments=piece.arguments))])


def _new_call(piece: CallPiece, index: int | None) -> AnsweredToolCall:
    return AnsweredToolCall(index=index, id=f'call_{secrets.token_hex(12)}', type='function',
                            function=AnsweredFunction(name=piece.name, arguments=piece.arguments))


def _bytes(text: str) -> list[int]:
    """Returns the bytes of a token by how it is shown."""
    match = NOT_UTF8.fullmatch(text)
    return list(bytes.fromhex(match[1].replace('\\x', '')) if match else text.encode())
