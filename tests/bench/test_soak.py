"""The soak says what is wrong with a server, and only that."""

from collections import Counter

from bench.soak import Diary, growth, verdict

FLAT = [(float(second), 500_000_000) for second in range(100)]
GOOD: list[tuple[dict[str, object], str]] = [({'prompt': 'a'}, 'b')]


def test_verdict_of_a_good_run_is_empty() -> None:
    assert verdict(Diary(greedy=GOOD, rss=FLAT), 0, [], 100) == []


def test_verdict_names_each_fault() -> None:
    growing = [(float(second), 500_000_000 + 1_000_000 * second) for second in range(100)]
    diary = Diary(Counter(), ['a request'], [], growing)
    wrong = verdict(diary, 2, ['an answer'], 100)
    assert [fault.split()[0] for fault in wrong] == ['no', '1', '2', 'memory', '1']


def test_verdict_forgives_memory_that_grows_early() -> None:
    warming = [(float(second), 300_000_000 if second < 20 else 500_000_000) for second in range(100)]
    assert verdict(Diary(greedy=GOOD, rss=warming), 0, [], 100) == []


def test_growth_compares_a_fifth_with_the_end() -> None:
    assert growth([(0, 9), (20, 5), (24, 6), (50, 9), (95, 7), (101, 8)], 100) == (6, 8)
