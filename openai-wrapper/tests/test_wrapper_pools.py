"""Who runs, who waits, who must go: the rules of the queue, with a clock that is handed in."""

from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sandle import errors
from wrapper_keys import Key, Limits
from wrapper_pools import Bounds, Place, Pools, Refusal, Status
from wrapper_registry import Takers

LOST = errors.BadGatewayError('lost')
LOADING = errors.ModelLoadingError('loading', retry_after_s=2)


def key(name: str, parallel: int | None = None) -> Key:
    return Key(b'', name, name, limits=Limits(parallel=parallel))


class House:
    """Pools whose backends a test sets."""

    def __init__(self, max_running: int = 2, max_waiting: int = 10, max_open: int = 200, replicas: int = 1) -> None:
        self.replicas = {'m': replicas, 'other': 1}
        self.stuck = 0
        self.pools = Pools(lambda model: Takers(self.replicas[model], self.stuck),
                           Bounds(max_running, max_waiting, max_open, 60.0))
        self.now_s = 1.0

    def enter(self, name: str, model: str = 'm', cost: int = 10, parallel: int | None = None) -> Place:
        """A request comes."""
        return self.pools.enter(key(name, parallel), model, cost, self.now_s)

    def end(self, place: Place, cost: int = 10) -> None:
        """A request ends, or its client leaves."""
        self.pools.end(place, cost, self.now_s)

    def put_back(self, place: Place, cause: errors.ApiError, pause_s: float = 2.0) -> None:
        """A request was not taken."""
        self.pools.put_back(place, cause, self.now_s + pause_s, self.now_s)


def statuses(places: Sequence[Place]) -> str:
    return ''.join(place.status.value[0] for place in places)  # waiting, running, ended


def test_as_many_run_as_the_backends_take_and_the_next_begins_when_one_ends() -> None:
    house = House()
    places = [house.enter('a') for _ in range(4)]
    assert statuses(places) == 'rrww'
    assert [place.first_position for place in places] == [None, None, 1, 2]
    house.end(places[0])
    assert statuses(places) == 'errw' and places[2].moved.is_set()
    house.replicas['m'] = 2
    house.pools.look_at_backends()
    house.pools.let_begin(house.now_s)
    assert statuses(places) == 'errr'


def test_requests_that_are_stuck_at_a_backend_take_nobodys_place() -> None:
    house = House(replicas=2)
    places = [house.enter('a') for _ in range(6)]
    assert statuses(places) == 'rrrrww'
    house.replicas['m'], house.stuck = 1, 2
    house.end(places[0])
    assert statuses(places) == 'errrrw'
    house.replicas['m'], house.stuck = 0, 4
    house.end(places[1])
    assert statuses(places) == 'eerrrw', 'there is nobody to ask'


def test_a_busy_model_does_not_hold_up_another() -> None:
    house = House()
    places = [house.enter('a') for _ in range(4)]
    assert statuses([*places, house.enter('a', 'other')]) == 'rrwwr'


def test_key_that_has_its_parallel_requests_waits_alone_and_over_all_models() -> None:
    house = House(max_running=10)
    places = [house.enter('a', parallel=2), house.enter('a', 'other', parallel=2), house.enter('a', parallel=2)]
    assert statuses([*places, house.enter('b')]) == 'rrwr'
    house.end(places[1])
    assert statuses(places) == 'rer'


def test_a_raised_limit_is_in_force_with_the_next_request() -> None:
    house = House(max_running=10)
    places = [house.enter('a', parallel=1) for _ in range(3)] + [house.enter('a', parallel=4)]
    assert statuses(places) == 'rrrr'


def test_turns_are_shared_between_keys_by_tokens() -> None:
    house = House(max_running=1, max_waiting=100)
    running = house.enter('a')
    places = [house.enter('a', cost=100) for _ in range(3)] + [house.enter('b', cost=10) for _ in range(10)]
    order = ''
    for _ in places:
        house.end(running, running.cost)
        [running] = [place for place in places if place.status is Status.RUNNING]
        order += running.key.name
    assert order == 'babbbbbbbbbaa'


