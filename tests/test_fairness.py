"""Whose turn it is, and that nobody is done out of it."""

from collections import Counter, defaultdict, deque
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sandle.fairness import FairLine


@dataclass(frozen=True, eq=False)
class Item:
    """Something that waits; each is itself alone."""

    key: str
    cost: int = 1


def line(*items: Item) -> FairLine[str, Item]:
    waiting: FairLine[str, Item] = FairLine()
    for item in items:
        waiting.add(item.key, item, item.cost)
    return waiting


def named(keys: str, cost: int = 1) -> list[Item]:
    return [Item(key, cost) for key in keys]


def keys_of(items: list[Item]) -> str:
    return ''.join(item.key for item in items)


def drained(waiting: FairLine[str, Item]) -> str:
    items = []
    while (item := waiting.take()) is not None:
        items.append(item)
    assert len(waiting) == 0
    return keys_of(items)


def test_keys_take_turns_whose_items_cost_the_same() -> None:
    assert drained(line(*named('aaabbc'))) == 'abcaba'


def test_turns_are_counted_in_tokens() -> None:
    assert drained(line(*named('aaa', cost=100), *named('bbbbbb', cost=25))) == 'abbbbabba'


def test_a_keys_items_keep_their_order() -> None:
    items = named('aaa')
    waiting = line(*items)
    assert [waiting.take() for _ in items] == items


def test_who_comes_back_has_no_claim() -> None:
    waiting = line(*named('abb'))
    assert waiting.take() is not None
    waiting.add('a', Item('a'), 1)
    assert drained(waiting) == 'bab'


def test_who_comes_late_is_next_but_gets_no_more_than_the_others_have_in_flight() -> None:
    waiting = line(*named('a' * 20, cost=10))
    for _ in range(4):
        waiting.settle(waiting.take() or Item(''), 10)
    for _ in range(3):
        waiting.take()
    for item in named('b' * 20, cost=10):
        waiting.add('b', item, 10)
    assert drained(waiting).startswith('bbb' + 'ab' * 8)


def test_what_was_charged_too_much_is_given_back() -> None:
    """Two keys that get the same tokens, one of which asks for a hundred times as many as it uses."""
    waiting = line(*named('a' * 50, cost=1000), *named('b' * 50, cost=10))
    counts: Counter[str] = Counter()
    for _ in range(60):
        item = waiting.take()
        assert item is not None
        counts[item.key] += 1
        waiting.settle(item, 10)
    assert counts == {'a': 30, 'b': 30}


def test_a_flood_that_asks_for_too_much_does_not_hold_up_who_comes_now_and_then() -> None:
    waiting = line(*named('a' * 300, cost=1000))
    running = deque(waiting.take() for _ in range(16))
    for number in range(200):
        waiting.settle(running.popleft() or Item(''), 10)
        if number % 20 == 0:
            visitor = Item('b', 20)
            waiting.add('b', visitor, 20)
            assert waiting.take() is visitor
            running.append(visitor)
        else:
            running.append(waiting.take())


def test_key_that_may_not_be_served_holds_up_nobody_and_saves_nothing_up() -> None:
    waiting = line(*named('a' * 20), *named('b' * 20))
    for _ in range(10):
        item = waiting.take(lambda key: key != 'a')
        assert item is not None and item.key == 'b'
        waiting.settle(item, 1)
    assert waiting.take(lambda key: False) is None
    assert keys_of([waiting.take() or Item('') for _ in range(10)]).count('b') >= 4


def test_new_keys_without_end_hold_up_nobody() -> None:
    """A client that gives itself a new name each time must not get every turn."""
    waiting = line(*named('aa', cost=50))
    waiting.settle(waiting.take() or Item(''), 50)
    for number in range(500):
        waiting.add(f'new {number}', Item('x', 10), 10)
        waiting.add(f'other {number}', Item('x', 10), 10)
        item = waiting.take()
        assert item is not None
        waiting.settle(item, 10)
        if item.key == 'a':
            break
    else:
        raise AssertionError('a waits for ever')


