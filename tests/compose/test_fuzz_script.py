"""run-fuzz-test-docker.bash, with a stand-in for `docker`: the script's own part needs no RESTler.

The stand-in notes every command, leaves the summary that a step of RESTler leaves, and reads the token file as it does.
"""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / 'run-fuzz-test-docker.bash'
STAND_IN = '''#!/usr/bin/env bash
printf '%s\\n' "$*" >>"$STAND_IN_DIR/calls"
case "$1 $2" in
  'network inspect') [[ $3 == "$STAND_IN_NETWORK" ]]; exit ;;
  'image inspect') exit 0 ;;
esac
for argument; do
  case $argument in
    *dst=/token,*) source=${argument#*src=}; cat "${source%%,*}" >"$STAND_IN_DIR/token" ;;
    *dst=/output) output=${argument#*src=}; output=${output%%,*} ;;
    compile) echo compile >>"$STAND_IN_DIR/steps"; exit 0 ;;
    test) folder=Test ;;
    fuzz-lean) folder=FuzzLean ;;
    fuzz) folder=Fuzz ;;
  esac
done
mkdir -p "$output/$folder/ResponseBuckets"
echo "$folder" >>"$STAND_IN_DIR/steps"
bugs=0
[[ $folder == "$STAND_IN_BUGGY" ]] && bugs=2
printf '{"failedRequestsCount": 0, "bugCount": %s}\\n' "$bugs" >"$output/$folder/ResponseBuckets/runSummary.json"
'''


@pytest.fixture
def project(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder `Sandle.2` with the script, a description of the API and a stand-in for docker in bin/."""
    folder = tmp_path / 'Sandle.2'
    (folder / 'docs').mkdir(parents=True)
    (folder / 'docs' / 'swagger.yaml').write_text('openapi: 3.0.3\n')
    shutil.copy(SCRIPT, folder)
    binaries = folder / 'bin'
    binaries.mkdir()
    (binaries / 'docker').write_text(STAND_IN)
    (binaries / 'docker').chmod(0o755)
    return folder


def run(project: pathlib.Path, *, token: str | None = 'key-1', buggy: str = '', network: str = 'sandle2_edge'
        ) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Runs the script from another directory; returns what came of it and the commands that docker was given."""
    environment = {'PATH': f'{project / "bin"}:{os.environ["PATH"]}', 'STAND_IN_DIR': str(project),
                   'STAND_IN_BUGGY': buggy, 'STAND_IN_NETWORK': network}
    if token is not None:
        environment['SANDLE_AUTH_TOKEN'] = token
    done = subprocess.run(['bash', str(project / SCRIPT.name)], cwd='/', env=environment, text=True, timeout=60,
                          capture_output=True, check=False)
    calls = project / 'calls'
    return done, calls.read_text().splitlines() if calls.exists() else []


def steps(project: pathlib.Path) -> list[str]:
    """Returns the steps that RESTler was asked for, in order."""
    return (project / 'steps').read_text().split()


def test_fuzz_script_runs_every_step_on_the_project_network(project: pathlib.Path) -> None:
    done, calls = run(project)
    assert done.returncode == 0, done.stderr
    assert steps(project) == ['compile', 'Test', 'FuzzLean', 'Fuzz']
    assert all('--network sandle2_edge' in call for call in calls if call.startswith('run '))
    assert (project / 'token').read_text() == "{'sandle': {}}\nAuthorization: Bearer key-1\n"
    assert not any('key-1' in call for call in calls)
    assert json.loads((project / 'fuzz-test/output/Fuzz/ResponseBuckets/runSummary.json').read_text())['bugCount'] == 0


def test_fuzz_script_stops_at_the_step_that_found_bugs(project: pathlib.Path) -> None:
    done, _ = run(project, buggy='FuzzLean')
    assert done.returncode != 0
    assert 'fuzz-lean found 2 bugs' in done.stderr
    assert steps(project) == ['compile', 'Test', 'FuzzLean']


@pytest.mark.parametrize(('token', 'network', 'message'), [
    (None, 'sandle2_edge', 'set SANDLE_AUTH_TOKEN'),
    ('key-1', 'elsewhere', 'there is no network sandle2_edge')])
def test_fuzz_script_says_what_is_missing(project: pathlib.Path, token: str | None, network: str, message: str) -> None:
    done, calls = run(project, token=token, network=network)
    assert done.returncode != 0
    assert message in done.stderr
    assert not any(call.startswith('run ') for call in calls)
