"""Sources of DAGs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from airflow_operator.api.cel import Cel, exactly_one, matches
from airflow_operator.api.common import Duration, ListMap, Model, ObjectReference

DAGS_FOLDER = "dags-folder"
"""Name of Airflow's own bundle: that of a `dags` entry without a name."""


class Git(Model):
    """A git repository with DAGs, kept fresh by git-sync."""

    repo: Annotated[
        str,
        Field(max_length=1024),
        matches(r"^https?://[^\s/]+/?\S*$", "must be an https:// or http:// URL: other kinds of repositories do not work in this version"),
        matches(
            r"^[^@]*$|^[^/]*//[^/@]+/.*$", "must not hold a user name or password: put them in a Secret and name it in credentialsSecretRef"
        ),
    ] = Field(description="URL of the repository, https:// or http://.")
    ref: Annotated[str, Field(max_length=255), matches(r"^[^\s-]\S*$", "must be a branch, a tag or a commit")] = Field(
        default="HEAD", description="Branch, tag or commit; HEAD is the default branch of the repository."
    )
    sub_path: (
        Annotated[
            str,
            Field(max_length=1024),
            matches(r"^[^/\s][^\s]*$", "must be a path within the repository, without a slash at its start and without spaces"),
            Cel(
                rule="!self.split('/').exists(part, part == '..')",
                message="must stay within the repository: leave out ..",
                check=lambda value: ".." not in value.split("/"),
            ),
        ]
        | None
    ) = Field(default=None, description="Folder of the DAGs within the repository; absent means its root.")
    period: Duration = Field(default="60s", description="Time between two looks at the repository, from 1s to 24h.")
    depth: Annotated[int, Field(ge=0, le=1000000)] = Field(default=1, description="Commits of history to fetch; 0 means all of it.")
    credentials_secret_ref: ObjectReference | None = Field(
        default=None,
        description="Secret with the keys username and password, or with the key token alone. "
        "A change of the Secret is used at the next look, without a restart.",
    )


class DagSource(Model):
    """One source of DAGs: exactly one kind."""

    name: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")] = Field(
        default=DAGS_FOLDER, description="Name of the DAG bundle in Airflow. Left out, it is Airflow's own bundle."
    )
    git: Git | None = Field(default=None, description="A git repository.")

    rules = (exactly_one("git"),)


_ONE_SOURCE = Cel(rule="size(self) <= 1", message="one entry only in this version of the operator", check=lambda value: len(value) <= 1)
DagSources = Annotated[tuple[DagSource, ...], Field(max_length=16), ListMap(), _ONE_SOURCE]
