"""A small client of Airflow's REST API, for tests that wait for what they asked for."""

from __future__ import annotations

import base64
import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

Json = dict[str, Any]
UNREACHABLE = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


class ApiError(Exception):
    """An answer that is not a success."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"HTTP {status}: {text[:500]}")
        self.status = status


class AirflowClient:
    """Speaks to one API server as one user; a token is fetched at the first call and whenever the old one is refused."""

    API = "/api/v2"
    HEALTH = "/api/v2/monitor/health"
    # The key logical_date must be there, and null for a manual run.
    NEW_RUN: Mapping[str, Any] = {"logical_date": None}
    XCOM = "deserialize=true"

    def __init__(self, url: str, username: str, password: str, timeout: float = 20.0) -> None:
        self.url = url.rstrip("/")
        self.username = username
        self.password = password
        self.timeout = timeout
        self._token = ""

    # -- requests

    def request(self, method: str, path: str, body: object = None) -> Any:
        """The parsed answer of a path below API; ApiError for any status above 299."""
        for attempt in ("", "again"):
            self._token = self._token if self._token and not attempt else self.login()
            try:
                return self._send(method, self.API + path, body, {"Authorization": self._token})
            except ApiError as error:
                # A new signing key answers 403 to tokens of the old one.
                if error.status not in (401, 403) or attempt:
                    raise
        raise AssertionError("unreachable")

    def login(self) -> str:
        """What to say for authorization: a new token; ApiError 401 for wrong credentials."""
        answer = self._send("POST", "/auth/token", {"username": self.username, "password": self.password}, {})
        return f"Bearer {answer['access_token']}"

    def _send(self, method: str, path: str, body: object, headers: Mapping[str, str]) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Accept": "application/json", "Content-Type": "application/json", **headers}
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as response:
                text = response.read().decode()
        except urllib.error.HTTPError as error:
            raise ApiError(error.code, error.read().decode(errors="replace")) from error
        return json.loads(text) if text else None

    def wait(self, what: str, ask: Callable[[], Any], timeout: float) -> Any:
        """Ask until the answer is true and give it; an API server that does not answer (yet) counts as no."""
        deadline = time.monotonic() + timeout
        last: object = "no answer"
        while time.monotonic() < deadline:
            try:
                last = ask()
                if last:
                    return last
            except UNREACHABLE as error:
                last = error
            except ApiError as error:
                if error.status not in (404, 409) and error.status < 500:
                    raise
                last = error
            time.sleep(0.5)
        raise TimeoutError(f"{what}: not within {timeout:.0f} s; last seen: {last}")

    # -- the deployment

    def health(self) -> dict[str, str | None]:
        """The word of each component, such as {"scheduler": "healthy"}; needs no login."""
        answer = self._send("GET", self.HEALTH, None, {})
        return {component: (state or {}).get("status") for component, state in answer.items()}

    def version(self) -> str:
        """The version of Airflow that answers."""
        return str(self._send("GET", f"{self.API}/version", None, {})["version"])

    # -- DAGs and runs

    def dags(self) -> dict[str, Json]:
        """Every DAG by its id."""
        return {dag["dag_id"]: dag for dag in self.request("GET", "/dags?limit=1000")["dags"]}

    def import_errors(self) -> list[str]:
        """What could not be parsed, as text."""
        return [error["stack_trace"] for error in self.request("GET", "/importErrors")["import_errors"]]

    def wait_for_dag(self, dag_id: str, timeout: float = 120.0) -> Json:
        """The DAG, once it was parsed."""
        answer: Json = self.wait(f"DAG {dag_id}", lambda: self.request("GET", f"/dags/{_quoted(dag_id)}"), timeout)
        return answer

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler run it."""
        self.request("PATCH", f"/dags/{_quoted(dag_id)}", {"is_paused": False})

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Start a run now; its id. `conf` overrides the DAG's params."""
        answer = self.request("POST", f"/dags/{_quoted(dag_id)}/dagRuns", {**self.NEW_RUN, "conf": dict(conf or {})})
        return str(answer["dag_run_id"])

    def run(self, dag_id: str, run_id: str) -> Json:
        """One run."""
        answer: Json = self.request("GET", _run(dag_id, run_id))
        return answer

    def task_instances(self, dag_id: str, run_id: str) -> list[Json]:
        """Every task of a run, mapped ones included."""
        tasks: list[Json] = self.request("GET", f"{_run(dag_id, run_id)}/taskInstances?limit=1000")["task_instances"]
        return tasks

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """The state of each task; a mapped one is called task[3]."""
        return {_task_name(task): task["state"] for task in self.task_instances(dag_id, run_id)}

    def wait_for_run(self, dag_id: str, run_id: str, timeout: float = 300.0, state: str = "success") -> Json:
        """The run, once it is in that state; fails at once with the tasks' states when it ends in another."""

        def ended() -> Json | None:
            run = self.run(dag_id, run_id)
            return run if run["state"] in ("success", "failed", state) else None

        try:
            run: Json = self.wait(f"run {run_id} of {dag_id}", ended, timeout)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; tasks: {self.task_states(dag_id, run_id)}") from error
        assert run["state"] == state, f"run {run_id} of {dag_id} is {run['state']}; tasks: {self.task_states(dag_id, run_id)}"
        return run

    def run_dag(self, dag_id: str, conf: Mapping[str, Any] | None = None, timeout: float = 300.0) -> Json:
        """Wait for the DAG, unpause it, run it to success; the run."""
        self.wait_for_dag(dag_id, timeout)
        self.unpause(dag_id)
        return self.wait_for_run(dag_id, self.trigger(dag_id, conf), timeout)

    def repeat(self, dag_id: str, run_id: str) -> None:
        """Clear every task of a run, which then runs again with the code that it began with."""
        body = {"dag_run_id": run_id, "dry_run": False, "only_failed": False, "reset_dag_runs": True, "run_on_latest_version": False}
        self.request("POST", f"/dags/{_quoted(dag_id)}/clearTaskInstances", body)

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1) -> str:
        """The log of one try of one task, a line each event."""
        query = urllib.parse.urlencode({"map_index": map_index, "full_content": "true"})
        answer = self.request("GET", f"{_run(dag_id, run_id)}/taskInstances/{_quoted(task_id)}/logs/{try_number}?{query}")
        content = answer["content"]
        return content if isinstance(content, str) else "\n".join(_event(line) for line in content)

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """What a task returned or pushed."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{_quoted(task_id)}/xcomEntries/{_quoted(key)}"
        return self.request("GET", f"{path}?map_index={map_index}&{self.XCOM}")["value"]

    # -- what outlives a deployment

    def add_connection(self, connection_id: str, password: str) -> None:
        """An HTTP connection whose password Airflow encrypts."""
        body = {"connection_id": connection_id, "conn_type": "http", "host": "example.com", "login": "user", "password": password}
        self.request("POST", "/connections", body)

    def connection(self, connection_id: str) -> Json:
        """A connection, decrypted but for its masked password."""
        answer: Json = self.request("GET", f"/connections/{_quoted(connection_id)}")
        return answer


class Airflow2Client(AirflowClient):
    """The same for Airflow 2, which takes name and password with each request."""

    API = "/api/v1"
    HEALTH = "/health"
    NEW_RUN: Mapping[str, Any] = {}
    XCOM = "stringify=false"

    def login(self) -> str:
        """Name and password: there is no token."""
        return f"Basic {base64.b64encode(f'{self.username}:{self.password}'.encode()).decode()}"


def _quoted(part: str) -> str:
    return urllib.parse.quote(part, safe="")


def _run(dag_id: str, run_id: str) -> str:
    return f"/dags/{_quoted(dag_id)}/dagRuns/{_quoted(run_id)}"


def _task_name(task: Json) -> str:
    return task["task_id"] if task["map_index"] < 0 else f"{task['task_id']}[{task['map_index']}]"


def _event(line: object) -> str:
    return str(line.get("event", line)) if isinstance(line, dict) else str(line)
