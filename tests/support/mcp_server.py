"""An MCP server for tests, made with the official package: `python -m tests.support.mcp_server [port]`.

Without a port it speaks over its standard input and output.
"""

import asyncio
import os
import sys
from pathlib import Path

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

server = MCPServer("for-tests")


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def fail(text: str) -> str:
    """Fail."""
    raise ToolError(text)


@server.tool()
def flood(chars: int) -> str:
    """Say very much."""
    return "x" * chars


@server.tool()
def token() -> str:
    """Say what the environment holds."""
    return os.environ.get("TEST_TOKEN", "none") + " " + os.environ.get("AGIO_OPENAI_API_KEY", "none")


@server.tool()
async def hang(started: str) -> str:
    """Write this process's id to a file and never answer."""
    Path(started + ".part").write_text(str(os.getpid()))  # noqa: ASYNC240 - nobody else is served meanwhile
    os.rename(started + ".part", started)
    await asyncio.sleep(3600)
    return "never"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run("stdio")
