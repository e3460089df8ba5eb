#!/bin/bash
# Entry point with the rules of the official Airflow image: who may run it, what it waits for, what the first argument means.
set -euo pipefail

: "${CONNECTION_CHECK_MAX_COUNT:=20}" "${CONNECTION_CHECK_SLEEP_TIME:=3}"

retry() {
    local left=${CONNECTION_CHECK_MAX_COUNT} output
    until output=$("$@" 2>&1); do
        left=$((left - 1))
        if [[ ${left} -le 0 ]]; then
            printf '\nERROR! Maximum number of retries (%s) reached.\n\nLast check result:\n$ %s\n%s\n' \
                "${CONNECTION_CHECK_MAX_COUNT}" "$*" "${output}"
            exit 1
        fi
        echo -n .
        sleep "${CONNECTION_CHECK_SLEEP_TIME}"
    done
    echo
}

broker_answers() {
    python - "$1" <<'END'
import socket
import sys
from urllib.parse import urlsplit

url = urlsplit(sys.argv[1])
port = url.port or {"redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671}[url.scheme]
socket.create_connection((url.hostname or "localhost", port), timeout=3).close()
END
}

# Any user will do as long as the group is 0, which owns what must be writable.
if [[ $(id -g) != 0 && $(id -u) != 50000 ]]; then
    echo "ERROR! You should run the image with GID=0; it was started with UID=$(id -u) and GID=$(id -g)." >&2
    exit 1
fi
umask 0002

if ! whoami &>/dev/null; then
    if [[ -w /etc/passwd ]]; then
        echo "default:x:$(id -u):0:default user:/home/airflow:/sbin/nologin" >>/etc/passwd
    fi
    export HOME=/home/airflow
fi

# As in the official image this comes before every command, bash and python too; probes and task pods switch it off.
if [[ ${CONNECTION_CHECK_MAX_COUNT} -gt 0 ]]; then
    retry airflow db check
fi

case ${1:-} in
    bash) shift; exec /bin/bash "$@" ;;
    python) shift; exec python "$@" ;;
    airflow) shift ;;
esac

if [[ ${1:-} =~ ^(scheduler|celery)$ && ${CONNECTION_CHECK_MAX_COUNT} -gt 0 ]] \
    && [[ $(airflow config get-value core executor) == CeleryExecutor ]]; then
    retry broker_answers "$(airflow config get-value celery broker_url)"
fi
exec airflow "$@"
