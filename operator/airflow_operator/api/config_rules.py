"""Settings of Airflow that the operator owns: refused in `config` and in environment variables, with the field to use instead.

One table makes both the rules of the schema and the checks of the models. Names that Airflow still reads for an older option
(`[core] sql_alchemy_conn`, `[kubernetes] namespace`, ...: `deprecated_options` of the parsers of 2.11 and 3.3) stand beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from airflow_operator.api.cel import VALIDATIONS, Cel, cel_string, refusal

SUFFIXES = ("_cmd", "_secret")
"""Airflow takes the value of a secret option also from a command or a secrets backend, by its name with one of these."""

MAX_SECTIONS = 64
MAX_OPTIONS = 256
MAX_VALUE = 16384

_NAME = re.compile(r"[a-z0-9_][a-z0-9_.-]*")


@dataclass(frozen=True)
class Owned:
    """Options and variables that one sentence refuses: their name, then `why`.

    `secret` marks options whose value may also come from a command or a secrets backend, by the same name with a suffix.
    """

    why: str
    options: Mapping[str, tuple[str, ...]]
    secret: bool = False
    variables: tuple[str, ...] = ()

    def spelled_options(self) -> Iterator[tuple[str, str]]:
        """Every (section, option) that means one of these options."""
        for section, options in self.options.items():
            for option in options:
                for suffix in ("", *SUFFIXES) if self.secret else ("",):
                    yield section, option + suffix

    def variable_pattern(self) -> str:
        """Regular expression (RE2 and Python) of every environment variable that means one of these options, and of the plain ones."""
        end = f"({'|'.join(SUFFIXES).upper()})?" if self.secret else ""
        names = [f"AIRFLOW__{section}__({'|'.join(options)})".upper() + end for section, options in self.options.items()]
        return f"^({'|'.join([*self.variables, *names])})$"

    def refusal(self, variable: str) -> str | None:
        """The sentence about an environment variable; None where it means none of these options."""
        return f"{variable} {self.why}" if re.match(self.variable_pattern(), variable) else None


_SET = "is set by the operator: "
_KUBERNETES = ("kubernetes_executor", "kubernetes")
"""The section, and its name before Airflow 2.5, which Airflow 2 still reads."""

OWNED: tuple[Owned, ...] = (
    Owned(_SET + "use spec.executors", {"core": ("executor",)}),
    Owned(
        _SET + "use spec.dags",
        {"core": ("dags_folder",), "dag_processor": ("dag_bundle_config_list",)},
        variables=("AIRFLOW_CONN_AIRFLOW_OPERATOR_DAGS_[A-Z0-9_]*",),
    ),
    Owned(_SET + "use spec.dagProcessor", {"scheduler": ("standalone_dag_processor",)}),
    Owned(_SET + "use spec.taskPods.podTemplate", dict.fromkeys(_KUBERNETES, ("pod_template_file",))),
    Owned(_SET + "use spec.image", dict.fromkeys(_KUBERNETES, ("worker_container_repository", "worker_container_tag"))),
    Owned(
        _SET + "use spec.auth",
        {
            "core": (
                "auth_manager",
                "simple_auth_manager_users",
                "simple_auth_manager_all_admins",
                "simple_auth_manager_passwords_file",
            ),
            "fab": ("config_file",),
            "webserver": ("config_file",),
        },
    ),
    Owned(_SET + "use spec.externalURL", dict.fromkeys(("api", "webserver"), ("base_url",))),
    Owned(_SET + "use spec.logs", dict.fromkeys(("logging", "core"), ("base_log_folder", "remote_base_log_folder", "remote_log_conn_id"))),
    Owned(
        _SET + "task pods run in the namespace of the AirflowCluster",
        dict.fromkeys(_KUBERNETES, ("namespace", "multi_namespace_mode", "multi_namespace_mode_namespace_list")),
    ),
    Owned(
        _SET + "the database is that of spec.baseRef",
        {"database": ("sql_alchemy_conn", "sql_alchemy_conn_async"), "core": ("sql_alchemy_conn",)},
        secret=True,
    ),
    Owned(
        _SET + "it makes the keys and keeps them in a Secret; to bring your own, use spec.keys",
        {
            "core": ("fernet_key",),
            "api": ("secret_key",),
            "webserver": ("secret_key",),
            "api_auth": ("jwt_secret", "jwt_private_key_path", "jwt_kid", "jwt_algorithm", "trusted_jwks_url"),
        },
        secret=True,
    ),
    Owned(
        _SET + "components find the API server by its Service",
        {"core": ("execution_api_server_url",), "workers": ("execution_api_server_url",), "api": ("host", "port", "ssl_cert", "ssl_key")},
    ),
    Owned(
        _SET + "probes and Services rely on it",
        {
            "scheduler": ("enable_health_check", "scheduler_health_check_server_host", "scheduler_health_check_server_port"),
            "logging": ("trigger_log_server_port", "worker_log_server_port"),
            "celery": ("worker_log_server_port",),
            "webserver": ("web_server_host", "web_server_port", "web_server_ssl_cert", "web_server_ssl_key"),
        },
    ),
    Owned(
        "belongs to CeleryExecutor, which does not work in this version of the operator",
        {"celery": ("broker_url", "result_backend")},
        secret=True,
    ),
    Owned(_SET + "it knows where Airflow lives in the image", {}, variables=("AIRFLOW_HOME", "AIRFLOW_CONFIG")),
)

OWNED_WITH_METRICS = Owned(
    _SET + "use spec.metrics, or leave spec.metrics out to send metrics elsewhere",
    # [scheduler] is where Airflow 2 still looks for them.
    dict.fromkeys(("metrics", "scheduler"), ("statsd_on", "statsd_host", "statsd_port", "statsd_prefix")),
)
"""Owned only while spec.metrics is on, hence not in the schema: declared there, a boolean would be refused when it is off, too."""

OWNED_OPTIONS: Mapping[tuple[str, str], str] = {key: owned.why for owned in OWNED for key in owned.spelled_options()}
"""(section, option) to the rest of the sentence that refuses it."""


def option_sentence(section: str, option: str) -> str:
    """Why an owned option is refused."""
    return f"[{section}] {option} {OWNED_OPTIONS[section, option]}"


def variable_rules() -> list[Cel]:
    """Rules of an environment variable: one for each group of owned names."""
    return [_variable_rule(owned) for owned in OWNED]


def _variable_rule(owned: Owned) -> Cel:
    pattern = re.compile(owned.variable_pattern())
    return Cel(
        rule=f"!self.name.matches({cel_string(pattern.pattern)})",
        message=f"this variable {owned.why}",
        expression=f"self.name + {cel_string(' ' + owned.why)}",
        check=lambda variable: pattern.match(variable.name) is None,
        sentence=lambda variable: f"{variable.name} {owned.why}",
        field_path=".name",
        reason="FieldValueForbidden",
    )


@dataclass(frozen=True)
class ConfigRules:
    """Annotation of `spec.config`: schema and checks of a mapping of sections to options to values.

    Values of three types cannot be described to the API server, so the schema keeps what it does not know; the owned options are
    declared in it, each with a rule that refuses it. Names and values of the others are checked here.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Replace validation by the checks of this module."""
        return core_schema.no_info_plain_validator_function(
            check_config, serialization=core_schema.plain_serializer_function_ser_schema(lambda value: value)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The owned options, refused; everything else kept."""
        sections: dict[str, Any] = {}
        for section, option in OWNED_OPTIONS:
            sections.setdefault(section, {})[option] = _refused(section, option)
        return {
            **_kept("Options of Airflow's configuration by section."),
            "properties": {
                section: {**_kept(f"Options of section [{section}]."), "maxProperties": MAX_OPTIONS, "properties": options}
                for section, options in sorted(sections.items())
            },
            "maxProperties": MAX_SECTIONS,
        }


