"""The long-running components."""

from __future__ import annotations

import configparser

import pytest

from airflow_operator.airflow.releases import RELEASES
from airflow_operator.reconcile import keys, plan
from airflow_operator.reconcile.build import components, config, pods, secrets, services, storage
from airflow_operator.reconcile.plan import prerequisites
from tests.unit import factory
from tests.unit.factory import KEYS

BUILDERS = {"api-server": components.api_server, "scheduler": components.scheduler}
BUILDERS |= {"dag-processor": components.dag_processor, "triggerer": components.triggerer}
GIT = {"git": {"repo": "https://git.example.com/etl.git", "period": "5s"}}
FIELDS = {"api-server": "apiServer", "scheduler": "scheduler", "dag-processor": "dagProcessor", "triggerer": "triggerer"}


def pod(name, own=KEYS, **fields):
    return BUILDERS[name](factory.cluster(**fields), own)["spec"]["template"]


def container(name, **fields):
    return pod(name, **fields)["spec"]["containers"][0]


def variables(name, **fields):
    return {item["name"]: item for item in container(name, **fields)["env"]}


def mounted(name, **fields):
    return {item["mountPath"] for item in container(name, **fields)["volumeMounts"]}


def airflow_cfg(**fields):
    parser = configparser.ConfigParser()
    parser.read_string(config.airflow_cfg(factory.cluster(**fields))["data"]["airflow.cfg"])
    return {section: dict(parser[section]) for section in parser.sections()}


@pytest.mark.parametrize("name", BUILDERS)
def test_every_component_runs_its_command_and_takes_its_settings(name):
    own = {"replicas": 2, "labels": {"team": "own"}, "nodeSelector": {"b": "2"}, "priorityClassName": "high", "annotations": {"n": "1"}}
    own |= {"resources": {"requests": {"cpu": "3"}}, "env": [{"name": "A", "value": "own"}]}
    fields = {
        "env": [{"name": "A", "value": "all"}, {"name": "B", "value": "all"}],
        "pods": {"labels": {"team": "all"}, "nodeSelector": {"a": "1"}},
    }
    made = BUILDERS[name](factory.cluster(**fields, **{FIELDS[name]: own}), KEYS)
    template = made["spec"]["template"]
    main = template["spec"]["containers"][0]
    assert made["spec"]["replicas"] == 2
    assert main["args"] == ["bash", "-c", f"exec airflow {name}"]
    assert template["metadata"]["labels"]["team"] == "own"
    assert template["metadata"]["annotations"]["n"] == "1"
    assert template["spec"]["nodeSelector"] == {"a": "1", "b": "2"}
    assert template["spec"]["priorityClassName"] == "high"
    assert main["resources"]["requests"]["cpu"] == "3"
    given = {item["name"]: item.get("value") for item in main["env"]}
    assert (given["A"], given["B"]) == ("own", "all")


