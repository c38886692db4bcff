"""Gateways are measured by what reaches the client, and compared within a round."""

import asyncio
import math
import shutil
from pathlib import Path

import pytest

from bench import gateway, gateway_servers
from bench.gateway_backend import DONE, EVENT
from bench.gateway_report import Small, added_ms, ratio, render
from bench.gateway_servers import DIRECT, FLASK, KEY, LITELLM, OURS
from bench.gateway_streams import Load, Stream, StreamsResult, measure_streams, summarise
from bench.servers import ServerError

LOAD = Load(streams=2, tokens=3, tokens_per_s=2.0)


def small(name: str, clients: int, number: int, requests_per_s: float, p50_ms: float) -> Small:
    return Small(name, clients, number, requests_per_s, p50_ms, 2 * p50_ms, 100.0)


def stream(*events: tuple[float, bytes]) -> Stream:
    loop = asyncio.new_event_loop()
    made = Stream(b'', loop.create_future(), sent_s=10.0, times=[at_s for at_s, _ in events],
                  reads=[data for _, data in events])
    loop.close()
    return made


def test_ratios_and_added_latency_are_of_one_round() -> None:
    found = [small(OURS, 1, 0, 1000, 1.0), small(LITELLM, 1, 0, 100, 9.0), small(DIRECT, 1, 0, 9000, 0.2),
             small(OURS, 1, 1, 100, 4.0), small(LITELLM, 1, 1, 20, 50.0), small(DIRECT, 1, 1, 900, 2.0)]
    assert ratio(found, LITELLM, 1) == pytest.approx(7.5)
    assert added_ms(found, OURS, 1) == pytest.approx(1.4)
    assert ratio(found, FLASK, 1) is None and added_ms(found, OURS, 16) is None
    text = render(found, [], [])
    assert '| must (to LiteLLM) | ≥ 8 **no** |' in text and 'must ≤ 1.5 yes, aim ≤ 1 **no**' in text


def test_streams_are_judged_by_when_their_events_came() -> None:
    good = stream((10.5, EVENT % 10.4), (11.0, EVENT % 10.9 + EVENT % 11.0), (11.0, DONE))
    late = stream((10.6, (EVENT % 10.4)[:60]), (12.0, (EVENT % 10.4)[60:]), (14.0, EVENT % 11.0 + EVENT % 11.5 + DONE))
    result = summarise([good, late], LOAD)
    assert result.whole == 2
    assert result.rate == pytest.approx(0.5)  # the slower one took two seconds where one was asked for
    assert result.first_token_p99_s == pytest.approx(2.0) and result.first_token_p50_s == pytest.approx(0.5)
    assert result.delay_p99_ms == pytest.approx(3000.0)
    assert not result.keeps_up


def test_a_cut_stream_is_not_whole() -> None:
    without_done = stream((10.5, EVENT % 10.4), (11.0, EVENT % 10.9), (11.5, EVENT % 11.4))
    without_token = stream((10.5, EVENT % 10.4), (11.0, EVENT % 10.9 + DONE))
    assert summarise([without_done, without_token], LOAD).whole == 0
    assert summarise([stream()], LOAD).first_token_p99_s == math.inf


def test_the_report_says_what_was_kept_up_with() -> None:
    held = StreamsResult(LOAD, 2, 1.0, 9000.0, 0.1, 0.2, 1.0, 2.0, 1.5)
    text = render([], [(held, 300_000_000)], [held, StreamsResult(LOAD, 2, 0.5, 12000.0, 0.1, 0.2, 1.0, 2.0, 1.5)])
    assert text.count('**no**') == 3  # too much memory; too slow a rate; not the events a second that are the aim
    assert '9,000 events/s; aim ≥ 10000 **no**' in text


@pytest.mark.e2e
def test_streams_are_measured_through_the_wrapper(tmp_path: Path) -> None:
    load = Load(streams=8, tokens=10, tokens_per_s=20.0)
    with gateway_servers.stream_backend(tmp_path, load.tokens, load.interval_s) as backend, \
            gateway_servers.wrapper(backend, tmp_path) as wrapper:
        result = measure_streams(wrapper.url, KEY, load)
    assert result.whole == 8
    assert result.first_token_p99_s < 10 and 0 < result.delay_p50_ms < 5000


@pytest.mark.e2e
@pytest.mark.skipif(shutil.which('wrk') is None, reason='wrk is what measures; it may not be installed')
@pytest.mark.skipif(shutil.which('nginx', path=gateway_servers.PROGRAMS) is None, reason='nginx may not be installed')
def test_small_requests_are_measured_without_errors(tmp_path: Path) -> None:
    wrk = shutil.which('wrk')
    assert wrk is not None
    with gateway_servers.small_backend(tmp_path) as backend, gateway_servers.wrapper(backend, tmp_path) as wrapper:
        found = [gateway.small(wrk, each, 2, 1.0, 0) for each in (backend, wrapper)]
        with pytest.raises(ServerError, match='errors'):
            nothing = gateway_servers.Gateway('no such', wrapper.url + '/nothing', wrapper.processes)
            gateway.small(wrk, nothing, 1, 1.0, 0)
    assert found[0].requests_per_s > found[1].requests_per_s > 0 and found[1].cpu_us > 0
