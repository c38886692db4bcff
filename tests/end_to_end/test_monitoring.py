"""docs/monitoring: the dashboard and the alerts ask for what the running processes give, and Prometheus can have it."""

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.end_to_end.rig import KEY, ROOT, STUB, WRAPPER, Client, Server, wait_for

FOLDER = ROOT / 'docs/monitoring'
DASHBOARD: dict[str, Any] = json.loads((FOLDER / 'grafana-dashboard.json').read_text('utf-8'))
PANELS: list[dict[str, Any]] = DASHBOARD['panels']
QUERIES = {f'{panel["title"]} {target["refId"]}': target['expr']
           for panel in PANELS for target in panel.get('targets', [])}
ALERTS = {rule['alert']: rule['expr'] for group in yaml.safe_load((FOLDER / 'alerts.yml').read_text('utf-8'))['groups']
          for rule in group['rules']}
OWN = re.compile(r'\b(?:sandle|process|python)_\w+')
SELECTOR = re.compile(r'\b((?:sandle|process|python)_\w+)\{([^}]*)\}')
OF_PROMETHEUS = {'instance', 'job', 'le'}  # labels that it gives to every sample, or that a histogram has
PROMETHEUS = shutil.which('prometheus')


@pytest.fixture(scope='module')
def metrics(stub: Server, wrapper: Server, client: Client, direct: Client) -> dict[str, set[str]]:
    """Returns the labels of every metric that a wrapper and a backend give, by the names of their samples."""
    for stream in (False, True):
        assert client.complete(stream=stream).content
    text = direct.get('/metrics').text
    wait_for(lambda: 'first_token_seconds_count{' in client.get('/metrics').text)  # the stream's record is closed
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text + client.get('/metrics').text):
        found.setdefault(f'{family.name}_total' if family.type == 'counter' else family.name, set())
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.parametrize('query', [*QUERIES.values(), *ALERTS.values()])
def test_queries_name_metrics_that_there_are(metrics: dict[str, set[str]], query: str) -> None:
    names = set(OWN.findall(query))
    assert names - metrics.keys() == set() and (names or 'up' in query)
    for name, selector in SELECTOR.findall(query):
        assert set(re.findall(r'(\w+)\s*(?:=~|!~|!=|=)', selector)) - OF_PROMETHEUS <= metrics[name]
    for grouping in re.findall(r'\bby \(([^)]*)\)', query):
        known = OF_PROMETHEUS.union(*(metrics[name] for name in names))
        assert {label.strip() for label in grouping.split(',')} <= known


def test_every_metric_of_our_own_is_on_the_dashboard(metrics: dict[str, set[str]]) -> None:
    shown = {name.removesuffix('_bucket') for query in QUERIES.values() for name in OWN.findall(query)}
    ours = {re.sub('_(bucket|count|sum)$', '', name) for name in metrics
            if name.startswith('sandle_') and not name.endswith('_created')}
    assert ours - shown - {'sandle_steps_total', 'sandle_wrapper_backend_reachable'} == set()


def test_the_dashboard_is_what_grafana_takes() -> None:
    assert DASHBOARD['uid'] and DASHBOARD['title'] and DASHBOARD['schemaVersion'] >= 36
    source, model = DASHBOARD['templating']['list']
    assert source['type'] == 'datasource' and source['query'] == 'prometheus'
    assert all(panel['datasource'] == {'type': 'prometheus', 'uid': f'${{{source["name"]}}}'} == target['datasource']
               for panel in PANELS if panel['type'] != 'row' for target in panel['targets'])
    assert len({panel['id'] for panel in PANELS}) == len(PANELS)
    assert {name for query in QUERIES.values() for name in re.findall(r'\$(\w+)', query)} == {
        model['name'], '__rate_interval'}
    cells = [(x, y) for panel in PANELS for place in [panel['gridPos']]
             for x in range(place['x'], place['x'] + place['w']) for y in range(place['y'], place['y'] + place['h'])]
    assert len(cells) == len(set(cells)) and all(x < 24 for x, _ in cells)


@pytest.fixture
def prometheus(tmp_path: Path, own: Callable[..., Server], client_of: Callable[..., Client]) -> Iterator[str]:
    """Runs Prometheus with the scrape configuration of the docs on a stack of its own; gives its URL.

    Where components are called by names in Docker, addresses stand here, and it scrapes more often.
    """
    if PROMETHEUS is None:
        pytest.skip('prometheus was not found (on Debian: apt-get install prometheus)')
    stub = own(STUB)
    wrapper = own(WRAPPER, '--backend-stub', stub.url, '--auth-token', KEY)
    config = yaml.safe_load((FOLDER / 'prometheus.yml').read_text('utf-8'))
    config['global'] = {'scrape_interval': '250ms', 'evaluation_interval': '250ms'}
    for job, server in zip(config['scrape_configs'], (wrapper, stub), strict=True):
        del job['dns_sd_configs']
        job['static_configs'] = [{'targets': [server.url.removeprefix('http://')]}]
    (tmp_path / 'prometheus.yml').write_text(yaml.safe_dump(config), 'utf-8')
    shutil.copy(FOLDER / 'alerts.yml', tmp_path)
    (tmp_path / 'sandle-key').write_text(KEY, 'utf-8')
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = free.getsockname()[1]
    with closing(client_of(wrapper)) as client, open(tmp_path / 'log', 'wb') as log, subprocess.Popen(
            [PROMETHEUS, f'--config.file={tmp_path}/prometheus.yml', f'--storage.tsdb.path={tmp_path}/data',
             f'--web.listen-address=127.0.0.1:{port}'], stdout=log, stderr=log) as process:
        try:
            url = f'http://127.0.0.1:{port}'
            wait_for(lambda: is_there(f'{url}/-/ready'), 30)
            wait_for(lambda: len(ask(url, 'up == 1')) == 2, 15)
            for _ in range(3):  # over several scrapes, as rates need
                assert client.complete(stream=True).content
                before = ask(url, 'sum(sandle_wrapper_requests_total)')
                wait_for(lambda: ask(url, 'sum(sandle_wrapper_requests_total)') != before, 15)
            yield url
        finally:
            process.kill()


def is_there(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


def ask(url: str, query: str) -> list[Any]:
    """Returns the values of an instant query that are numbers."""
    answer = requests.get(f'{url}/api/v1/query', params={'query': query}, timeout=10)
    assert answer.status_code == 200, answer.text
    result = answer.json()['data']['result']
    return [sample['value'][1] for sample in result if sample['value'][1] != 'NaN']


def rules_of(url: str) -> list[Any]:
    """Returns the alerts as they stand."""
    [group] = requests.get(f'{url}/api/v1/rules', timeout=10).json()['data']['groups']
    rules: list[Any] = group['rules']
    return rules


def test_prometheus_gets_data_for_every_panel(prometheus: str) -> None:
    wait_for(lambda: {rule['name'] for rule in rules_of(prometheus) if rule['health'] == 'ok'} == ALERTS.keys(), 15)
    assert {rule['name'] for rule in rules_of(prometheus) if rule['state'] != 'inactive'} == set()
    replaced = {name: query.replace('$__rate_interval', '1m').replace('$model', '.*')
                for name, query in QUERIES.items()}
    lacking = {name for name, query in replaced.items() if not ask(prometheus, query)}
    # Nothing has failed here, and the stub has no model that steps could spend their time in.
    assert lacking <= {'Errors and refusals by reason A', "Where a step's time goes A"}
