# One file, two images: `worker` (the default) sends mails; `dev` has the simulator, rq-dashboard and the example, too.
FROM python:3.13-slim AS build
WORKDIR /src
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY pyproject.toml README.md LICENSE ./
COPY producer producer
COPY worker worker
RUN python -m venv /opt/rq-ses && /opt/rq-ses/bin/pip install '.[fast,feedback,smtp,worker]'

FROM build AS build-dev
# rq-dashboard imports six and doesn't ask for it.
# opentelemetry-distro and the exporter are for compose/tracing.yaml.
RUN /opt/rq-ses/bin/pip install '.[all,flask,otel]' 'gunicorn>=23' 'rq-dashboard==0.9.0' 'six>=1.16' \
    'opentelemetry-distro>=0.51b0' 'opentelemetry-exporter-otlp-proto-http>=1.30'

FROM python:3.13-slim AS runtime
LABEL org.opencontainers.image.title="rq-ses" \
      org.opencontainers.image.description="A durable e-mail send queue: Redis and RQ in front, Amazon SES v2 behind" \
      org.opencontainers.image.licenses="MIT"
# Threads share two heaps of the C library; with one for each their rests add up.
ENV PATH=/opt/rq-ses/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MALLOC_ARENA_MAX=2
WORKDIR /app
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["rq-ses"]
CMD ["worker"]

FROM runtime AS dev
COPY --from=build-dev /opt/rq-ses /opt/rq-ses
COPY examples /app/examples

FROM runtime AS worker
COPY --from=build /opt/rq-ses /opt/rq-ses
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["rq-ses", "health"]
