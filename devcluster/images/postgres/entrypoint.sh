#!/bin/bash
# Entry point with the official image's variables: makes the database cluster at the first start, then becomes the server.
set -euo pipefail

secret() { # VARIABLE: its value, or the content of the file that VARIABLE_FILE names
    local file="$1_FILE"
    if [[ -n ${!1:-} && -n ${!file:-} ]]; then
        echo "error: both $1 and ${file} are set (but are exclusive)" >&2
        exit 1
    fi
    if [[ -n ${!file:-} ]]; then
        cat "${!file}"
    else
        printf %s "${!1:-$2}"
    fi
}

know_user() { # initdb and the server want a name for the user that they run as
    if ! getent passwd "$(id -u)" >/dev/null; then
        printf 'postgres:x:%s:%s:PostgreSQL:%s:/bin/false\n' "$(id -u)" "$(id -g)" "${PGDATA}" >/tmp/nss-passwd
        printf 'postgres:x:%s:\n' "$(id -g)" >/tmp/nss-group
        export LD_PRELOAD=libnss_wrapper.so NSS_WRAPPER_PASSWD=/tmp/nss-passwd NSS_WRAPPER_GROUP=/tmp/nss-group
    fi
}

run_scripts() { # what lies in /docker-entrypoint-initdb.d, against a server that no network reaches
    local file
    for file in /docker-entrypoint-initdb.d/*; do
        case ${file} in
            *.sh) bash "${file}" ;;
            *.sql) "${psql[@]}" --dbname "${database}" --file "${file}" ;;
        esac
    done
}

make_cluster() {
    local user password database
    user=$(secret POSTGRES_USER postgres)
    password=$(secret POSTGRES_PASSWORD '')
    database=$(secret POSTGRES_DB "${user}")
    if [[ -z ${password} && ${POSTGRES_HOST_AUTH_METHOD:-} != trust ]]; then
        echo "Error: Database is uninitialized and superuser password is not specified: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE." >&2
        exit 1
    fi
    local -a options=()
    eval "options=(${POSTGRES_INITDB_ARGS:-})"
    local -a passwords=()
    local pipe
    if [[ -n ${password} ]]; then
        exec {pipe}< <(printf '%s\n' "${password}")
        passwords=(--pwfile="/dev/fd/${pipe}")
    fi
    initdb --username="${user}" "${passwords[@]}" --encoding=UTF8 --auth-local=trust --auth-host=scram-sha-256 "${options[@]}"
    printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"${PGDATA}/pg_hba.conf"

    export PGHOST=/var/run/postgresql
    local -a psql=(psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${user}")
    pg_ctl --wait --silent start --options="-c listen_addresses='' -c unix_socket_directories=/var/run/postgresql"
    if [[ ${database} != postgres ]]; then
        "${psql[@]}" --dbname postgres --set name="${database}" <<<'CREATE DATABASE :"name";'
    fi
    shopt -s nullglob
    run_scripts
    pg_ctl --wait --silent --mode=fast stop
    unset PGHOST
}

if [[ ${1:-} == -* ]]; then
    set -- postgres "$@"
fi
if [[ ${1:-} == postgres ]]; then
    if [[ $(id -u) == 0 ]]; then
        echo "error: this image does not run as root: set runAsUser (999 is the image's own)" >&2
        exit 1
    fi
    know_user
    umask 0077
    mkdir -p "${PGDATA}"
    chmod 0700 "${PGDATA}" 2>/dev/null || true
    if [[ ! -s ${PGDATA}/PG_VERSION ]]; then
        make_cluster
    fi
    set -- "$1" -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql "${@:2}"
fi
exec "$@"