def test_full_queue_drops_the_newest_of_the_key_with_most_waiting() -> None:
    house = House(max_running=1, max_waiting=4)
    flood = [house.enter('flood') for _ in range(7)]
    assert statuses(flood) == 'rwwwwee', 'its own newest are refused'
    visitor = house.enter('visitor')
    assert visitor.status is Status.WAITING and statuses(flood) == 'rwwweee'
    assert isinstance(flood[4].refusal, errors.QueueFullError) and flood[4].moved.is_set()
    others = [house.enter('visitor') for _ in range(2)]
    assert statuses([visitor, *others]) == 'wwe', 'of two keys with as many, the newcomer gives way'
    assert statuses(flood) == 'rwweeee'
    assert house.pools.refused == {Refusal.QUEUE_FULL: 5}


def test_without_a_place_to_wait_one_is_refused_or_runs() -> None:
    house = House(max_running=1, max_waiting=0)
    assert statuses([house.enter('a'), house.enter('b')]) == 're'


def test_threads_that_may_be_taken_are_never_exceeded() -> None:
    house = House(max_running=10, max_waiting=2, max_open=5)
    places = [house.enter('a') for _ in range(8)]
    assert statuses(places) == 'rrrwweee'
    for place in places[:3]:
        house.put_back(place, LOST)
    assert statuses([*places, house.enter('b')]) == 'wwwweeeew'


def test_who_was_put_back_goes_first_when_the_pause_is_over() -> None:
    house = House(max_running=1)
    first, second = house.enter('a'), house.enter('a')
    house.put_back(first, LOADING)
    assert statuses([first, second]) == 'ww' and (first.first_position, second.first_position) == (1, 1)
    assert not first.moved.is_set()
    house.now_s += 1
    house.pools.look_after(first, house.now_s)
    house.pools.look_at_backends()
    house.pools.let_begin(house.now_s)
    assert statuses([first, second]) == 'ww', 'the same backends as before: the pause goes on'
    house.now_s += 1
    house.pools.look_after(second, house.now_s)
    assert statuses([first, second]) == 'rw'


def test_news_of_the_backends_end_a_pause() -> None:
    house = House()
    place = house.enter('a')
    house.replicas['m'] = 0
    house.put_back(place, LOST, pause_s=50)
    house.replicas['m'] = 1
    house.pools.look_at_backends()
    house.pools.let_begin(house.now_s)
    assert place.status is Status.RUNNING


def test_a_place_that_becomes_free_ends_a_pause() -> None:
    house = House()
    running, place = house.enter('a'), house.enter('a')
    house.put_back(place, errors.QueueFullError('full'), pause_s=50)
    assert statuses([running, place]) == 'rw'
    house.end(running)
    assert statuses([running, place]) == 'er'


def test_patience_ends_with_the_reason() -> None:
    house = House(max_running=1)
    house.enter('a', parallel=1)
    busy, barred = house.enter('b'), house.enter('a', parallel=1)
    house.replicas['other'] = 0
    lost = house.enter('c', 'other')
    house.now_s += 59
    for place in (busy, barred, lost):
        house.pools.look_after(place, house.now_s)
    assert statuses([busy, barred, lost]) == 'www'
    house.now_s += 1
    for place in (busy, barred, lost):
        house.pools.look_after(place, house.now_s)
    refusals = [place.refusal for place in (busy, barred, lost)]
    assert [(error.status, error.retry_after_s) for error in refusals if error] == [(503, 1), (429, 1), (503, 5)]
    assert house.pools.refused == {Refusal.BUSY: 1, Refusal.PARALLEL: 1, Refusal.NO_BACKEND: 1}


def test_patience_that_ends_while_a_model_loads_has_the_backends_own_words() -> None:
    house = House()
    place = house.enter('a')
    house.put_back(place, LOADING, pause_s=100)
    house.now_s += 61
    house.pools.look_after(place, house.now_s)
    assert place.refusal is LOADING


