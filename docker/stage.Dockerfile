# What a GPU pod runs: this project's command beside vLLM, with faiss and sentence-transformers for the neighbours.
#   docker build -f docker/stage.Dockerfile -t megascience/stage:0.33.0 .
# vLLM keeps the environment it was released with. Ours lies above it: same Python, torch taken from below, all that
# we name ourselves in the versions of constraints.txt. To have no vLLM in it, where an endpoint answers:
#   docker build -f docker/stage.Dockerfile --build-arg BASE=python:3.11.14-slim-bookworm --build-arg EXTRAS=s3 \
#       --build-arg FAISS=faiss-cpu -t megascience/stage:cpu .
ARG BASE=vllm/vllm-openai:v0.33.0

FROM ${BASE} AS dependencies
ARG EXTRAS=s3,embeddings
ARG FAISS=faiss-gpu-cu12==1.14.1.post1
WORKDIR /src
RUN python3 -m venv --system-site-packages /opt/venv
ENV PATH=/opt/venv/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY pyproject.toml constraints.txt ./
COPY megascience_ops/__init__.py megascience_ops/
RUN mkdir prompts \
    && pip install -c constraints.txt ".[${EXTRAS}]" "${FAISS}" \
    && pip uninstall -y megascience-ops

FROM dependencies AS project
COPY megascience_ops megascience_ops
COPY prompts prompts
RUN pip wheel --no-deps --wheel-dir /wheels .

FROM ${BASE}
# the caches of models and compiled kernels go where the pod's volume is mounted
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 HOME=/home/megascience HF_HOME=/models/huggingface \
    VLLM_CACHE_ROOT=/models/vllm VLLM_NO_USAGE_STATS=1
RUN useradd --uid 10001 --user-group --create-home --home-dir /home/megascience megascience \
    && install -d -o 10001 -g 10001 /models
COPY --from=dependencies /opt/venv /opt/venv
# copied and not mounted: podman's cache takes no notice of what is mounted
COPY --from=project /wheels /wheels
RUN pip install --no-cache-dir --no-deps /wheels/*.whl
USER 10001
WORKDIR /home/megascience
# It does one stage and ends, and its exit code says how: there is no health to be asked for.
ENTRYPOINT []
CMD ["megascience", "stages"]