def _kept(description: str) -> dict[str, Any]:
    return {"type": "object", "description": description, "x-kubernetes-preserve-unknown-fields": True}


def _refused(section: str, option: str) -> dict[str, Any]:
    sentence = option_sentence(section, option)
    rule = {"rule": "false", "message": sentence, "reason": "FieldValueForbidden"}
    return {"x-kubernetes-int-or-string": True, "description": f"Refused: it {OWNED_OPTIONS[section, option]}.", VALIDATIONS: [rule]}


def check_config(value: Any) -> Mapping[str, Mapping[str, str | int | bool]]:
    """`spec.config` as given; raises the sentence of the first thing that is wrong with it."""
    _require(isinstance(value, Mapping), "must map sections to options", "")
    _require(len(value) <= MAX_SECTIONS, f"has more than {MAX_SECTIONS} sections", "")
    for section, options in value.items():
        below = f".{section}"
        _require(isinstance(section, str) and _NAME.fullmatch(section), "section names are lower case, as Airflow reads them", below)
        _require(isinstance(options, Mapping), "must map options to values", below)
        _require(len(options) <= MAX_OPTIONS, f"has more than {MAX_OPTIONS} options", below)
        for option, setting in options.items():
            _check_option(section, option, setting)
    return value  # type: ignore[no-any-return]


def _check_option(section: str, option: Any, setting: Any) -> None:
    below = f".{section}.{option}"
    _require(isinstance(option, str) and _NAME.fullmatch(option), "option names are lower case, as Airflow reads them", below)
    if (section, option) in OWNED_OPTIONS:
        raise refusal(option_sentence(section, option), below)
    _require(isinstance(setting, str | int | bool), "must be a string, an integer or a boolean; put other values in quotes", below)
    _require(len(str(setting)) <= MAX_VALUE, f"is longer than {MAX_VALUE} characters", below)


def _require(holds: object, sentence: str, below: str) -> None:
    if not holds:
        raise refusal(sentence, below)


def refused_variable(name: str) -> str | None:
    """Why an environment variable of this name is refused; None where it is not."""
    return next((refusal for owned in OWNED if (refusal := owned.refusal(name))), None)