def test_a_changed_component_never_costs_a_pod_that_works():
    for build in (components.api_server, components.scheduler, components.dag_processor):
        strategy = build(factory.cluster(), KEYS)["spec"]["strategy"]
        assert strategy["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_only_those_who_sign_hold_the_private_key_and_only_the_api_server_the_public_ones():
    assert {name for name in BUILDERS if config.JWT_DIR in mounted(name)} == {"api-server", "scheduler"}
    assert {name for name in BUILDERS if config.JWKS_DIR in mounted(name)} == {"api-server"}
    assert {name for name in BUILDERS if config.POD_TEMPLATE_DIR in mounted(name)} == {"scheduler"}
    assert {name for name in BUILDERS if "AIRFLOW__API__SECRET_KEY" in variables(name)} == {"api-server", "triggerer"}


def test_airflow_2_runs_a_web_server_without_tokens():
    old = {"version": "2.11.2", "dags": [GIT]}
    assert container("api-server", **old)["args"][-1] == "exec airflow webserver"
    assert {probe["httpGet"]["path"] for key, probe in container("api-server", **old).items() if key.endswith("Probe")} == {"/health"}
    for name in BUILDERS:
        assert not {config.JWT_DIR, config.JWKS_DIR} & mounted(name, **old)
    assert {name for name in BUILDERS if "AIRFLOW__WEBSERVER__SECRET_KEY" in variables(name, **old)} == {"api-server", "triggerer"}
    cfg = airflow_cfg(**old)
    assert cfg["core"]["dags_folder"] == "/opt/airflow/bundles/dags-folder/repo"
    assert cfg["scheduler"]["standalone_dag_processor"] == "False"
    assert not {"api_auth", "dag_processor"} & set(cfg)
    assert "execution_api_server_url" not in cfg["core"]


def test_whoever_parses_dags_reports_commits():
    def reporters(**fields):
        cluster = factory.cluster(dags=[GIT], **fields)
        pods = {item["metadata"]["name"]: item["spec"]["template"]["spec"] for item in plan.components(cluster, KEYS)}
        return {
            name.removeprefix("demo-")
            for name, spec in pods.items()
            for item in spec["containers"]
            if "GITSYNC_WEBHOOK_URL" in {variable["name"] for variable in item["env"]}
        }

    assert reporters() == {"dag-processor"}
    assert reporters(executors=["LocalExecutor"]) == {"dag-processor"}
    assert reporters(version="2.11.2") == {"scheduler"}
    assert reporters(version="2.11.2", dagProcessor={}) == {"dag-processor"}


FAB_TABLES = "airflow.providers.fab.auth_manager.models.db.FABDBManager"


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("3.0.6", ("EdDSA", FAB_TABLES, "1", None)),
        ("3.1.8", ("EdDSA", FAB_TABLES, None, "30")),
        ("3.2.2", (None, None, None, "30")),
        ("3.3.2", (None, None, None, "30")),
    ],
)
def test_older_releases_of_airflow_3_are_told_what_newer_ones_know(version, told):
    asked = (
        ("api_auth", "jwt_algorithm"),
        ("database", "external_db_managers"),
        ("api", "workers"),
        ("workers", "execution_api_timeout"),
    )
    cfg = airflow_cfg(version=version, auth={"simple": {}})
    assert tuple(cfg.get(section, {}).get(option) for section, option in asked) == told


def test_a_secret_that_the_user_brings_signs_with_its_own_algorithm():
    own = factory.secret("own", **{"jwt-secret": "x" * 64})
    cfg = airflow_cfg(version="3.1.8", keys={"jwt": {"name": "own"}}, references={("Secret", "own"): own})
    assert set(cfg["api_auth"]) == {"jwt_issuer"}


@pytest.mark.parametrize("version", sorted(RELEASES))
def test_a_scheduler_that_runs_tasks_is_a_worker(version):
    fields = {"version": version, "executors": ["LocalExecutor"], "dags": [GIT]}
    made = container("scheduler", **fields)
    given = {item["name"]: item.get("value") for item in made["env"]}
    assert given["DUMB_INIT_SETSID"] == "0"
    assert given["AIRFLOW__CORE__HOSTNAME_CALLABLE"] == "airflow.utils.net.get_host_ip_address"
    assert {"AIRFLOW__API__SECRET_KEY", "AIRFLOW__WEBSERVER__SECRET_KEY"} & set(given)
    assert {"name": "worker-logs", "containerPort": 8793} in made["ports"]
    assert made["lifecycle"]["preStop"]["exec"]["command"] == ["python", f"{pods.SCRIPTS_DIR}/drain.py"]
    assert "/opt/airflow/bundles/dags-folder" in mounted("scheduler", **fields)
    assert pod("scheduler", **fields)["spec"]["terminationGracePeriodSeconds"] == 600
    own = {**fields, "scheduler": {"drainTimeout": "90m"}, "config": {"core": {"hostname_callable": "socket.gethostname"}}}
    assert pod("scheduler", **own)["spec"]["terminationGracePeriodSeconds"] == 5400
    assert container("scheduler", **own)["livenessProbe"]["terminationGracePeriodSeconds"] == 60, "one that hangs does not drain"
    assert "AIRFLOW__CORE__HOSTNAME_CALLABLE" not in variables("scheduler", **own)


