"""A gateway in the simplest way: Flask on waitress, passing every completion on with `requests`. No keys, no checks.

What passing requests on in Python takes when nobody has looked at its speed; bench/gateway.py measures it beside ours.
"""

import click
import flask
import requests
import waitress
from requests.adapters import HTTPAdapter

THREADS = 96


@click.command(help=__doc__)
@click.option('--backend', required=True, help='URL of the backend, without /v1.')
@click.option('--port', type=int, required=True, help='Port of the loopback address.')
def main(backend: str, port: int) -> None:
    """Serves."""
    app = flask.Flask('gateway')
    session = requests.Session()
    session.trust_env = False
    session.mount('http://', HTTPAdapter(pool_maxsize=THREADS))

    @app.get('/health')
    def health() -> str:
        return 'ok'

    @app.post('/v1/completions')
    def completions() -> flask.Response:
        answer = session.post(f'{backend}/v1/completions', json=flask.request.get_json(), timeout=600)
        return flask.Response(answer.content, answer.status_code, content_type=answer.headers['Content-Type'])

    waitress.serve(app, host='127.0.0.1', port=port, threads=THREADS)


if __name__ == '__main__':
    main()
