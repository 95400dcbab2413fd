from agio.api.access import add_auth_middleware as add_auth_middleware
from agio.api.app import create_app as create_app
from agio.api.rate_limits import add_rate_limit_middleware as add_rate_limit_middleware
from agio.api.text_stream import sse_stream as sse_stream
from agio.bootstrap.agent import Agent as Agent
from agio.bootstrap.embedded import RunFailed as RunFailed
from agio.bootstrap.embedded import RunResult as RunResult
from agio.domain.errors import AgioError as AgioError
from agio.domain.errors import ToolError as ToolError
from agio.domain.parts import Part as Part
from agio.providers.model import OpenAIModel as OpenAIModel
from agio.providers.python import Rejected as Rejected
from agio.providers.python import Turn as Turn
from agio.security import LLMKeyConfigManager as LLMKeyConfigManager
from agio.security import RateLimiter as RateLimiter
from agio.settings import Settings as Settings
from agio.tools import ToolContext as ToolContext
from agio.tools import tool as tool
from agio.tools.builtin import WebSearchTool as WebSearchTool

__version__: str
__all__ = [
    "Agent",
    "AgioError",
    "LLMKeyConfigManager",
    "OpenAIModel",
    "Part",
    "RateLimiter",
    "Rejected",
    "RunFailed",
    "RunResult",
    "Settings",
    "ToolContext",
    "ToolError",
    "Turn",
    "WebSearchTool",
    "__version__",
    "add_auth_middleware",
    "add_rate_limit_middleware",
    "create_app",
    "sse_stream",
    "tool",
]
