"""The sequences that wait for a slot, and whose turn it is. Plain Python; every method runs on the engine thread."""

from collections import deque

from sandle.engine.sequence import Sequence


class WaitingLine:
    """First come, first served among one user's sequences, and the users in turn.

    The sequences that name no user are one user's. Who has none waiting is forgotten, and comes last when back.
    """

    def __init__(self) -> None:
        self._users: dict[str | None, deque[Sequence]] = {}  # in the order of their turns
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def add(self, sequence: Sequence) -> None:
        """Puts a sequence behind its user's others."""
        self._users.setdefault(sequence.user, deque()).append(sequence)
        self._length += 1

    def take(self) -> Sequence:
        """Takes out the sequence whose turn it is; there must be one."""
        user, line = next(iter(self._users.items()))
        sequence = line.popleft()
        self._length -= 1
        del self._users[user]
        if line:
            self._users[user] = line  # behind all others
        return sequence

    def remove(self, sequence: Sequence) -> None:
        """Takes out a sequence that has left, wherever it stands."""
        line = self._users[sequence.user]
        line.remove(sequence)
        self._length -= 1
        if not line:
            del self._users[sequence.user]
