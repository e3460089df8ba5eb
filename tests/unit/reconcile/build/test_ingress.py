"""What leads from outside to the API server, and what Airflow knows of it."""

from __future__ import annotations

from airflow_operator.domain.manifest import dig
from airflow_operator.reconcile import plan
from airflow_operator.reconcile.build import components, config, ingress
from tests.unit import factory

URL = "https://data.example.com:8443/airflow/"


def variables(manifest):
    return {item["name"]: item.get("value") for item in manifest["spec"]["template"]["spec"]["containers"][0]["env"]}


def cfg(cluster):
    return config.airflow_cfg(cluster)["data"]["airflow.cfg"]


def test_there_is_none_unless_it_is_asked_for():
    assert ingress.objects(factory.cluster(externalURL=URL)) == []


def test_host_and_path_are_those_of_the_url():
    (made,) = ingress.objects(factory.cluster(externalURL=URL, ingress={}))
    backend = {"service": {"name": "demo-api-server", "port": {"number": 8080}}}
    path = {"path": "/airflow", "pathType": "Prefix", "backend": backend}
    assert made["spec"] == {"rules": [{"host": "data.example.com", "http": {"paths": [path]}}]}
    assert "annotations" not in made["metadata"]


def test_everything_of_an_ingress_can_be_said():
    settings = {"className": "nginx", "host": "in.example.com", "path": "/x", "annotations": {"a": "b"}, "tls": {"secretName": "cert"}}
    (made,) = ingress.objects(factory.cluster(externalURL=URL, ingress=settings))
    assert made["metadata"]["annotations"] == {"a": "b"}
    assert made["spec"]["ingressClassName"] == "nginx"
    assert made["spec"]["tls"] == [{"hosts": ["in.example.com"], "secretName": "cert"}]
    assert made["spec"]["rules"][0]["host"] == "in.example.com"
    assert dig(made, "spec", "rules", 0, "http", "paths", 0, "path") == "/x"


def test_tls_with_the_controllers_own_certificate_and_without_a_path():
    (made,) = ingress.objects(factory.cluster(externalURL="https://airflow.example.com", ingress={"tls": {}}))
    assert made["spec"]["tls"] == [{"hosts": ["airflow.example.com"]}]
    assert dig(made, "spec", "rules", 0, "http", "paths", 0, "path") == "/"


def test_it_is_among_the_objects_of_a_cluster():
    kinds = [item["kind"] for item in plan.prerequisites(factory.cluster(externalURL=URL, ingress={}), factory.KEYS)]
    assert kinds.count("Ingress") == 1


def test_airflow_knows_its_address_and_believes_the_proxy():
    cluster = factory.cluster(externalURL=URL)
    assert f"base_url = {URL}" in cfg(cluster)
    assert "enable_proxy_fix = True" in cfg(cluster)
    made = components.api_server(cluster, factory.KEYS)
    container = made["spec"]["template"]["spec"]["containers"][0]
    assert container["args"][-1] == "exec airflow api-server --proxy-headers"
    assert variables(made)["FORWARDED_ALLOW_IPS"] == "*"
    assert container["readinessProbe"]["httpGet"]["path"] == "/airflow/api/v2/monitor/health"
    assert "FORWARDED_ALLOW_IPS" not in variables(components.scheduler(cluster, factory.KEYS))
    assert ".svc:8080/airflow/execution/" in cfg(cluster)


def test_the_user_may_believe_fewer_proxies():
    cluster = factory.cluster(
        externalURL=URL,
        config={"fab": {"enable_proxy_fix": False}},
        apiServer={"env": [{"name": "FORWARDED_ALLOW_IPS", "value": "10.0.0.0/8"}]},
    )
    assert "enable_proxy_fix = False" in cfg(cluster)
    assert variables(components.api_server(cluster, factory.KEYS))["FORWARDED_ALLOW_IPS"] == "10.0.0.0/8"


def test_without_a_url_no_proxy_is_believed():
    cluster = factory.cluster()
    assert "proxy" not in cfg(cluster)
    made = components.api_server(cluster, factory.KEYS)
    assert made["spec"]["template"]["spec"]["containers"][0]["args"][-1] == "exec airflow api-server"
    assert "FORWARDED_ALLOW_IPS" not in variables(made)
