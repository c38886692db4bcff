"""A compose file's command with its variables filled in, as by docker-compose, so that it can be run without Docker."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

import yaml

VARIABLE = re.compile(r'\$\{(\w+)(?::?-([^}]*)|:\?[^}]*)?\}')


def command_of(file: Path, service: str, variables: Mapping[str, str]) -> list[str]:
    """Returns the arguments of a service's command. Raises KeyError for a variable that has no default and no value."""
    command = yaml.safe_load(file.read_text('utf-8'))['services'][service]['command']
    return shlex.split(VARIABLE.sub(lambda found: _value(found, variables), command))


def _value(found: re.Match[str], variables: Mapping[str, str]) -> str:
    name, default = found[1], found[2]
    return variables[name] if default is None else variables.get(name) or default
