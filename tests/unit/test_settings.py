"""Settings: where they come from, which wins, and what stops a start."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from agio.domain.errors import Invalid
from agio.providers.presets import PRESETS
from agio.settings import NamedKey, Variables, find_origins, load_settings
from agio.settings.layers import PROVIDERS

LONG = "0123456789abcdef0123456789abcdef"
NAMED = NamedKey(key=SecretStr("k"), name="n", group="g")
SECRET = "s3cret-value-that-nobody-may-see"


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without a `.env`."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.contract("A9")
def test_without_anything_a_local_server_on_a_file_in_the_users_data_folder(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_DATA_HOME", str(empty_folder))
    settings = load_settings()
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8000, 1)
    assert settings.store_url.startswith("sqlite:///")
    assert settings.store_url.endswith("agio/agio.db")
    assert settings.accepts_anyone


@pytest.mark.contract("A48", "A49", "P50", "P51", "P52", "P53", "S80")
@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("AIPARTNERUPFLOW_HOST", "0.0.0.0", "host", "0.0.0.0"),
        ("AIPARTNERUPFLOW_API_HOST", "0.0.0.0", "host", "0.0.0.0"),
        ("AIPARTNERUPFLOW_PORT", "81", "port", 81),
        ("AIPARTNERUPFLOW_API_PORT", "81", "port", 81),
        ("AIPARTNERUPFLOW_DATABASE_URL", "sqlite:///x.db", "store_url", "sqlite:///x.db"),
        ("AIPARTNERUPFLOW_JWT_SECRET", LONG, "jwt_secret", SecretStr(LONG)),
        ("AIPARTNERUPFLOW_JWT_SECRET_KEY", LONG, "jwt_secret", SecretStr(LONG)),
        ("FIREFLY_GENAI_AUTH_API_KEYS", '["a", "b"]', "api_keys", (SecretStr("a"), SecretStr("b"))),
        ("FIREFLY_GENAI_AUTH_BEARER_TOKENS", '["a"]', "bearer_tokens", (SecretStr("a"),)),
        ("API_KEY", "one", "api_key", SecretStr("one")),
        ("OPENAI_API_KEY", "sk-1", "openai_api_key", SecretStr("sk-1")),
        ("SERPER_API_KEY", "k", "serper_api_key", SecretStr("k")),
        ("DOCS_ENABLED", "false", "docs_enabled", False),
        ("AGIO_MONGO_URI", "mongodb://localhost:27017", "store_url", "mongodb://localhost:27017"),
        ("AGIO_CORS_ORIGINS", '["https://a.example"]', "cors_origins", ("https://a.example",)),
        ("AGIO_CORS_ORIGINS", "https://a.example, https://b.example", "cors_origins", ("https://a.example", "https://b.example")),
        ("AGIO_EXAMPLES", "off", "examples", False),
        ("AGIO_TRUST_PROXY", "true", "trust_proxy", True),
        ("AGIO_TRUST_PROXY", "10.0.0.0/8, ::1", "trust_proxy", ("10.0.0.0/8", "::1")),
        ("AGIO_API_KEYS", '[{"key": "k", "name": "n", "group": "g"}]', "api_keys", (NAMED,)),
        ("AGIO_LOG_LEVEL", "debug", "log_level", "DEBUG"),
        ("AGIO_MAX_RUNS_PER_GROUP", "1", "max_runs_per_group", 1),
        ("AGIO_COMPACT_AFTER", "1.5h", "compact_after", timedelta(minutes=90)),
        ("AGIO_RETAIN_FAILED", "2 w", "retain_failed", timedelta(days=14)),
        ("AGIO_RETAIN_COMPLETED", "60", "retain_completed", timedelta(minutes=1)),
    ],
)  # fmt: skip
def test_variable_is_read(variable: str, text: str, field: str, value: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(variable, text)
    assert getattr(load_settings(), field) == value


def test_agios_own_name_wins_over_a_neighbours(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AIPARTNERUPFLOW_PORT", "1")
    monkeypatch.setenv("AGIO_PORT", "2")
    assert load_settings().port == 2


def test_blank_value_counts_as_not_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AGIO_OPENAI_API_KEY", "  ")
    monkeypatch.setenv("AGIO_PORT", "")
    monkeypatch.setenv("AIPARTNERUPFLOW_PORT", "2")
    assert load_settings().openai_api_key is None
    assert load_settings().port == 2


def test_argument_then_environment_then_env_file_then_config_file_then_default(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    config = write(empty_folder / "c.yaml", "server: {host: from-file, port: 1, workers: 2, log_level: debug}")
    write(empty_folder / ".env", "AGIO_PORT=3\nAGIO_WORKERS=3\nAGIO_HOST=from-dotenv\nUNRELATED=1\n")
    monkeypatch.setenv("AIPARTNERUPFLOW_HOST", "from-environment")
    monkeypatch.setenv("AGIO_WORKERS", "4")
    settings = load_settings(config_file=config, workers=5, port=None)
    assert (settings.workers, settings.host, settings.port, settings.log_level) == (5, "from-environment", 3, "DEBUG")
    assert settings.drain_s == 30
    layers = {field: given.layer for field, given in find_origins(config_file=config, workers=5).items()}
    assert layers == {
        "config_file": "argument",
        "workers": "argument",
        "host": "environment",
        "port": ".env",
        "log_level": "config file",
    }


def test_unknown_name_stops_the_start_with_a_guess(empty_folder: Path, monkeypatch: pytest.MonkeyPatch):
    write(empty_folder / ".env", "AGIO_PROT=1\n")
    with pytest.raises(Invalid, match=r"AGIO_PROT \(in .env\) is not a setting of Agio; did you mean AGIO_PORT"):
        load_settings()
    with pytest.raises(Invalid, match="prot: "):
        load_settings(env_file=None, prot=1)
    monkeypatch.setenv("AGIO_LEASE", "1")
    with pytest.raises(Invalid, match="did you mean AGIO_LEASE_S"):
        load_settings(env_file=None)


def test_names_that_others_read_are_no_mistake(monkeypatch: pytest.MonkeyPatch):
    for preset in PRESETS.values():
        for name in (*preset.key_names, *preset.base_url_names):
            monkeypatch.setenv(name, "https://example.invalid")
    for name in ("AGIO_CRASH_AT", "AGIO_REQUIRE_MONGO", "AGIO_URL"):
        monkeypatch.setenv(name, "1")
    assert load_settings().openai_base_url == "https://example.invalid"
    assert {"openai", *PROVIDERS} == PRESETS.keys()


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("AGIO_PORT", "many", "AGIO_PORT: .*integer"),
        ("AIPARTNERUPFLOW_PORT", "70000", "AIPARTNERUPFLOW_PORT: .*65535"),
        ("AGIO_API_KEYS", SECRET, "AGIO_API_KEYS: must be JSON"),
        ("AGIO_API_KEYS", '[""]', "AGIO_API_KEYS.0: .*at least 1"),
        ("FIREFLY_GENAI_AUTH_API_KEYS", "[not json", "FIREFLY_GENAI_AUTH_API_KEYS: must be JSON"),
        ("AGIO_USERS", '{"ann": {"password": "x"}}', "AGIO_USERS.ann.password_hash: field required"),
        ("AGIO_USERS", '{"ann": {"password_hash": "x"}}', "AGIO_USERS.ann.password_hash: must be an argon2 hash"),
        ("AGIO_USERS", '{"ann": {"password_hash": "$argon2id$x"}}', "set AGIO_JWT_SECRET too"),
        ("AGIO_JWT_SECRET", "your-secret-key", "AGIO_JWT_SECRET: must have at least 32 bytes"),
        ("AGIO_PROXY_AUTH", "true", "name its address in AGIO_TRUST_PROXY"),
        ("AGIO_TRUST_PROXY", "nginx", "AGIO_TRUST_PROXY: must be true, false, or addresses"),
        ("AGIO_API_KEYS", '[{"key": "k", "name": "n", "role": "king"}]', "AGIO_API_KEYS.0.NamedKey.role"),
        ("AGIO_ON_RESTART", "restart", "AGIO_ON_RESTART: .*resume"),
        ("AGIO_RATE_LIMIT", "100 per minute", "AGIO_RATE_LIMIT: must be <count>/<seconds>"),
        ("AGIO_LEASE_S", "0", "AGIO_LEASE_S: .*greater than 0"),
        ("AGIO_RETAIN_FAILED", "30 days", "AGIO_RETAIN_FAILED: must be a number with s, m, h, d or w"),
        ("AGIO_COMPACT_AFTER", "0s", "AGIO_COMPACT_AFTER: .*greater than 0"),
        ("AGIO_AUTH_ENABLED", "true", "auth is enabled, but nothing says how"),
        ("AGIO_MONGO_URI", "localhost:27017", "AGIO_MONGO_URI: must start with mongodb://"),
        ("AGIO_DATABASE_URL", "postgresql://u:p@h/db", "'postgresql' is no kind .* sqlite:///.* mongodb://"),
        ("AIPARTNERUPFLOW_DATABASE_URL", "mysql://h/db", "AIPARTNERUPFLOW_DATABASE_URL: 'mysql' is no kind"),
        ("AGIO_DATABASE_URL", "sqlite://", "must name a file"),
        ("AGIO_DATABASE_URL", "sqlite:///:memory:", "must name a file"),
        ("AGIO_DATABASE_URL", "agio.db", "no URL"),
    ],
)
def test_bad_value_stops_the_start_and_names_the_variable(
    variable: str, text: str, message: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(variable, text)
    with pytest.raises(Invalid, match=message) as raised:
        load_settings()
    assert SECRET not in str(raised.value)


def test_two_different_stores_are_refused_and_the_same_one_twice_is_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AGIO_MONGO_URI", "mongodb://a/agio")
    monkeypatch.setenv("AGIO_DATABASE_URL", "sqlite:///x.db")
    with pytest.raises(Invalid, match="AGIO_DATABASE_URL and AGIO_MONGO_URI name two different stores"):
        load_settings()
    monkeypatch.setenv("AGIO_DATABASE_URL", "mongodb://a/agio")
    assert load_settings().store_url == "mongodb://a/agio"


def test_store_of_a_stronger_layer_replaces_both_names_of_weaker_ones(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    write(empty_folder / ".env", "AGIO_DATABASE_URL=sqlite:///x.db\n")
    monkeypatch.setenv("AGIO_MONGO_URI", "mongodb://a/agio")
    assert load_settings().store_url == "mongodb://a/agio"
    assert load_settings(database_url="sqlite:///y.db").store_url == "sqlite:///y.db"


def test_neighbours_name_for_the_store_gives_way(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AIPARTNERUPFLOW_DATABASE_URL", "postgresql://h/db")
    monkeypatch.setenv("AGIO_MONGO_URI", "mongodb://a/agio")
    assert load_settings().store_url == "mongodb://a/agio"


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch):
    for name in ("AGIO_OPENAI_API_KEY", "AGIO_JWT_SECRET", "AGIO_SECRET_KEY", "AGIO_SERPER_API_KEY", "API_KEY"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("AGIO_API_KEYS", f'["{SECRET}"]')
    monkeypatch.setenv("AGIO_USERS", f'{{"ann": {{"password_hash": "$argon2id${SECRET}"}}}}')
    monkeypatch.setenv("AGIO_MONGO_URI", f"mongodb://ann:{SECRET}@host/agio")
    settings = load_settings()
    assert SECRET not in f"{settings!r} {settings} {settings.users!r} {Variables()!r}"
    assert not settings.accepts_anyone
    assert load_settings(auth_enabled=False).accepts_anyone


def test_settings_never_change():
    with pytest.raises(ValidationError):
        load_settings().port = 1


@pytest.mark.contract("P54", "P55", "P56")
def test_config_file_by_sections_and_at_the_top(empty_folder: Path):
    config = write(
        empty_folder / "config.yaml",
        "server:\n  host: 0.0.0.0\n  port: 8080\n  workers: 4\n"
        "database:\n  url: sqlite:///x.db\n"
        f"auth:\n  enabled: true\n  jwt_secret: {LONG}\n"
        "runs:\nlog_format: json\nmodels: {default_model: }\n",
    )
    settings = load_settings(config_file=config)
    assert (settings.host, settings.port, settings.workers) == ("0.0.0.0", 8080, 4)
    assert settings.store_url == "sqlite:///x.db"
    assert (settings.auth_enabled, settings.jwt_secret) == (True, SecretStr(LONG))
    assert (settings.log_format, settings.default_model) == ("json", None)


def test_config_file_may_be_named_by_a_variable(empty_folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AGIO_CONFIG_FILE", str(write(empty_folder / "c.yaml", "port: 5")))
    assert load_settings().port == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("server: {prot: 1}", "server.prot in .* is not a setting of Agio; did you mean port"),
        ("server: {port: 1}\nport: 2", "sets port twice, as server.port and as port"),
        ("server: 1", "server in .* must be a mapping"),
        ("- 1", "must be a mapping"),
        ("a: b: c", "is not YAML at line 1"),
        ("auth: {enabled: true}", "auth is enabled, but nothing says how"),
        ("server: {port: high}", "server.port: .*integer"),
        ("config_file: other.yaml", "config_file in .* is not a setting"),
    ],
)
def test_bad_config_file_stops_the_start(text: str, message: str, empty_folder: Path):
    with pytest.raises(Invalid, match=message):
        load_settings(config_file=write(empty_folder / "c.yaml", text))


def test_missing_config_file_stops_the_start():
    with pytest.raises(Invalid, match=r"nowhere\.yaml cannot be read"):
        load_settings(config_file="nowhere.yaml")


def test_variables_are_the_environment_over_the_env_file(empty_folder: Path, monkeypatch: pytest.MonkeyPatch):
    write(empty_folder / ".env", "MISTRAL_API_KEY=file\nGROQ_API_KEY=file\nEMPTY=\n")
    monkeypatch.setenv("MISTRAL_API_KEY", "environment")
    monkeypatch.setenv("GROQ_API_KEY", "")
    variables = Variables()
    assert (variables["MISTRAL_API_KEY"], variables["GROQ_API_KEY"]) == ("environment", "file")
    monkeypatch.setenv("MISTRAL_API_KEY", "changed")
    assert variables["MISTRAL_API_KEY"] == "changed"
    assert "EMPTY" not in variables
    assert "GROQ_API_KEY" in set(variables)
