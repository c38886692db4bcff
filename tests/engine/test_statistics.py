"""Counting what an engine does: classes of durations, snapshots, and what the engine thread records."""

import pytest

from sandle.engine.statistics import OUTCOMES, WAIT_BOUNDS_S, Recorder


def test_a_histogram_counts_each_observation_in_its_class() -> None:
    recorder = Recorder()
    for value in (0.0, WAIT_BOUNDS_S[0], WAIT_BOUNDS_S[0] * 1.01, 1e9):
        recorder.first_token(value)
    histogram = recorder.snapshot(0, 0, 0).first_token_s
    assert histogram.bounds == WAIT_BOUNDS_S
    assert histogram.counts == (2, 1, *[0] * (len(WAIT_BOUNDS_S) - 2), 1), 'a bound belongs to its class'
    assert histogram.sum == pytest.approx(1e9, abs=1)


def test_a_snapshot_stays_as_it_is() -> None:
    recorder = Recorder()
    before = recorder.snapshot(1, 2, 3)
    recorder.request_ended('stop')
    recorder.admitted(prompt_tokens=7, prefix_hit_tokens=5, queued_s=0.5)
    recorder.token(None)
    recorder.token(0.25)
    recorder.step(2.0, 1.5)
    after = recorder.snapshot(0, 0, 3)
    assert (before.waiting, before.running, before.slots) == (1, 2, 3)
    assert dict(before.requests) == dict.fromkeys(OUTCOMES, 0) and before.completion_tokens == 0
    assert after.requests['stop'] == 1
    assert (after.prompt_tokens, after.prefix_hit_tokens, after.completion_tokens) == (7, 5, 2)
    assert (after.steps, after.step_seconds, after.model_seconds) == (1, 2.0, 1.5)
    assert (after.queue_s.sum, after.inter_token_s.sum) == (0.5, 0.25)
    assert sum(after.inter_token_s.counts) == 1, "a sequence's first token comes after no other"