def test_nobody_may_make_pods_where_tasks_need_none():
    cluster = factory.cluster(executors=["LocalExecutor"])
    made = prerequisites(cluster, KEYS)
    assert not [item for item in made if item["kind"] == "RoleBinding"]
    assert not [item for item in made if item["metadata"]["name"].startswith(("demo-task", "demo-pod-template"))]
    assert not [name for name in BUILDERS if pod(name, executors=["LocalExecutor"])["spec"]["automountServiceAccountToken"]]
    assert "kubernetes_executor" not in airflow_cfg(executors=["LocalExecutor"])
    assert airflow_cfg(executors=["KubernetesExecutor", "LocalExecutor"])["core"]["executor"] == "KubernetesExecutor,LocalExecutor"


def test_only_those_who_parse_or_run_dags_have_them():
    with_git = {name for name in BUILDERS if "git-sync" in {item["name"] for item in pod(name, dags=[GIT])["spec"]["containers"]}}
    assert with_git == {"dag-processor", "triggerer"}


def test_the_api_server_leaves_its_service_before_it_ends():
    made = container("api-server")
    assert made["lifecycle"]["preStop"]["sleep"]["seconds"] < pod("api-server")["spec"]["terminationGracePeriodSeconds"]


def test_the_triggerer_has_host_names():
    made = components.triggerer(factory.cluster(), KEYS)
    service = services.triggerer(factory.cluster())
    assert made["kind"] == "StatefulSet"
    assert made["spec"]["serviceName"] == service["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None"


def test_the_operators_own_variables_cannot_be_replaced():
    names = [item["name"] for item in container("scheduler", env=[{"name": "ZZZ", "value": "1"}])["env"]]
    assert names.index("ZZZ") < names.index("AIRFLOW_CONFIG")


REFERENCED = {("Secret", "s"): factory.secret("s", k="old"), ("Secret", "git"): factory.secret("git", username="u", password="p")}
ENV = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]


def checksums(references=REFERENCED, **fields):
    return {name: pod(name, references=references, **fields)["metadata"]["annotations"] for name in BUILDERS}


def changed(before, after):
    return {name for name in BUILDERS if before[name] != after[name]}


def test_a_new_secret_rolls_its_consumers_only():
    renewed = {**REFERENCED, ("Secret", "s"): factory.secret("s", k="new")}
    everywhere, nowhere = checksums(env=ENV), checksums()
    assert changed(everywhere, checksums(renewed, env=ENV)) == set(BUILDERS)
    assert changed(nowhere, checksums(renewed)) == set()
    own = {"triggerer": {"env": ENV}}
    assert changed(checksums(**own), checksums(renewed, **own)) == {"triggerer"}
    whole = {"envFrom": [{"secretRef": {"name": "s"}}]}
    assert changed(checksums(**whole), checksums(renewed, **whole)) == set(BUILDERS)


def test_a_member_that_nobody_uses_rolls_nobody():
    other = {**REFERENCED, ("Secret", "s"): factory.secret("s", k="old", unused="x")}
    assert changed(checksums(env=ENV), checksums(other, env=ENV)) == set()


def test_a_new_git_password_rolls_nobody_and_a_new_user_name_those_who_sync():
    dags = {"dags": [{"git": {**GIT["git"], "credentialsSecretRef": {"name": "git"}}}]}
    renewed = {**REFERENCED, ("Secret", "git"): factory.secret("git", username="u", password="new")}
    assert changed(checksums(**dags), checksums(renewed, **dags)) == set()
    renamed = {**REFERENCED, ("Secret", "git"): factory.secret("git", username="new", password="p")}
    assert changed(checksums(**dags), checksums(renamed, **dags)) == {"dag-processor", "triggerer"}


def test_a_new_key_rolls_everyone_and_a_checksum_says_nothing_without_the_clusters_own():
    before = {name: pod(name, KEYS)["metadata"]["annotations"] for name in BUILDERS}
    other = keys.Keys({**KEYS.data, keys.FERNET: keys.generate()[keys.FERNET]})
    assert changed(before, {name: pod(name, other)["metadata"]["annotations"] for name in BUILDERS}) == set(BUILDERS)
    rekeyed = keys.Keys({**KEYS.data, keys.CHECKSUM: "another"})
    assert changed(before, {name: pod(name, rekeyed)["metadata"]["annotations"] for name in BUILDERS}) == set(BUILDERS)


