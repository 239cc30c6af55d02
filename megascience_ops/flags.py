"""Settings from the command line: defaults, then the file, then the flags, then each --set."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from megascience_ops.config import Settings, parse_setting, validated
from megascience_ops.errors import ContractError
from megascience_ops.recipe import recipe
from megascience_ops.yaml_text import NotYaml, read_yaml


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that name textbooks, engine and settings."""
    parser.add_argument("--textbooks", help="folder or s3:// prefix where the textbooks are")
    add_engine_flags(parser)


def add_engine_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that name engine and settings."""
    parser.add_argument("--engine", help="who answers: rules, endpoint, ...")
    parser.add_argument("--url", help="of an OpenAI-compatible server, such as http://127.0.0.1:8000/v1")
    parser.add_argument("--model", help="the model to ask for")
    parser.add_argument("--config", help="YAML file with any of the settings")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="such as refine_qa.attempts=5")


def settings(options: argparse.Namespace) -> Settings:
    """The settings that these flags make. Raises ContractError on a wrong one, with the likely right one."""
    values: dict[str, Any] = {}
    if options.config:
        values = _config_file(Path(options.config))
    for name in ("root", "batch", "recipe", "textbooks", "limit"):
        if (given := getattr(options, name, None)) is not None:
            values[name] = given
    engine = {"kind": options.engine, "url": options.url, "model": options.model}
    for name, value in engine.items():
        if value:
            _put(values, ["engine", name], value)
    for text in options.set:
        path, value = parse_setting(text)
        _put(values, path if path[0] in Settings.model_fields else ["stages", *path], value)
    found = validated(Settings, values, "settings")
    recipe(found.recipe).check(found)
    return found


def _put(values: dict[str, Any], path: list[str], value: Any) -> None:
    """Put a setting at its place. Raises ContractError where something that has no settings is in the way."""
    place = values
    for depth, step in enumerate(path[:-1], 1):
        if place.get(step) is None:
            place[step] = {}
        if not isinstance(place[step], dict):
            raise ContractError(f"{'.'.join(path[:depth])} is {place[step]!r}: {'.'.join(path)} has no place in it")
        place = place[step]
    place[path[-1]] = value


def _config_file(path: Path) -> dict[str, Any]:
    try:
        values = read_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ContractError(f"{path}: no such file") from None
    except OSError as error:
        raise ContractError(f"{path}: cannot be read ({error.strerror}); name a YAML file") from None
    except UnicodeDecodeError:
        raise ContractError(f"{path}: not a text file in UTF-8") from None
    except NotYaml as error:
        raise ContractError(f"{path}: not YAML: {error}") from None
    if not isinstance(values, dict):
        raise ContractError(f"{path}: a mapping of settings is expected, such as `engine: {{kind: rules}}`")
    return values
