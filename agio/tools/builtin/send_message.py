"""The built-in tool `send_message`: needs a person's approval and does nothing, to try approvals with."""

from agio.tools.decorator import tool


@tool(requires_approval=True, idempotent=True, timeout_s=10.0)
async def send_message(to: str, text: str) -> str:
    """Send a message to somebody; a person approves it first. This demonstration records it only.

    Args:
        to: Who gets it.
        text: What it says.
    """
    return f"The message to {to} was recorded ({len(text)} characters). It was not delivered: this is a demonstration."
