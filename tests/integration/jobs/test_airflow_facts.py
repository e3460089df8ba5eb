"""What `airflow/` says of each release, asked of the release itself."""

from __future__ import annotations

import configparser
import json
from pathlib import Path
from typing import Any

import pytest

from airflow_operator.airflow.facts import Options
from airflow_operator.airflow.releases import RELEASES
from airflow_operator.reconcile.build import auth, config
from airflow_operator.reconcile.keys import JWT_PRIVATE
from tests.integration.jobs.airflow_image import Image, expect, variables
from tests.unit import factory

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(900)]

AIRFLOW_3 = [version for version in RELEASES if version > "3"]
OIDC = {
    "name": "sso",
    "issuerURL": "https://login.example.com",
    "clientSecretRef": {"name": "sso"},
    "roleMapping": {"ops": "Op"},
}
CLIENT = factory.secret("sso", **{"client-id": "airflow", "client-secret": "s3cr3t"})
SIMPLE: dict[str, Any] = {"auth": {"simple": {}}}
FULL: dict[str, Any] = {
    "auth": {"fab": {"oidc": OIDC}},
    "references": {("Secret", "sso"): CLIENT},
    "executors": ["LocalExecutor", "KubernetesExecutor"],
    "dags": [{"git": {"repo": "https://git.example.com/etl.git"}}],
    "externalURL": "https://example.com/airflow",
    "logs": {"remote": {"url": "s3://logs", "connectionId": "aws"}},
}


def airflow_cfg(version: str, **fields: Any) -> Options:
    """airflow.cfg as the operator writes it."""
    parser = configparser.ConfigParser()
    parser.read_string(config.airflow_cfg(factory.cluster(version=version, **fields))["data"]["airflow.cfg"])
    return {section: dict(parser[section]) for section in parser.sections()}


OPTIONS = """
import json
from airflow.configuration import conf
from airflow.providers_manager import ProvidersManager
ProvidersManager().initialize_providers_configuration()
known = {section: list(found["options"]) for section, found in conf.configuration_description.items()}
print("\\n" + json.dumps(known))
"""


@pytest.mark.parametrize("image", RELEASES, indirect=True)
def test_airflow_knows_every_option_that_is_set(image: Image) -> None:
    known = json.loads(image.python_says(OPTIONS).splitlines()[-1])
    for fields in (FULL, *([SIMPLE] if image.version > "3" else [])):
        cfg = airflow_cfg(image.version, **fields)
        assert [(section, option) for section, found in cfg.items() for option in found if option not in known.get(section, [])] == []


TOKEN = """
from airflow.api_fastapi.auth.tokens import JWTGenerator, JWTValidator, get_sig_validation_args, get_signing_args
signer = JWTGenerator(valid_for=60, audience="tasks", **get_signing_args(make_secret_key_if_needed=False))
checker = JWTValidator(audience="tasks", **get_sig_validation_args(make_secret_key_if_needed=False))
print(checker.validated_claims(signer.generate({"sub": "a task"}))["sub"])
"""


@pytest.mark.parametrize("image", AIRFLOW_3, indirect=True)
def test_the_api_server_takes_a_token_that_our_key_signed(image: Image) -> None:
    (image.folder / config.JWT_FILE).write_text(factory.KEYS.data[JWT_PRIVATE])
    (image.folder / config.JWKS_FILE).write_text(factory.KEYS.jwks())
    options = airflow_cfg(image.version)["api_auth"]
    options = {
        name: value.replace(config.JWT_DIR, str(image.folder)).replace(config.JWKS_DIR, str(image.folder))
        for name, value in options.items()
    }
    assert image.python_says(TOKEN, **variables({"api_auth": options})).splitlines()[-1] == "a task"


@pytest.mark.parametrize("image", AIRFLOW_3, indirect=True)
def test_who_comes_to_fab_later_finds_its_tables(image: Image) -> None:
    simple = {"AIRFLOW__CORE__AUTH_MANAGER": auth.SIMPLE}
    heads = image.run("check", **simple)["image"]
    assert heads["fab"]
    assert image.run("migrate", **expect("Empty"), **simple)["database"] == heads
    assert image.run("check")["result"] == "Current"
    assert image.run("users") == {"result": "Created"}


