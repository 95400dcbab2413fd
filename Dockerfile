FROM node:20-slim AS ui
WORKDIR /ui
COPY frontend/package.json frontend/package-lock.json frontend/.npmrc ./
RUN npm ci --no-audit --no-fund
COPY frontend/ ./
RUN npm run build

FROM python:3.11-slim AS wheel
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY scripts/hatch_build.py scripts/
COPY agio/ agio/
COPY --from=ui /ui/dist frontend/dist
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim
WORKDIR /app
COPY requirements.txt ./
RUN pip install --no-cache-dir -r requirements.txt
COPY --from=wheel /wheels /wheels
RUN pip install --no-cache-dir --no-deps /wheels/*.whl \
    && useradd --system --uid 10001 --no-create-home agio \
    && install -d -o agio /data
USER agio
VOLUME /data
# Seconds that streams have to end after SIGTERM; let the container have longer than this to stop.
ENV PYTHONUNBUFFERED=1 \
    AGIO_DATABASE_URL=sqlite:////data/agio.db \
    UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN=35 \
    UVICORN_TIMEOUT_WORKER_HEALTHCHECK=30
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/api/health', timeout=2)"]
# Does not start before AGIO_API_KEYS or another way to check callers is set, or AGIO_ALLOW_OPEN=true.
CMD ["uvicorn", "agio.api.app:app", "--host", "0.0.0.0", "--port", "8000", "--no-proxy-headers"]
