"""Quantities as people read them."""

from sandle import units


def test_sizes_are_written_for_people() -> None:
    assert [units.gib(size) for size in (0, 10 * 2 ** 20, 3 * 2 ** 29)] == ['0.0 MiB', '10.0 MiB', '1.5 GiB']


def test_time_spans_are_written_for_people() -> None:
    assert [units.duration(seconds) for seconds in (0.4, 90, 600, 9000)] == ['0 s', '90 s', '10 min', '2.5 h']