def test_the_end_refuses_who_waits_and_who_comes_or_comes_back() -> None:
    house = House(max_running=1)
    running, waiting = house.enter('a'), house.enter('a')
    house.pools.refuse_all(LOST)
    assert statuses([running, waiting, house.enter('b')]) == 'ree' and waiting.refusal is LOST
    house.put_back(running, LOADING)
    assert running.status is Status.ENDED and running.refusal is LOST


class Traffic(RuleBasedStateMachine):
    """Whatever comes, goes, is lost and found: no place is lost or given twice, and none is idle that could work."""

    def __init__(self) -> None:
        super().__init__()
        self.house = House(max_running=2, max_waiting=4, max_open=8)
        self.places: list[Place] = []

    def chosen(self, number: int, status: Status) -> Place | None:
        """One of those that stand so."""
        found = [place for place in self.places if place.status is status]
        return found[number % len(found)] if found else None

    @rule(name=st.sampled_from('abc'), model=st.sampled_from(['m', 'other']), cost=st.integers(1, 100))
    def come(self, name: str, model: str, cost: int) -> None:
        """A request; of the key c, one runs at once."""
        waiting_before = [place for place in self.places if place.status is Status.WAITING]
        place = self.house.enter(name, model, cost, 1 if name == 'c' else None)
        self.places.append(place)
        dropped = [each for each in [*waiting_before, place] if each.status is Status.ENDED]
        assert len(dropped) <= 1
        left = [each for each in [*waiting_before, place] if each.status is Status.WAITING]
        for each in dropped:  # from among those whose turn the newcomer has not brought
            counts = [sum(other.key.name == key for other in [*left, *dropped]) for key in 'abc']
            assert counts['abc'.index(each.key.name)] == max(counts), 'the key that has most gives way'

    @rule(number=st.integers(0, 20), cost=st.integers(0, 100))
    def end(self, number: int, cost: int) -> None:
        """One ends."""
        if place := self.chosen(number, Status.RUNNING):
            self.house.end(place, cost)

    @rule(number=st.integers(0, 20))
    def leave(self, number: int) -> None:
        """The client of one that waits leaves."""
        if place := self.chosen(number, Status.WAITING):
            self.house.end(place, 0)

    @rule(number=st.integers(0, 20), pause_s=st.sampled_from([0.0, 2.0]))
    def come_back(self, number: int, pause_s: float) -> None:
        """No backend takes one."""
        if place := self.chosen(number, Status.RUNNING):
            self.house.put_back(place, LOST, pause_s)

    @rule(count=st.integers(0, 2))
    def replicas(self, count: int) -> None:
        """Backends come or go."""
        self.house.replicas['m'] = count
        self.house.pools.look_at_backends()
        self.house.pools.let_begin(self.house.now_s)

    @rule(seconds=st.sampled_from([1.0, 2.0, 60.0]))
    def pass_time(self, seconds: float) -> None:
        """Time passes, and everybody looks up."""
        self.house.now_s += seconds
        for place in self.places:
            if place.status is Status.WAITING:
                self.house.pools.look_after(place, self.house.now_s)

    @invariant()
    def holds(self) -> None:
        """What is counted is what is there."""
        pools = self.house.pools
        waiting = [place for place in self.places if place.status is Status.WAITING]
        running = [place for place in self.places if place.status is Status.RUNNING]
        assert len(waiting) + len(running) <= 8
        assert (pools._waiting, pools._running) == (len(waiting), len(running))
        assert all(place.moved.is_set() == (place.status is Status.RUNNING) for place in waiting + running)
        assert sum(place.key.name == 'c' for place in running) <= 1
        for model, pool in pools.by_model.items():
            mine = [place for place in waiting if place.pool is pool]
            assert pool.line.order() and set(pool.line.order()) == set(mine) or not mine
            assert sorted(map(pools.position, mine)) == list(range(1, len(mine) + 1))
            assert pool.running == sum(place.pool is pool for place in running)
            room = self.house.replicas[model] * 2 - pool.running > 0 and len(running) < 4
            is_paused = pool.paused_until_s > self.house.now_s
            has_c = any(place.key.name == 'c' for place in running)
            assert not room or is_paused or all(place.key.name == 'c' and has_c for place in mine), 'work is left lying'


TestTraffic = Traffic.TestCase
TestTraffic.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
