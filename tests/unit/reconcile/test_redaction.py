"""Secret values are kept out of what containers say."""

from __future__ import annotations

import json
from time import process_time

import pytest

from airflow_operator.reconcile.keys import encode
from airflow_operator.reconcile.redaction import HIDDEN, LONGEST, hide, redacted, values_of

WORD = 'p@ss/"word"'


def secret(**data):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": encode(data)}


VALUES = values_of(
    [secret(password=WORD, username="administrator", short="abc"), None, {"kind": "ConfigMap", "data": {"a": "public text"}}]
)


@pytest.mark.parametrize(
    "said",
    [
        f"FATAL: password {WORD}",
        json.dumps({"result": "Failed", "message": f"login with {WORD}"}),
        "postgresql://u:p%40ss%2F%22word%22@db/x",
        f"env: {encode({'x': WORD})['x']}",
    ],
)
def test_a_value_is_hidden_in_every_form_in_which_programs_print_it(said):
    assert HIDDEN in hide(said, VALUES)
    assert "word" not in hide(said, VALUES).replace("password", "")


def test_what_is_no_secret_stays():
    said = "administrator said abc, and public text"
    assert hide(said, VALUES) == said


def test_a_value_whose_beginning_was_cut_off_is_hidden():
    assert hide(f"{WORD[2:]} was refused", VALUES) == f"{HIDDEN} was refused"
    assert hide("word", VALUES) == "word", "too short to be told from another word"


def test_each_line_of_a_key_counts():
    key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAbc\n-----END PRIVATE KEY-----\n"
    assert "MC4CAQ" not in hide("read MC4CAQAwBQYDK2VwBCIEIAbc from the file", values_of([secret(key=key)]))


def test_every_message_of_a_status_is_looked_at_and_nothing_else_is_changed():
    ended = {"terminated": {"exitCode": 1, "message": WORD}}
    status = {"message": WORD, "phase": WORD, "containerStatuses": [{"name": WORD, "state": ended, "lastState": ended}]}
    pod = {"kind": "Pod", "spec": {"message": WORD}, "status": status}
    hidden = {"terminated": {"exitCode": 1, "message": HIDDEN}}
    assert redacted([pod, {}], VALUES) == [
        {
            "kind": "Pod",
            "spec": {"message": WORD},
            "status": {"message": HIDDEN, "phase": WORD, "containerStatuses": [{"name": WORD, "state": hidden, "lastState": hidden}]},
        },
        {},
    ]


def test_data_that_is_no_text_is_passed_over():
    assert values_of([{"kind": "Secret", "data": {"a": "/w==", "b": "no base64", "c": None}}, {"kind": "Secret"}]) == ()


def test_a_tenant_with_huge_secrets_holds_nobody_up():
    huge = [secret(lines="\n".join(f"{number:012d}" for number in range(50_000)), one="x" * 900_000) for _ in range(16)]
    began = process_time()
    hide("y" * LONGEST, values_of([secret(password=WORD), *huge]))
    assert process_time() - began < 2
    assert WORD in values_of([secret(password=WORD), *huge]), "those of the deployment itself come first"
