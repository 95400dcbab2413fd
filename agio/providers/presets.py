"""Presets: what is known about each vendor's OpenAI-compatible endpoint, as data.

Every quirk says where it is known from. A quirk that is missing here costs a field that the
endpoint ignores or rejects, never a wrong answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """How an endpoint departs from what most of them take."""

    stream_usage: bool = True
    """Takes `stream_options: {"include_usage": true}`; without it, usage comes unasked or never."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    tool_choice: bool = True
    """Obeys `tool_choice: "none"`; otherwise the tools are left out of such a request."""
    reasoning_field: str | None = None
    """Field of an assistant message in which its reasoning must be sent back; None: is not sent.

    What a stream calls its reasoning needs no quirk: `reasoning_content` and `reasoning` are both
    read everywhere.
    """
    tool_call_extra: Mapping[str, Any] | None = None
    """Fields that every tool call of the history must carry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A vendor's endpoint."""

    name: str
    aliases: tuple[str, ...] = ()
    base_url: str | None
    """None: it differs per installation, one of `base_url_names` must be set."""
    base_url_names: tuple[str, ...] = ()
    """Environment variables that give or override it, first found wins."""
    base_url_suffix: str = ""
    """Appended to an override that lacks it."""
    key_names: tuple[str, ...] = ()
    """Environment variables that hold the key, first found wins."""
    needs_key: bool = True
    default_model: str | None = None
    model_prefixes: tuple[str, ...] = ()
    """A model whose bare name starts with one of these is this vendor's."""
    context_windows: tuple[tuple[str, int], ...] = ()
    """Tokens by model name prefix, longest prefix first; hints only, they age."""
    quirks: Quirks = field(default=Quirks())

    def context_window(self, model: str) -> int | None:
        """Return how many tokens the model takes, None when not known."""
        return next((size for prefix, size in self.context_windows if model.startswith(prefix)), None)