def test_a_changed_option_rolls_everyone_by_the_name_of_the_file():
    before, after = pod("scheduler"), pod("scheduler", config={"core": {"parallelism": 5}})
    names = [next(item["configMap"]["name"] for item in made["spec"]["volumes"] if item["name"] == "config") for made in (before, after)]
    assert names[0] != names[1]
    assert before["metadata"]["annotations"] == after["metadata"]["annotations"]


def test_airflow_cfg_holds_what_follows_from_the_spec():
    made = airflow_cfg(dags=[GIT], config={"core": {"load_examples": True}, "dag_processor": {"refresh_interval": 3}})
    assert made["core"]["executor"] == "KubernetesExecutor"
    assert made["core"]["load_examples"] == "True"
    assert made["core"]["execution_api_server_url"] == "http://demo-api-server.team.svc:8080/execution/"
    assert made["kubernetes_executor"]["namespace"] == "team"
    assert '"path":"/opt/airflow/bundles/dags-folder/repo"' in made["dag_processor"]["dag_bundle_config_list"]
    assert made["dag_processor"]["refresh_interval"] == "3"


def test_dag_refresh_follows_the_git_period():
    assert airflow_cfg(dags=[GIT])["dag_processor"]["refresh_interval"] == "5"
    assert airflow_cfg()["dag_processor"]["refresh_interval"] == "10"


def test_without_dags_airflow_keeps_its_own_bundle():
    assert "dag_bundle_config_list" not in airflow_cfg()["dag_processor"]


def test_what_airflow_reads_is_immutable_and_named_by_its_content():
    for made in prerequisites(factory.cluster(), KEYS):
        if made["kind"] == "ConfigMap":
            assert made["immutable"] is True
    one, other = (config.airflow_cfg(factory.cluster(config={"core": {"parallelism": count}})) for count in (1, 2))
    assert one["metadata"]["name"] != other["metadata"]["name"]


def test_the_database_url_names_its_driver_and_escapes_the_password():
    own = keys.Keys({**KEYS.data, keys.DATABASE_PASSWORD: "a/b@c:d%e"})
    cluster = factory.cluster()
    url = keys.decode(secrets.connection(cluster, own))["connection"]
    assert url == f"postgresql+psycopg2://{cluster.database}:a%2Fb%40c%3Ad%25e@platform-postgres.team.svc:5432/{cluster.database}"


def test_services_find_ports_by_the_names_that_containers_have():
    for service, name in ((services.api_server, "api-server"), (services.triggerer, "triggerer")):
        named = {port["name"] for port in container(name)["ports"]}
        assert {port["targetPort"] for port in service(factory.cluster())["spec"]["ports"]} <= named


def test_logs_are_kept_where_a_volume_is_asked_for():
    assert storage.logs_claim(factory.cluster()) is None
    assert storage.logs_volume(factory.cluster()) == {"name": "logs", "emptyDir": {}}
    new = factory.cluster(logs={"volume": {"size": "5Gi", "storageClassName": "shared"}})
    claim = storage.logs_claim(new)
    assert claim is not None
    assert "ownerReferences" not in claim["metadata"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert storage.logs_volume(new)["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    own = factory.cluster(logs={"volume": {"claimName": "mine"}})
    assert storage.logs_claim(own) is None
    assert storage.logs_volume(own)["persistentVolumeClaim"]["claimName"] == "mine"


def test_what_outlives_the_cluster_has_no_owner_and_everything_else_has():
    for made in prerequisites(factory.cluster(logs={"volume": {"size": "5Gi"}}), KEYS):
        kept = made["kind"] == "PersistentVolumeClaim"
        assert ("ownerReferences" in made["metadata"]) is not kept
        assert ("app.kubernetes.io/instance" in made["metadata"]["labels"]) is not kept


def test_only_shipped_roles_are_bound_and_only_in_this_namespace():
    bindings = [made for made in prerequisites(factory.cluster(), KEYS) if made["kind"] == "RoleBinding"]
    assert {made["roleRef"]["name"] for made in bindings} == {"airflow-operator-executor", "airflow-operator-log-reader"}
    assert {subject["namespace"] for made in bindings for subject in made["subjects"]} == {"team"}
