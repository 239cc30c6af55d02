"""YAML as people and models write it: a date stays the text that it is, and what is wrong is said in one line."""

from __future__ import annotations

from typing import Any

import yaml


class NotYaml(ValueError):
    """What is no YAML, or none that is taken here; why, in one line."""


class _Loader(yaml.SafeLoader):
    """Without dates: a batch may be called 2026-11-20, and 2026-13-45 as well."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:timestamp"]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def read_yaml(text: str) -> Any:
    """The value that a text says. Raises NotYaml."""
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, AttributeError, KeyError, TypeError, IndexError) as error:
        said = " ".join(str(error).split())  # a tag such as !!int before what is none ends in any of these
        raise NotYaml(
            said if isinstance(error, yaml.YAMLError) else f"a value that is not of its type: {said}"
        ) from None
    except RecursionError:
        raise NotYaml("it is nested too deeply") from None
