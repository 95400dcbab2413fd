"""Tools that agents call: `@tool`, the registry, wrappers and the built-in ones."""

from agio.tools.addresses import AddressPolicy
from agio.tools.base import Tool, Toolbox, ToolContext
from agio.tools.decorator import FunctionTool, tool
from agio.tools.execution import decode_arguments, execute
from agio.tools.http_tool import CONFIGURATION_SCHEMAS, http_tool_maker, validate_configuration
from agio.tools.net import GuardedClient, NetworkPolicy
from agio.tools.registry import ToolRegistry

__all__ = [
    "CONFIGURATION_SCHEMAS",
    "AddressPolicy",
    "FunctionTool",
    "GuardedClient",
    "NetworkPolicy",
    "Tool",
    "ToolContext",
    "ToolRegistry",
    "Toolbox",
    "decode_arguments",
    "execute",
    "http_tool_maker",
    "tool",
    "validate_configuration",
]
