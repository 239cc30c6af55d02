# Airflow with this project's DAG, operators and commands, and nothing for GPUs: api-server, scheduler, dag-processor,
# triggerer and workers run from it, and so do the pods of stages that ask no model.
#   docker build -f docker/airflow.Dockerfile -t megascience/airflow:3.3.2 .
ARG BASE=python:3.11.14-slim-bookworm

# What we depend on changes rarely and weighs most, so it is a layer of its own.
FROM ${BASE} AS dependencies
WORKDIR /src
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY pyproject.toml constraints.txt ./
COPY megascience_ops/__init__.py megascience_ops/
RUN mkdir prompts \
    && pip install -c constraints.txt '.[airflow,kubernetes,postgres,s3]' \
    && pip uninstall -y megascience-ops

FROM dependencies AS project
COPY megascience_ops megascience_ops
COPY prompts prompts
RUN pip wheel --no-deps --wheel-dir /wheels .

# The sample textbooks are built from their sources, so that a first run needs nothing else.
FROM dependencies AS samples
RUN pip install -c constraints.txt typst pypdfium2 pillow
COPY examples examples
RUN python examples/build.py

FROM ${BASE}
ENV PATH=/opt/venv/bin:$PATH AIRFLOW_HOME=/opt/airflow PYTHONUNBUFFERED=1 \
    AIRFLOW__CORE__LOAD_EXAMPLES=False AIRFLOW__USAGE_DATA_COLLECTION__ENABLED=False
# uid and group as in Airflow's own images, which is what its Helm chart expects
RUN useradd --uid 50000 --gid 0 --no-create-home --home-dir /opt/airflow airflow \
    && install -d -o 50000 -g 0 -m 775 /opt/airflow /opt/airflow/dags /opt/airflow/logs /opt/airflow/plugins
COPY --from=dependencies /opt/venv /opt/venv
COPY --from=samples /src/examples/textbooks /opt/megascience/textbooks
COPY examples/benchmarks /opt/megascience/benchmarks
# copied and not mounted: podman's cache takes no notice of what is mounted
COPY --from=project /wheels /wheels
RUN pip install --no-cache-dir --no-deps /wheels/*.whl
COPY plugins /opt/airflow/plugins
COPY dags /opt/airflow/dags
COPY docker/health.py docker/seed.py /opt/megascience/
USER 50000
WORKDIR /opt/airflow
# Which of Airflow's parts a container is, its command says; so health is asked by compose and the chart, not here.
CMD ["airflow", "version"]
