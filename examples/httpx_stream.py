"""Stream a chat with httpx alone. Needs a running server: `agio serve`, or AGIO_URL to name another."""

import json
import os

import httpx

URL = os.environ.get("AGIO_URL", "http://localhost:8000")

with httpx.stream("POST", f"{URL}/api/chat", json={"agent_id": "assistant", "message": "What is 6 * 7?"}) as response:
    for line in response.iter_lines():
        if line.startswith("data: ") and (event := json.loads(line[6:]))["type"] == "content_delta":
            print(event["content"], end="", flush=True)
print()