def test_keys_that_have_gone_are_forgotten() -> None:
    waiting: FairLine[str, Item] = FairLine()
    for number in range(1000):
        waiting.add(f'user {number}', Item('x', 10), 10)
        waiting.settle(waiting.take() or Item(''), 10)
    waiting.take()
    assert len(waiting._accounts) < 20


def test_item_that_could_not_use_its_turn_has_it_again() -> None:
    items = named('aab')
    waiting = line(*items)
    first = waiting.take()
    assert first is items[0]
    waiting.settle(first, 0)
    waiting.add('a', first, 1, is_first=True)
    assert waiting.order() == [items[0], items[2], items[1]]


costs = st.integers(1, 1000)
lines = st.lists(st.builds(Item, st.sampled_from('abcd'), costs), max_size=40)


@given(lines, st.lists(st.booleans(), max_size=40))
def test_of_two_that_wait_neither_is_charged_more_by_more_than_one_item(items: list[Item], ends: list[bool]) -> None:
    waiting = line(*items)
    charged: Counter[str] = Counter()
    left = Counter(item.key for item in items)
    running: deque[Item] = deque()
    most = max([item.cost for item in items], default=0)
    while (item := waiting.take()) is not None:
        charged[item.key] += item.cost
        left[item.key] -= 1
        running.append(item)
        if ends and ends.pop():
            ended = running.popleft()
            waiting.settle(ended, ended.cost)
        standing = [charged[key] for key in left if left[key]]
        assert not standing or max(standing) - min(standing) <= most


@given(lines)
def test_order_is_that_in_which_turns_come(items: list[Item]) -> None:
    waiting = line(*items)
    assert waiting.order() == [waiting.take() for _ in items]


class Waiting(RuleBasedStateMachine):
    """Everything that may happen, in any order: nothing is lost, and nobody is passed over."""

    def __init__(self) -> None:
        super().__init__()
        self.line: FairLine[str, Item] = FairLine()
        self.waiting: dict[str, deque[Item]] = defaultdict(deque)
        self.in_flight: list[Item] = []

    @rule(key=st.sampled_from('abc'), cost=costs)
    def come(self, key: str, cost: int) -> None:
        """An item begins to wait."""
        item = Item(key, cost)
        self.line.add(key, item, cost)
        self.waiting[key].append(item)

    @rule(barred=st.sets(st.sampled_from('abc')))
    def serve(self, barred: set[str]) -> None:
        """Somebody's turn comes whenever anybody may be served: the first one of its key."""
        item = self.line.take(lambda key: key not in barred)
        assert (item is not None) == any(line and key not in barred for key, line in self.waiting.items())
        if item is not None:
            assert item.key not in barred and self.waiting[item.key].popleft() is item
            self.in_flight.append(item)

    @precondition(lambda self: any(self.waiting.values()))
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """A client that waits goes away."""
        item = data.draw(st.sampled_from([item for line in self.waiting.values() for item in line]))
        self.line.remove(item.key, item)
        self.waiting[item.key].remove(item)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), cost=st.integers(0, 1000), returns=st.booleans())
    def end(self, data: st.DataObject, cost: int, returns: bool) -> None:
        """An item ends, or goes back to wait."""
        item = data.draw(st.sampled_from(self.in_flight))
        self.in_flight.remove(item)
        self.line.settle(item, 0 if returns else cost)
        if returns:
            self.line.add(item.key, item, item.cost, is_first=True)
            self.waiting[item.key].appendleft(item)

    @invariant()
    def holds(self) -> None:
        """What waits is what is known to wait."""
        order = self.line.order()
        assert len(self.line) == len(order)
        for key, items in self.waiting.items():
            assert [item for item in order if item.key == key] == list(items)


TestWaiting = Waiting.TestCase
TestWaiting.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
