"""The Jobs: what they are asked, what they hold, and when one is another Job."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from airflow_operator.api.base import BaseJobs
from airflow_operator.api.pods import PodDefaults
from airflow_operator.reconcile import evidence, keys
from airflow_operator.reconcile.build import jobs
from airflow_operator.reconcile.build.errand import DEADLINE
from airflow_operator.reconcile.build.provision import provision
from tests.unit import factory
from tests.unit.factory import IMAGE, KEYS

CLUSTER = factory.cluster()


def container(job):
    (made,) = job["spec"]["template"]["spec"]["containers"]
    return made


def env(job):
    return {item["name"]: item.get("value", item.get("valueFrom")) for item in container(job)["env"]}


def name(job):
    return job["metadata"]["name"]


ALL = {
    "provision": provision(CLUSTER, KEYS),
    "check": jobs.check(CLUSTER, "1/1"),
    "migrate": jobs.migrate(CLUSTER, "1/1", "uid", '"Empty"'),
    "users": jobs.users(CLUSTER, "1/1", "admin", "v1"),
}


@pytest.mark.parametrize("kind", ALL)
def test_every_job_ends_and_leaves_its_words(kind):
    pod = ALL[kind]["spec"]["template"]["spec"]
    assert pod["activeDeadlineSeconds"] == {**jobs.DEADLINES, "provision": DEADLINE}[kind]
    assert pod["restartPolicy"] == "Never"
    assert container(ALL[kind])["terminationMessagePolicy"] == "FallbackToLogsOnError"
    # With a time to live the evidence would go by itself.
    assert "ttlSecondsAfterFinished" not in ALL[kind]["spec"]


def test_nothing_of_the_tenant_reaches_the_provision_job_but_names_and_a_password():
    tenant = factory.cluster(
        image={"repository": "evil.example.com/image", "pullSecrets": [{"name": "evil"}]},
        env=[{"name": "EVIL", "value": "evil"}],
        pods={"labels": {"evil": "evil"}, "nodeSelector": {"evil": "evil"}, "annotations": {"evil": "evil"}, "priorityClassName": "evil"},
        jobs={"resources": {"requests": {"cpu": "99"}}},
        config={"core": {"evil": "evil"}},
    )
    assert provision(tenant, KEYS) == ALL["provision"]


def test_the_provision_job_follows_the_base():
    settings = PodDefaults.model_validate_json(
        '{"labels": {"team": "db"}, "annotations": {"n": "1"}, "nodeSelector": {"a": "1"}, "resources": {"requests": {"cpu": "2"}}}'
    )
    base = replace(CLUSTER.base, spec=CLUSTER.base.spec.model_copy(update={"pods": settings}))
    made = provision(replace(CLUSTER, base=base), KEYS)
    template = made["spec"]["template"]
    assert template["metadata"]["labels"]["team"] == "db"
    assert template["metadata"]["annotations"] == {"n": "1"}
    assert template["spec"]["nodeSelector"] == {"a": "1"}
    assert container(made)["resources"]["requests"]["cpu"] == "2"


def test_the_image_of_the_provision_job_is_the_bases_alone():
    own = BaseJobs.model_validate(
        {
            "image": {"repository": "r.example.com/operator", "tag": "1", "pullPolicy": "Always", "pullSecrets": [{"name": "reg"}]},
            "resources": {"limits": {"memory": "99Mi"}},
        }
    )
    base = replace(CLUSTER.base, spec=CLUSTER.base.spec.model_copy(update={"jobs": own}))
    made = provision(replace(CLUSTER, base=base), KEYS)
    assert (container(made)["image"], container(made)["imagePullPolicy"]) == ("r.example.com/operator:1", "Always")
    assert container(made)["resources"]["limits"] == {"memory": "99Mi"}
    assert made["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "reg"}]
    assert container(ALL["provision"])["image"] == CLUSTER.platform.operator_image


def test_the_provision_job_reads_passwords_from_files():
    made = env(ALL["provision"])
    assert json.loads(made["OWNER"]) == {"cluster": "demo", "namespace": "team", "namespaceUID": "namespace-uid"}
    assert made["DATABASE"] == made["ROLE"] == CLUSTER.database
    assert KEYS.database_password not in json.dumps(ALL["provision"])
    assert KEYS.key_id not in json.dumps(ALL["provision"])


def test_another_server_key_or_database_is_another_provision_job():
    other_server = replace(CLUSTER, base=replace(CLUSTER.base, server="another"))
    other_keys = keys.Keys(keys.generate())
    made = [provision(CLUSTER, KEYS), provision(other_server, KEYS), provision(CLUSTER, other_keys)]
    made += [provision(replace(CLUSTER, name="other"), KEYS), provision(CLUSTER, KEYS, "Deprovision")]
    assert len({name(job) for job in made}) == len(made)
    assert name(made[0]) == name(provision(factory.cluster(env=[{"name": "A", "value": "1"}]), KEYS))


def test_a_check_says_what_it_speaks_of():
    notes = ALL["check"]["metadata"]["annotations"]
    assert notes == {evidence.DATABASE: "1/1", evidence.IMAGE: IMAGE}
    other_image = factory.cluster(image={"tag": "other"})
    assert len({name(job) for job in (ALL["check"], jobs.check(CLUSTER, "1/2"), jobs.check(other_image, "1/1"))}) == 3


def test_a_migration_is_named_by_who_asked_for_it():
    assert name(ALL["migrate"]) == name(jobs.migrate(factory.cluster(image={"tag": "other"}), "1/1", "uid", '"Empty"'))
    assert name(ALL["migrate"]) != name(jobs.migrate(CLUSTER, "1/1", "other-uid", '"Empty"'))
    assert env(ALL["migrate"])["EXPECT"] == '"Empty"'


def test_another_password_is_another_users_job_and_no_argument():
    assert name(ALL["users"]) != name(jobs.users(CLUSTER, "1/1", "admin", "v2"))
    assert container(ALL["users"])["args"] == ["python", "/opt/airflow/operator/users.py"]
    assert env(ALL["users"])["ADMIN_DIR"] == jobs.ADMIN_DIR
    mount = next(item for item in container(ALL["users"])["volumeMounts"] if item["mountPath"] == jobs.ADMIN_DIR)
    assert mount["readOnly"] is True


def test_the_users_own_variables_do_not_stand_twice_nor_win():
    own = [{"name": variable, "value": "mine"} for variable in ("PYTHONUNBUFFERED", "EXPECTED_VERSION", "EXPECT", "A")]
    made = jobs.migrate(factory.cluster(env=own), "1/1", "uid", '"Empty"')
    listed = [item["name"] for item in container(made)["env"]]
    assert len(listed) == len(set(listed))
    assert env(made)["EXPECT"] == '"Empty"'
    assert env(made)["A"] == "mine"


def test_the_jobs_run_the_declared_image_with_the_declared_resources():
    made = factory.cluster(
        image={"repository": "r.example.com/a", "digest": "sha256:" + "b" * 64, "pullSecrets": [{"name": "reg"}]},
        jobs={"resources": {"requests": {"cpu": "2"}, "limits": {"memory": "2Gi"}}},
        pods={"resources": {"requests": {"cpu": "1", "memory": "1Gi"}}},
    )
    job = jobs.check(made, "1/1")
    assert container(job)["image"] == "r.example.com/a@sha256:" + "b" * 64
    assert container(job)["resources"] == {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
    assert job["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "reg"}]


def test_the_scripts_are_mounted_together_and_named_by_their_content():
    made = jobs.scripts(CLUSTER)
    assert {"check.py", "common.py", "migrate.py", "users.py"} <= set(made["data"])
    assert made["immutable"] is True
