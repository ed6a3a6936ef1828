# Three images from one file:
#   docker build --target registrar -t seedkeep-registrar .
#   docker build --target node      -t seedkeep-node .
#   docker build --target tracker   -t seedkeep-tracker .

# --- build: every package verified against requirements.lock; only these are installed later ---
FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements.lock ./
RUN python -m venv /build \
 && /build/bin/pip wheel --require-hashes --wheel-dir /wheels -r requirements.lock \
 && /build/bin/pip install --no-index --find-links /wheels hatchling
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY node node
COPY registrar registrar
RUN /build/bin/pip wheel --no-build-isolation --no-deps --wheel-dir /wheels . \
 && python -m venv /opt/seedkeep \
 && /opt/seedkeep/bin/pip install --no-index --find-links /wheels "seedkeep[postgresql]" \
 && /opt/seedkeep/bin/pip uninstall -y pip setuptools

# --- what both services need ---
FROM python:3.11-slim-bookworm AS base
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin seedkeep \
 && install -d -m 0700 -o seedkeep -g seedkeep /data
COPY --from=build /opt/seedkeep /opt/seedkeep
ENV PATH=/opt/seedkeep/bin:$PATH PYTHONUNBUFFERED=1 HOME=/data
USER seedkeep
WORKDIR /data
VOLUME /data
STOPSIGNAL SIGTERM

# --- a storage manager ---
FROM base AS node
ENV SEEDKEEP_NODE_DATA=/data/node SEEDKEEP_NODE_PORT=6891 SEEDKEEP_NODE_ZEROCONF=false
EXPOSE 6891/tcp
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["seedkeep", "node", "status", "--json"]
ENTRYPOINT ["seedkeep"]
CMD ["node", "up"]

# --- a tracker for many peers; Debian's opentracker serves only what its whitelist names ---
FROM debian:bookworm-slim AS tracker
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends opentracker curl jq \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10002 --home-dir /run/opentracker --shell /usr/sbin/nologin opentracker \
 && install -d -m 0755 -o opentracker -g opentracker /run/opentracker
COPY configs/opentracker.sh /usr/local/bin/seedkeep-opentracker
USER opentracker
WORKDIR /run/opentracker
EXPOSE 6969/tcp 6969/udp
HEALTHCHECK --interval=30s --timeout=5s CMD ["curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:6969/scrape"]
ENTRYPOINT ["sh", "/usr/local/bin/seedkeep-opentracker"]

# --- a registrar; the default target ---
FROM base AS registrar
ENV SEEDKEEP_REGISTRAR_DATA=/data/registrar SEEDKEEP_REGISTRAR_LISTEN=0.0.0.0:8440 SEEDKEEP_REGISTRAR_ZEROCONF=false
EXPOSE 8440/tcp
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python", "-c", \
    "import urllib.request as u; u.urlopen('http://127.0.0.1:8440/.well-known/seedkeep', timeout=4).read()"]
ENTRYPOINT ["seedkeep"]
CMD ["registrar", "up"]
