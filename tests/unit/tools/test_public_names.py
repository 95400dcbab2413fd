import agio.tools
import agio.tools.builtin


def test_public_names_are_these():
    assert sorted(agio.tools.__all__, key=str.lower) == [
        "AddressPolicy",
        "CONFIGURATION_SCHEMAS",
        "decode_arguments",
        "execute",
        "FunctionTool",
        "GuardedClient",
        "http_tool_maker",
        "NetworkPolicy",
        "Tool",
        "tool",
        "Toolbox",
        "ToolContext",
        "ToolRegistry",
        "validate_configuration",
    ]
    assert sorted(agio.tools.builtin.__all__, key=str.lower) == [
        "builtin_tools",
        "BuiltinToolSettings",
        "calculator",
        "send_message",
        "WebSearchTool",
    ]


def test_public_names_are_there():
    for package in (agio.tools, agio.tools.builtin):
        assert [name for name in package.__all__ if not hasattr(package, name)] == []
