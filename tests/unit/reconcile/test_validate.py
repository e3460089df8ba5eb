"""From what was seen to a cluster that can be built, or a sentence why not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_operator.domain.errors import InvalidSpec, Waiting
from airflow_operator.reconcile import references
from airflow_operator.reconcile.offline import PLATFORM
from airflow_operator.reconcile.references import Reference
from airflow_operator.reconcile.validate import validate
from tests.unit import factory

FROM_SECRET = {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
FROM_MAP = {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}}
GIT = {"git": {"repo": "https://git.example.com/a.git", "credentialsSecretRef": {"name": "git"}}}
CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"k": "1"}}


def check(found=None, base_live="ready", **fields):
    return validate(factory.seen(references=found, base_live=base_live, fields=fields), PLATFORM)


def why(kind, found=None, base_live="ready", **fields):
    with pytest.raises(kind) as caught:
        check(found, base_live, **fields)
    return caught.value.reason, caught.value.message


def test_a_valid_cluster_has_all_that_builders_need():
    made = check()
    assert (made.name, made.namespace, made.uid, made.namespace_uid) == ("demo", "team", "cluster-uid", "namespace-uid")
    assert made.image == "docker.io/apache/airflow:3.3.2"
    assert (made.base.ready, made.base.host, made.base.port) == (True, "platform-postgres.team.svc", 5432)
    assert (made.base.server, made.base.admin_secret) == ("claim-uid", "platform-postgres")
    assert made.owner["controller"] is True


@pytest.mark.parametrize(
    ("image", "expected"),
    [({"tag": "x"}, ":x"), ({"digest": "sha256:" + "a" * 64, "tag": "x"}, "@sha256:" + "a" * 64), ({"repository": "r"}, "r:3.3.2")],
)
def test_the_image_follows_digest_then_tag_then_version(image, expected):
    assert check(image=image).image.endswith(expected)


def test_a_base_that_is_missing_or_going_is_waited_for():
    assert why(Waiting, base_live=None)[0] == "BaseNotFound"
    reason, message = why(Waiting, base_live=factory.base(deletionTimestamp=factory.at(0)))
    assert reason == "BaseTerminating"
    assert "platform" in message


def test_a_base_of_another_namespace_must_allow_it():
    elsewhere = factory.base(namespace="platform")
    ref = {"name": "platform", "namespace": "platform"}
    reason, message = why(Waiting, base_live=elsewhere, baseRef=ref)
    assert reason == "BaseNotAllowed"
    assert "does not allow clusters of namespace team: its owner can, in spec.allowedClusters.namespaces" in message
    elsewhere["spec"]["allowedClusters"] = {"namespaces": {"names": ["team"]}}
    made = check(base_live=elsewhere, baseRef=ref)
    assert (made.base.namespace, made.base.host) == ("platform", "platform-postgres.platform.svc")


def test_a_base_that_may_not_be_read_is_said():
    refused = replace(factory.seen(base_live=None), base_refused="airflowbases is forbidden")
    with pytest.raises(Waiting, match="airflowbases is forbidden") as caught:
        validate(refused, PLATFORM)
    assert caught.value.reason == "BaseNotReadable"


def test_a_base_that_is_not_ready_yet_says_why():
    made = check(base_live=factory.base(ready="False"))
    assert (made.base.ready, made.base.message) == (False, "The server starts.")
    stale = check(base_live=factory.base(generation=2, observed=1))
    assert not stale.base.ready
    assert "not looked at it" in stale.base.message
    unseen = {**factory.base(), "status": {}}
    assert not check(base_live=unseen).base.ready


@pytest.mark.parametrize(
    ("found", "fields", "reason", "words"),
    [
        ({("Secret", "s"): None}, {"env": [FROM_SECRET]}, "SecretNotFound", "spec.env[A] names Secret s"),
        ({("Secret", "s"): factory.secret("s", other="1")}, {"env": [FROM_SECRET]}, "KeyNotFound", "the key k of Secret s"),
        ({("ConfigMap", "m"): None}, {"scheduler": {"env": [FROM_MAP]}}, "ConfigMapNotFound", "spec.scheduler.env[B]"),
        ({("ConfigMap", "m"): None}, {"envFrom": [{"configMapRef": {"name": "m"}}]}, "ConfigMapNotFound", "spec.envFrom[0]"),
        ({("Secret", "git"): None}, {"dags": [GIT]}, "SecretNotFound", "spec.dags[dags-folder].git.credentialsSecretRef"),
        ({("Secret", "git"): factory.secret("git", username="u")}, {"dags": [GIT]}, "KeyNotFound", "username and password"),
        (
            {("Secret", "a"): factory.secret("a", username="u")},
            {"auth": {"fab": {"admin": {"secretRef": {"name": "a"}}}}},
            "KeyNotFound",
            "the key password of Secret a",
        ),
    ],
)
def test_what_is_missing_is_named_with_its_field(found, fields, reason, words):
    told, message = why(Waiting, found, **fields)
    assert told == reason
    assert words in message


@pytest.mark.parametrize("data", [{"token": "t"}, {"username": "u", "password": "p"}])
def test_git_takes_a_token_or_a_name_with_a_password(data):
    assert check({("Secret", "git"): factory.secret("git", **data)}, dags=[GIT]).spec.dags


def test_what_is_optional_is_not_waited_for():
    optional = {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}}
    made = check(
        {("Secret", "s"): None, ("ConfigMap", "m"): None}, env=[optional], envFrom=[{"configMapRef": {"name": "m", "optional": True}}]
    )
    assert made.references == {}


def test_a_key_may_be_binary():
    binary = {**CONFIG_MAP, "data": {}, "binaryData": {"k": "AA=="}}
    assert check({("ConfigMap", "m"): binary}, env=[FROM_MAP])


@pytest.mark.parametrize(("prefix", "key"), [(None, "AIRFLOW__CORE__FERNET_KEY"), ("AIRFLOW__CORE__", "EXECUTOR"), (None, "AIRFLOW_HOME")])
def test_env_from_cannot_bring_in_what_env_refuses(prefix, key):
    source = {"secretRef": {"name": "s"}, **({"prefix": prefix} if prefix else {})}
    reason, message = why(InvalidSpec, {("Secret", "s"): factory.secret("s", **{key: "x"})}, envFrom=[source])
    assert reason == "OwnedSetting"
    assert "Secret s" in message


STATSD = (
    ({"config": {"metrics": {"statsd_host": "a"}}}, r"spec.config.metrics.statsd_host is set by the operator: use spec.metrics"),
    ({"config": {"metrics": {"statsd_on": False}}}, "spec.config.metrics.statsd_on"),
    ({"config": {"scheduler": {"statsd_port": 1}}}, "spec.config.scheduler.statsd_port"),
    ({"env": [{"name": "AIRFLOW__METRICS__STATSD_PREFIX", "value": "a"}]}, "spec.env: AIRFLOW__METRICS__STATSD_PREFIX"),
    (
        {"triggerer": {"env": [{"name": "AIRFLOW__SCHEDULER__STATSD_ON", "value": "a"}]}},
        "spec.triggerer.env: AIRFLOW__SCHEDULER__STATSD_ON",
    ),
    ({"envFrom": [{"secretRef": {"name": "s"}}]}, "Secret s, of which AIRFLOW__METRICS__STATSD_HOST"),
)


@pytest.mark.parametrize(("fields", "words"), STATSD)
def test_where_metrics_go_is_the_operators_only_while_it_takes_them(fields, words):
    found = {("Secret", "s"): factory.secret("s", AIRFLOW__METRICS__STATSD_HOST="x")}
    for metrics in ({}, {"enabled": True}):
        reason, message = why(InvalidSpec, found, metrics=metrics, **fields)
        assert reason == "OwnedSetting"
        assert words in message
    assert check(found, **fields)
    assert check(found, metrics={"enabled": False}, **fields)


def test_other_settings_of_metrics_are_the_users():
    assert check(metrics={}, config={"metrics": {"metrics_allow_list": "scheduler", "statsd_disabled_tags": "job_id"}})


def test_other_variables_may_come_from_anywhere():
    found = {("Secret", "s"): factory.secret("s", AIRFLOW__SMTP__SMTP_PASSWORD="x"), ("ConfigMap", "m"): CONFIG_MAP}
    assert check(found, envFrom=[{"secretRef": {"name": "s"}}, {"configMapRef": {"name": "m"}}])


def test_a_wrong_field_is_an_invalid_spec():
    assert "spec.scheduler.replicas" in why(InvalidSpec, scheduler={"replicas": -1})[1]
    assert "spec.nonsense" in why(InvalidSpec, nonsense=1)[1]


@pytest.mark.parametrize("value", ["a\n# b", "a\n  ; b"])
def test_a_line_that_airflow_cfg_would_lose_is_refused(value):
    assert "spec.config.core.x" in why(InvalidSpec, config={"core": {"x": value}})[1]


def test_every_reference_of_a_spec_is_found_once_with_its_field():
    admin = {"fab": {"admin": {"secretRef": {"name": "a"}}}}
    env_from = [{"secretRef": {"name": "w"}}, {"configMapRef": {"name": "x", "optional": True}}]
    found = {("Secret", name): factory.secret(name, k="1", username="u", password="p") for name in ("s", "git", "a", "w")}
    spec = check(
        {**found, ("ConfigMap", "m"): CONFIG_MAP},
        env=[FROM_SECRET],
        envFrom=env_from,
        dagProcessor={"env": [FROM_MAP]},
        dags=[GIT],
        auth=admin,
    ).spec
    assert references.of_spec(spec) == (
        Reference("spec.env[A]", "Secret", "s", "k"),
        Reference("spec.envFrom[0]", "Secret", "w"),
        Reference("spec.envFrom[1]", "ConfigMap", "x", "", optional=True),
        Reference("spec.dagProcessor.env[B]", "ConfigMap", "m", "k"),
        Reference("spec.dags[dags-folder].git.credentialsSecretRef", "Secret", "git"),
        Reference("spec.auth.fab.admin.secretRef", "Secret", "a", "username"),
        Reference("spec.auth.fab.admin.secretRef", "Secret", "a", "password"),
    )


def test_an_administrator_that_is_not_wanted_needs_no_secret():
    assert check(auth={"fab": {"admin": {"enabled": False, "secretRef": {"name": "a"}}}})


def test_an_account_that_the_operator_makes_is_not_waited_for():
    generated = {"triggerer": {"serviceAccount": {"name": "demo-task"}}}
    assert validate(factory.seen(fields=generated), PLATFORM).spec.triggerer.service_account
    with pytest.raises(Waiting, match=r"spec.triggerer.serviceAccount names ServiceAccount demo-other, which does not exist"):
        validate(factory.seen(fields={"triggerer": {"serviceAccount": {"name": "demo-other"}}}), PLATFORM)
