"""The first Sandle's defects, one test each: those that the wrapper and a backend's API can have.

The rest of the list at the end of API.md is about models and the page, and is tested there.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.end_to_end.rig import KEY, WRAPPER, Client, Server, error_of, quickest, wait_for

Own = Callable[..., Server]
ClientOf = Callable[..., Client]


def test_retrieving_a_model_had_its_condition_inverted(client: Client) -> None:
    found = client.get('/v1/models/org/name')
    assert found.status_code == 200 and found.json()['id'] == 'org/name'
    missing = client.get('/v1/models/missing')
    assert missing.status_code == 404 and error_of(missing)['code'] == 'model_not_found'


def test_blank_line_in_the_key_file_became_a_key(own: Own, client_of: ClientOf, stub: Server, tmp_path: Path) -> None:
    path = tmp_path / 'keys'
    path.write_text(f'\n{KEY}\n   \n')
    wrapper = own(WRAPPER, '--backend-stub', stub.url, '--auth-token-file', str(path))
    assert client_of(wrapper).get('/v1/models').status_code == 200
    for key in (None, '', ' '):
        assert client_of(wrapper, key).get('/v1/models').status_code == 401


def test_end_of_sequence_was_called_length(client: Client) -> None:
    assert client.complete(max_tokens=100).json()['choices'][0]['finish_reason'] == 'stop'
    assert client.complete(max_tokens=1).json()['choices'][0]['finish_reason'] == 'length'


def test_usage_was_zeros(client: Client) -> None:
    usage = client.complete(n=2).json()['usage']
    assert usage['prompt_tokens'] > 0 and usage['completion_tokens'] > 0
    assert usage['total_tokens'] == usage['prompt_tokens'] + usage['completion_tokens']


def test_listing_models_waited_behind_a_long_generation(client: Client, client_of: ClientOf, wrapper: Server) -> None:
    long = threading.Thread(target=lambda: client.complete('!fault tokens=20 delay=0.1', max_tokens=20))
    long.start()
    time.sleep(0.3)  # until it is generating
    assert quickest(lambda: client_of(wrapper).get('/v1/models')) < 0.3
    assert long.is_alive()
    long.join()


def test_there_were_no_timeouts(own: Own, client_of: ClientOf, stub: Server) -> None:
    wrapper = own(WRAPPER, '--backend-stub', stub.url, '-t', KEY, '--first-byte-timeout-s', '0.5')
    assert client_of(wrapper).complete('!fault hang').status_code == 504


def test_disconnect_never_reached_the_model(client_of: ClientOf, wrapper: Server, direct: Client) -> None:
    wait_for(lambda: direct.get('/faults').json()['running'] == 0)
    with client_of(wrapper).complete('!fault tokens=600 delay=0.05', max_tokens=600, stream=True) as response:
        pieces = response.iter_content(1)  # is kept: it closes the connection when it goes
        next(pieces)
        assert direct.get('/faults').json()['running'] == 1
    wait_for(lambda: direct.get('/faults').json()['running'] == 0, 1.0)


def test_several_stops_with_several_choices_never_ended_early(client: Client) -> None:
    response = client.complete('!fault answer=one two three four', n=2, stop=['three', 'two'], max_tokens=50)
    choices = response.json()['choices']
    assert [(choice['text'], choice['finish_reason']) for choice in choices] == [('one ', 'stop')] * 2


def test_keys_with_dashes_and_underscores_work(client: Client) -> None:
    assert '-' in KEY and '_' in KEY
    assert client.get('/v1/models').status_code == 200


def test_key_went_to_telemetry(wrapper: Server, stub: Server, client: Client) -> None:
    """And into the backend's requests and logs."""
    assert client.complete().status_code == 200
    assert KEY not in wrapper.output and KEY not in stub.output
