"""A Hub of our own, as far as a download needs one. Standard library only, so that any Python runs it.

    python3 backend-hf/tests/fake_hub.py REPOSITORY FOLDER        prints its address, and serves the one model
"""

import dataclasses
import hashlib
import http.server
import json
import re
import sys
import time
import urllib.parse
from pathlib import Path
from typing import Any


@dataclasses.dataclass
class FakeHub:
    """What of the Hub's API a download uses. `repos` maps (repository, revision) to the folder with its files."""

    url: str = ''
    repos: dict[tuple[str, str], Path] = dataclasses.field(default_factory=dict)
    pull_requests: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    gated: set[str] = dataclasses.field(default_factory=set)
    broken: set[str] = dataclasses.field(default_factory=set)
    requested: list[str] = dataclasses.field(default_factory=list)
    parameters: dict[str, int] = dataclasses.field(default_factory=dict)  # as it has counted them, by repository
    chunk_delay_s: float = 0.0

    def sha(self, repo: str, revision: str) -> str:
        """A commit's name is made of the names that lead to it."""
        return hashlib.sha1(f'{repo}@{revision}'.encode(), usedforsecurity=False).hexdigest()

    def find(self, repo: str, revision: str) -> tuple[str, Path] | None:
        """Returns the commit and the folder that a revision, or a commit, stands for."""
        for (name, known), folder in self.repos.items():
            if name == repo and revision in (known, self.sha(repo, known)):
                return self.sha(repo, known), folder
        return None


class HubServer(http.server.ThreadingHTTPServer):
    """Serves the fake Hub on a free port."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(('127.0.0.1', 0), HubHandler)
        self.hub = FakeHub(f'http://127.0.0.1:{self.server_address[1]}')


class HubHandler(http.server.BaseHTTPRequestHandler):
    """One request to the fake Hub."""

    protocol_version = 'HTTP/1.1'
    server: HubServer

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub = self.server.hub
        path = urllib.parse.unquote(urllib.parse.urlparse(self.path).path)
        hub.requested.append(f'{self.command} {path}')
        if match := re.fullmatch(r'/api/models/(.+?)/discussions', path):
            self._json(200, {'discussions': hub.pull_requests, 'count': len(hub.pull_requests), 'start': 0})
        elif match := re.fullmatch(r'/api/models/(.+?)/(revision|tree)/(.+)', path):
            self._listing(hub, match[1], match[2], match[3])
        elif match := re.fullmatch(r'/(.+?)/resolve/([^/]+)/(.+)', path):
            self._file(hub, match[1], match[2], match[3])
        else:
            self._error(404, 'RepoNotFound')

    def _listing(self, hub: FakeHub, repo: str, kind: str, revision: str) -> None:
        found = hub.find(repo, revision)
        if repo in hub.broken:
            return self._error(500, '')
        if not any(name == repo for name, _ in hub.repos):
            return self._error(404, 'RepoNotFound')
        if found is None:
            return self._error(404, 'RevisionNotFound')
        sha, folder = found
        files = [(file, file.relative_to(folder).as_posix()) for file in sorted(folder.rglob('*')) if file.is_file()]
        if kind == 'tree':
            return self._json(200, [{'type': 'file', 'path': name, 'size': file.stat().st_size, 'oid': self._oid(file)}
                                    for file, name in files])
        counted = hub.parameters.get(repo)
        self._json(200, {'id': repo, 'sha': sha, 'siblings': [
            {'rfilename': name, 'size': file.stat().st_size, 'blobId': self._oid(file)} for file, name in files],
            **({} if counted is None else {'safetensors': {'parameters': {'BF16': counted}, 'total': counted}})})

    def _file(self, hub: FakeHub, repo: str, revision: str, name: str) -> None:
        found = hub.find(repo, revision)
        if repo in hub.gated:
            return self._error(403, 'GatedRepo')
        if found is None or not (found[1] / name).is_file():
            return self._error(404, 'EntryNotFound')
        data = (found[1] / name).read_bytes()
        self._head(200, len(data), {'ETag': f'"{self._oid(found[1] / name)}"', 'X-Repo-Commit': found[0],
                                    'Content-Type': 'application/octet-stream'})
        if self.command == 'GET':
            for start in range(0, len(data), 65536):
                time.sleep(hub.chunk_delay_s)  # a slow line, when a test asks for one
                self.wfile.write(data[start:start + 65536])

    def _json(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self._head(status, len(data), {'Content-Type': 'application/json'})
        if self.command == 'GET':
            self.wfile.write(data)

    def _error(self, status: int, code: str) -> None:
        self._head(status, 0, {'X-Error-Code': code} if code else {})

    def _head(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (headers | {'Content-Length': str(length)}).items():
            self.send_header(name, value)
        self.end_headers()

    @staticmethod
    def _oid(file: Path) -> str:
        return hashlib.sha1(file.read_bytes(), usedforsecurity=False).hexdigest()


def main() -> None:
    """Serves one folder as a repository's newest revision, until it is ended."""
    repository, folder = sys.argv[1:]
    with HubServer() as server:
        server.hub.repos[repository, 'main'] = Path(folder)
        print(server.hub.url, flush=True)
        server.serve_forever()


if __name__ == '__main__':
    main()
