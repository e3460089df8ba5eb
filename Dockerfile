# The operator's image. `docker build .`, or with another base that has python3 (3.11 or later): `--build-arg BASE=...`.
#
# A package index or certificate authority of your own comes as secrets, which leave no trace in the image:
#   --secret id=build-env,src=FILE (lines `export UV_DEFAULT_INDEX=...`, `export SSL_CERT_FILE=/run/secrets/ca-bundle`) --secret id=ca-bundle,src=FILE
ARG BASE=docker.io/library/python:3.13-slim

FROM ${BASE} AS dependencies
ENV UV_PROJECT_ENVIRONMENT=/opt/airflow-operator \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PYTHON_DOWNLOADS=never \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN --mount=type=secret,id=build-env --mount=type=secret,id=ca-bundle \
    if [ -f /run/secrets/build-env ]; then . /run/secrets/build-env; fi \
    && python3 -m venv /opt/uv && /opt/uv/bin/pip install --quiet uv==0.13.9
COPY pyproject.toml uv.lock ./
RUN --mount=type=secret,id=build-env --mount=type=secret,id=ca-bundle \
    if [ -f /run/secrets/build-env ]; then . /run/secrets/build-env; fi \
    && /opt/uv/bin/uv sync --frozen --no-dev --no-install-project --python "$(command -v python3)"

FROM dependencies AS project
COPY README.md LICENSE ./
COPY operator operator
RUN --mount=type=secret,id=build-env --mount=type=secret,id=ca-bundle \
    if [ -f /run/secrets/build-env ]; then . /run/secrets/build-env; fi \
    && /opt/uv/bin/uv pip install --no-deps --python /opt/airflow-operator --target /opt/airflow-operator-source .

FROM ${BASE}
RUN groupadd --gid 65532 airflow-operator \
    && useradd --uid 65532 --gid 65532 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin airflow-operator
# The dependencies change less often than the source: a layer of their own.
COPY --from=dependencies /opt/airflow-operator /opt/airflow-operator
COPY --from=project /opt/airflow-operator-source /opt/airflow-operator-source
ENV PATH=/opt/airflow-operator/bin:/opt/airflow-operator-source/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONPATH=/opt/airflow-operator-source \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /tmp
USER 65532:65532
ENTRYPOINT ["python", "-m", "airflow_operator"]
CMD ["run"]