PAGES = """
try:
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
except ImportError:
    from airflow.utils.cli_app_builder import get_application_builder
with get_application_builder() as builder:
    builder.sm.sync_roles()
    builder.sm._rotate_session_id = lambda: None  # there is no browser's session here
    claims = {"sub": "1", "preferred_username": "ann", "groups": ["ops"]}
    builder.sm.oauth_remotes["sso"].load_server_metadata = lambda: {}
    user = builder.sm.auth_user_oauth(builder.sm.get_oauth_user_info("sso", {"userinfo": claims}))
    print(user.username, [role.name for role in user.roles])
"""


@pytest.mark.parametrize("image", RELEASES, indirect=True)
def test_the_login_pages_take_what_an_openid_provider_says(image: Image) -> None:
    image.run("migrate", **expect("Empty"))
    cluster = factory.cluster(version=image.version, **FULL)
    (pages,) = auth.objects(cluster, factory.KEYS)
    for name, text in pages["data"].items():
        (image.folder / name).write_text(text.replace(auth.CLIENT_DIR, str(image.folder)))
    for name in ("client-id", "client-secret"):
        (image.folder / name).write_text("x")
    section, option = cluster.release.webserver_config
    own = variables({section: {option: str(Path(image.folder, auth.WEBSERVER_CONFIG))}})
    assert image.python_says(PAGES, **own).splitlines()[-1] == "ann ['Op']"


DAG = """
{importing}


@dag(schedule=None)
def {name}():
    @task
    def say():
        print("{name}")

    say()


{name}()
"""
IMPORT = {"2": "from airflow.decorators import dag, task", "3": "from airflow.sdk import dag, task"}
GONE = {"2": "SELECT dag_id FROM dag WHERE NOT is_active", "3": "SELECT dag_id FROM dag WHERE is_stale"}
PARSE = {
    # As a scheduler of Airflow 2 does it.
    "2": """
from datetime import timedelta
from pathlib import Path
from airflow.dag_processing.manager import DagFileProcessorManager
from airflow.settings import DAGS_FOLDER
parsing = {"processor_timeout": timedelta(seconds=200), "dag_ids": None, "pickle_dags": False}
DagFileProcessorManager(dag_directory=Path(DAGS_FOLDER), max_runs=1, **parsing).start()
""",
    "3": """
import sys
from airflow.__main__ import main
sys.argv[1:] = ["dag-processor", "--num-runs", "1"]
main()
""",
}


@pytest.mark.parametrize("image", RELEASES, indirect=True)
def test_a_dag_whose_file_went_with_a_commit_is_missed(image: Image, postgres: Any) -> None:
    image.run("migrate", **expect("Empty"))
    major = image.version[0]
    sources, link = image.folder / "dag-sources", image.folder / "bundles" / "dags-folder" / "repo"
    link.parent.mkdir(parents=True)
    for commit, names in (("first", ["stays", "goes"]), ("second", ["stays"])):
        (link.parent / commit).mkdir()
        for name in names:
            (link.parent / commit / f"{name}.py").write_text(DAG.format(importing=IMPORT[major], name=name))
    sources.mkdir()
    (sources / "dags-folder").symlink_to(link)
    # As in a dag-processor's pod: the files of keys, which airflow.cfg names, are not there.
    cluster = factory.cluster(version=image.version, dags=[{"git": {"repo": "https://git.example.com/etl.git"}}])
    cfg = image.folder / config.CONFIG_FILE
    cfg.write_text(config.airflow_cfg(cluster)["data"][config.CONFIG_FILE].replace("/opt/airflow/", f"{image.folder}/"))
    for commit, gone in (("first", []), ("second", [("goes",)])):
        link.unlink(missing_ok=True)
        link.symlink_to(commit)
        image.python_says(PARSE[major], AIRFLOW_CONFIG=str(cfg))
        assert postgres.rows(GONE[major], database="airflow") == gone
    assert postgres.rows("SELECT count(*) FROM dag", database="airflow") == [(2,)]