_ALL = (
    Preset(
        name="openai",
        base_url="https://api.openai.com/v1",
        base_url_names=("AGIO_OPENAI_BASE_URL", "OPENAI_BASE_URL"),
        key_names=("AGIO_OPENAI_API_KEY", "OPENAI_API_KEY"),
        # developers.openai.com/docs/models: the choice for low cost and latency.
        default_model="gpt-5.4-mini",
        model_prefixes=("gpt-", "chatgpt-", "o1", "o3", "o4"),
        context_windows=(
            ("gpt-5.4-mini", 400_000),
            ("gpt-5.5", 1_000_000),
            ("gpt-5.4", 1_000_000),
            ("gpt-5", 400_000),
            ("gpt-4.1", 1_047_576),
            ("gpt-4o", 128_000),
            ("o3", 200_000),
            ("o4", 200_000),
        ),
        # API reference, chat/create: `max_tokens` is deprecated and refused by reasoning models.
        quirks=Quirks(max_tokens_field="max_completion_tokens"),
    ),
    Preset(
        name="anthropic",
        # platform.claude.com/docs/en/api/openai-sdk: base URL, supported fields (stream_options and
        # max_tokens are), reasoning is not returned.
        base_url="https://api.anthropic.com/v1",
        base_url_names=("AGIO_ANTHROPIC_BASE_URL",),
        key_names=("AGIO_ANTHROPIC_API_KEY", "ANTHROPIC_API_KEY"),
        default_model="claude-sonnet-4-6",
        model_prefixes=("claude",),
        context_windows=(("claude", 200_000),),
    ),
    Preset(
        name="gemini",
        aliases=("google",),
        # ai.google.dev/gemini-api/docs/openai
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        base_url_names=("AGIO_GEMINI_BASE_URL",),
        # Google's own SDK prefers GOOGLE_API_KEY when both are set.
        key_names=("AGIO_GEMINI_API_KEY", "GOOGLE_API_KEY", "GEMINI_API_KEY"),
        default_model="gemini-flash-latest",
        model_prefixes=("gemini", "gemma"),
        context_windows=(("gemini", 1_048_576),),
        quirks=Quirks(
            # Gemini 3 answers 400 to a history whose tool calls carry no thought signature. Ours
            # does not keep them; ai.google.dev/gemini-api/docs/thought-signatures names this
            # stand-in for histories without (vercel/ai#15560 does the same).
            tool_call_extra={
                "extra_content": {
                    "google": {"thought_signature": "skip_thought_signature_validator"},
                }
            },
        ),
    ),
    Preset(
        name="mistral",
        base_url="https://api.mistral.ai/v1",
        base_url_names=("AGIO_MISTRAL_BASE_URL",),
        key_names=("AGIO_MISTRAL_API_KEY", "MISTRAL_API_KEY"),
        default_model="mistral-medium-latest",
        model_prefixes=("mistral", "ministral", "magistral", "codestral", "devstral", "pixtral", "open-mistral"),
        context_windows=(("mistral", 128_000), ("magistral", 128_000)),
        # 422 "extra_forbidden" for stream_options (openai-agents-python#442, BerriAI/litellm#8978)
        # and for max_completion_tokens (editor-code-assistant/eca#231); usage comes unasked.
        quirks=Quirks(stream_usage=False),
    ),
    Preset(
        name="groq",
        base_url="https://api.groq.com/openai/v1",
        base_url_names=("AGIO_GROQ_BASE_URL",),
        key_names=("AGIO_GROQ_API_KEY", "GROQ_API_KEY"),
        default_model="openai/gpt-oss-120b",
        context_windows=(("openai/gpt-oss", 131_072), ("llama-3", 131_072)),
        # console.groq.com/docs/api-reference: max_tokens is deprecated for max_completion_tokens.
        quirks=Quirks(max_tokens_field="max_completion_tokens"),
    ),
    Preset(
        name="deepseek",
        base_url="https://api.deepseek.com/v1",
        base_url_names=("AGIO_DEEPSEEK_BASE_URL",),
        key_names=("AGIO_DEEPSEEK_API_KEY", "DEEPSEEK_API_KEY"),
        default_model="deepseek-v4-flash",
        model_prefixes=("deepseek",),
        context_windows=(("deepseek-v4", 1_000_000),),
        # api-docs.deepseek.com/guides/thinking_mode: 400 "The reasoning_content in the thinking
        # mode must be passed back to the API" for tool rounds without it.
        quirks=Quirks(reasoning_field="reasoning_content"),
    ),
    Preset(
        name="openrouter",
        # openrouter.ai/docs/api/reference/streaming: comments while it waits, errors inside a 200
        # stream with numeric codes, `usage.cost` in the last chunk.
        base_url="https://openrouter.ai/api/v1",
        base_url_names=("AGIO_OPENROUTER_BASE_URL",),
        key_names=("AGIO_OPENROUTER_API_KEY", "OPENROUTER_API_KEY"),
        default_model="openrouter/auto",
    ),
    Preset(
        name="ollama",
        # docs.ollama.com/api/openai-compatibility: the key is ignored.
        base_url="http://localhost:11434/v1",
        base_url_names=("AGIO_OLLAMA_BASE_URL", "OLLAMA_BASE_URL"),
        base_url_suffix="/v1",
        key_names=("AGIO_OLLAMA_API_KEY", "OLLAMA_API_KEY"),
        needs_key=False,
        default_model="gpt-oss:20b",
        # Takes tool_choice without obeying it: "none" did not prevent a call (ollama-python#671).
        quirks=Quirks(tool_choice=False),
    ),
    Preset(
        name="databricks",
        # docs.databricks.com, "Use foundation models": one host per workspace.
        base_url=None,
        base_url_names=("AGIO_DATABRICKS_BASE_URL", "DATABRICKS_HOST"),
        base_url_suffix="/serving-endpoints",
        key_names=("AGIO_DATABRICKS_API_KEY", "DATABRICKS_TOKEN"),
        default_model="databricks-meta-llama-3-3-70b-instruct",
        model_prefixes=("databricks-",),
        context_windows=(("databricks-meta-llama-3", 128_000),),
        # 400 `json: unknown field "stream_options"` (continuedev/continue#12936).
        quirks=Quirks(stream_usage=False),
    ),
    Preset(
        name="vllm",
        # No default: vLLM's own port 8000 is Agio's too.
        base_url=None,
        base_url_names=("AGIO_VLLM_BASE_URL", "VLLM_BASE_URL"),
        base_url_suffix="/v1",
        key_names=("AGIO_VLLM_API_KEY", "VLLM_API_KEY"),
        needs_key=False,
    ),
)

PRESETS: dict[str, Preset] = {preset.name: preset for preset in _ALL}
"""All presets by name."""

_BY_ANY_NAME = PRESETS | {alias: preset for preset in _ALL for alias in preset.aliases}


def find_preset(name: str) -> Preset | None:
    """Return the preset of that name or alias, in any case; None when there is none."""
    return _BY_ANY_NAME.get(name.strip().lower())


def detect_preset(model: str) -> tuple[Preset, str] | None:
    """Return whose model it is and its name there, None when that cannot be told.

    `openai/gpt-4o` and bare `gpt-4o` both give OpenAI and `gpt-4o`.
    """
    vendor, slash, rest = model.partition("/")
    if slash and rest and (preset := find_preset(vendor)):
        # OpenRouter names its own router `openrouter/auto`.
        return preset, model if preset.name == "openrouter" and "/" not in rest else rest
    bare = model.lower()
    for preset in _ALL:
        if bare.startswith(preset.model_prefixes):
            return preset, model
    return None


def is_openai(base_url: str) -> bool:
    """Say whether the endpoint is OpenAI's own, or Azure's of it."""
    host = urlsplit(base_url).hostname or ""
    return host == "openai.com" or host.endswith((".openai.com", ".openai.azure.com"))
