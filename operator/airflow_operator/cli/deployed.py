"""The settings of the operator that serves a cluster: what it builds depends on them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from airflow_operator.domain.kinds import DEPLOYMENT
from airflow_operator.domain.manifest import Live, dig
from airflow_operator.kube.errors import Forbidden
from airflow_operator.settings import Settings, from_environment, parse, variable

if TYPE_CHECKING:
    from airflow_operator.kube.protocol import Kube

NAME = "airflow-operator"
INSTALLED_IN = "airflow-operator"


async def deployed_settings(kube: Kube, namespaces: Iterable[str]) -> Settings | None:
    """Those of the first Deployment of the operator that is found in the namespaces; None where there is none to read."""
    for namespace in dict.fromkeys(namespaces):
        try:
            found = await kube.get(DEPLOYMENT, namespace, NAME)
        except Forbidden:
            continue
        if found is not None:
            return settings_of(found)
    return None


def settings_of(deployment: Live) -> Settings:
    """The settings that a Deployment of the operator gives to it. Raises InvalidSetting."""
    container = dig(deployment, "spec", "template", "spec", "containers", 0, default={})
    known = {"POD_NAMESPACE": deployment["metadata"]["namespace"]}
    for entry in dig(container, "env", default=[]):
        if "value" in entry:
            known[entry["name"]] = _expanded(entry["value"], known)
    # An operator of another release may have settings that this command line does not know.
    settings = from_environment(
        {variable(item.name): known[variable(item.name)] for item in fields(Settings) if variable(item.name) in known}
    )
    settings = settings.with_changes(_from_arguments([_expanded(text, known) for text in dig(container, "args", default=[])]))
    return settings if settings.image else settings.with_changes({"image": container.get("image")})


def _expanded(text: str, known: Mapping[str, str]) -> str:
    for name, value in known.items():
        text = text.replace(f"$({name})", value)
    return text


def _from_arguments(arguments: list[str]) -> Mapping[str, Any]:
    reader = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    for field in fields(Settings):
        reader.add_argument("--" + field.name.replace("_", "-"), dest=field.name)
    given, _ = reader.parse_known_args(arguments)
    as_value: Callable[[str, str | None], Any] = lambda name, text: None if text is None else parse(name, text)  # noqa: E731
    return {name: as_value(name, text) for name, text in vars(given).items()}
