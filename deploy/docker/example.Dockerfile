# The variant of Kawai's document: uv, Python 3.12, and the agent of examples/serve_example.py.
#   docker build -f deploy/docker/example.Dockerfile -t agio-example .
#   docker run -p 8000:8000 -e OPENROUTER_API_KEY=… -e SERPER_API_KEY=… -e AGIO_API_KEYS='["…"]' agio-example
# aipartnerupflow's variant is the same with the server's own command: CMD ["agio", "serve", "--host", "0.0.0.0"].
FROM python:3.12-slim
COPY --from=ghcr.io/astral-sh/uv:latest /uv /bin/uv
WORKDIR /app
COPY requirements.txt pyproject.toml README.md LICENSE ./
COPY scripts/hatch_build.py scripts/
COPY agio/ agio/
COPY examples/ examples/
RUN uv venv && uv pip install -r requirements.txt && uv pip install --no-deps . \
    && useradd --system --uid 10001 --no-create-home agio && install -d -o agio /data
USER agio
VOLUME /data
ENV PATH=/app/.venv/bin:$PATH \
    AGIO_DATABASE_URL=sqlite:////data/agio.db \
    OPENROUTER_API_KEY="" \
    SERPER_API_KEY=""
EXPOSE 8000
CMD ["python", "-m", "examples.serve_example"]
