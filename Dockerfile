# segmon in a container: every process of it is this image with another command. Runs as nobody in particular (10001), on
# a root that may be read-only; writes only where a volume is mounted, and to /tmp.

FROM python:3.11.14-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/segmon
# The lock first: this layer is made anew only when a dependency changes. pip refuses what has not the hash of the lock,
# and what has no wheel (nothing is compiled here).
COPY requirements/run.txt requirements/run.txt
RUN /opt/segmon/bin/pip install --require-hashes --only-binary :all: -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY models models
COPY monitor monitor
COPY streams streams
COPY dashboards dashboards
RUN /opt/segmon/bin/pip install --no-deps --no-index --no-build-isolation . \
    && /opt/segmon/bin/python -m compileall -q -j 0 /opt/segmon/lib

FROM python:3.11.14-slim-bookworm
LABEL org.opencontainers.image.title="segmon" \
      org.opencontainers.image.description="Microsegmentation compliance monitor for Kubernetes clusters that run Calico" \
      org.opencontainers.image.licenses="Apache-2.0"
# The folders that volumes are mounted on belong to the user: a new named volume takes that over.
RUN groupadd --gid 10001 segmon \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin segmon \
    && install -d -o 10001 -g 10001 /demo /reports /var/lib/segmon
COPY --from=build /opt/segmon /opt/segmon
ENV PATH=/opt/segmon/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /tmp
EXPOSE 9464 9465
ENTRYPOINT ["segmon"]
CMD ["--help"]
