"""The application that the browser suite drives: Agio with tools that answer what a browser must not obey."""

from agio import create_app, tool

HOSTILE = (
    "<script>window.pwned = 1</script>"
    '<img src="https://elsewhere.invalid/x.png" onerror="window.pwned = 2">'
    '<svg onload="window.pwned = 3"><a href="javascript:window.pwned=4">x</a></svg>'
    '<iframe src="https://elsewhere.invalid/"></iframe>'
    "![pixel](https://elsewhere.invalid/p.png) [click](javascript:window.pwned=5)"
    '<style>body{display:none}</style><form action="https://elsewhere.invalid/"><input name="q"></form>'
)


@tool
def read_page() -> str:
    """Read a page whose author means harm."""
    return HOSTILE


app = create_app(tools=[read_page])
