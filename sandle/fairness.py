"""Whose turn it is among those who wait: a fair share of the tokens for all. Plain Python; not for several threads.

Each key has a counter of the tokens spent on it, and the key with the least is next: a "virtual token counter"
(Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024), which does what deficit round-robin does without
its quantum. While two keys wait, neither is charged more than the other by more than one item of either. An item counts
with what it may cost from its turn on, and with what it did cost once it has ended. Who begins to wait starts where
those stand who are being served, so that no claim can be saved up, and no stream of new keys holds up the old ones.
"""

import heapq
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Key = TypeVar('Key', bound=Hashable)
Item = TypeVar('Item', bound=Hashable)


@dataclass(slots=True, eq=False)
class Account(Generic[Item]):
    """What one key has had, in tokens, and which of its items wait, each with what it may cost."""

    spent: float  # on items that have ended
    in_flight: int = 0  # what those may cost whose turn has come, and that have not ended
    line: deque[tuple[Item, int]] = field(default_factory=deque)

    @property
    def level(self) -> float:
        """All that counts against the key."""
        return self.spent + self.in_flight


def everybody(key: object) -> bool:
    """Any key may be served."""
    return True


class FairLine(Generic[Key, Item]):
    """The items that wait, first come, first served within a key. Costs are tokens; any item costs one at least."""

    def __init__(self) -> None:
        self._accounts: dict[Key, Account[Item]] = {}
        self._charged: dict[Item, tuple[Account[Item], int]] = {}  # those in flight
        self._share = 0.0  # how much a key has had that took part all the time
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def add(self, key: Key, item: Item, cost: int, *, is_first: bool = False) -> None:
        """Puts an item behind its key's others, or before them if it has had its turn already and could not use it."""
        account = self._accounts.setdefault(key, Account(self._share))
        if not account.line:
            account.spent = max(account.spent, self._share)
        entry = item, max(1, cost)
        if is_first:
            account.line.appendleft(entry)
        else:
            account.line.append(entry)
        self._length += 1

    def take(self, may_be_served: Callable[[Key], bool] = everybody) -> Item | None:
        """Takes out the item whose turn it is, of the keys that may be served now; None if there is none."""
        self._forget()
        chosen: Account[Item] | None = None
        for key, account in self._accounts.items():
            if not account.line:
                continue
            if not may_be_served(key):
                account.spent = max(account.spent, self._share)  # what it cannot take, it does not save up
            elif chosen is None or account.level < chosen.level:
                chosen = account
        if chosen is None:
            return None
        self._share = max(self._share, chosen.spent)
        return self._charge(chosen, chosen.line[0])

    def take_along(self, key: Key, item: Item) -> None:
        """Takes out an item that can be served with another one whose turn it is, and keeps nobody waiting by it."""
        account = self._accounts[key]
        self._charge(account, next(entry for entry in account.line if entry[0] is item))

    def settle(self, item: Item, cost: int) -> None:
        """Says what an item has cost, now that it has ended. Does nothing for one whose turn has not come."""
        if (charged := self._charged.pop(item, None)) is not None:
            account, estimate = charged
            account.in_flight -= estimate
            account.spent += cost
            self._share += cost / len(self._accounts)

    def remove(self, key: Key, item: Item) -> None:
        """Takes out an item that has left, wherever it stands; it must wait."""
        line = self._accounts[key].line
        line.remove(next(entry for entry in line if entry[0] is item))
        self._length -= 1

    def order(self) -> list[Item]:
        """Returns all in the order in which their turns come, if nobody else comes and nothing ends meanwhile."""
        turns = [(account.level, number, iter(account.line)) for number, account in enumerate(self._accounts.values())]
        heapq.heapify(turns)
        found = []
        while turns:
            level, number, rest = turns[0]
            if (entry := next(rest, None)) is None:
                heapq.heappop(turns)
            else:
                found.append(entry[0])
                heapq.heapreplace(turns, (level + entry[1], number, rest))
        return found

    def _charge(self, account: Account[Item], entry: tuple[Item, int]) -> Item:
        item, cost = entry
        account.line.remove(entry)
        account.in_flight += cost
        self._charged[item] = account, cost
        self._length -= 1
        return item

    def _forget(self) -> None:
        """Drops the accounts that say nothing: whoever comes back would start where the others stand anyway."""
        for key in [key for key, account in self._accounts.items()
                    if not account.line and not account.in_flight and account.spent <= self._share]:
            del self._accounts[key]
