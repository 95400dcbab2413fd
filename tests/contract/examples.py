"""The neighbours' own client examples, as their documents have them; only the host is put in (`at`)."""

HOST = "http://localhost:8000"


def at(example: str, url: str) -> str:
    """Return the example for a server at `url`."""
    assert HOST in example
    return example.replace(HOST, url)


K22_CURL_CHAT = r"""
curl -X POST http://localhost:8000/chat \
     -H "Content-Type: application/json" \
     -d '{"message": "What is machine learning?"}'
"""

K23_PYTHON_CHAT = """
import requests

response = requests.post(
    "http://localhost:8000/chat",
    json={"message": "What is machine learning?"}
)
result = response.json()
print(result["answer"])
"""

K39_CURL_STREAM = """
curl -N "http://localhost:8000/stream?message=Search%20for%20AI%20news"
"""

K40_PYTHON_STREAM = """
import requests
import json

response = requests.get(
    "http://localhost:8000/stream",
    params={"message": "Search for AI news"},
    stream=True
)

for line in response.iter_lines():
    if line:
        data = line.decode().removeprefix("data: ")
        event = json.loads(data)
        print(f"{event['type']}: {event['data']}")
"""

K41_BROWSER_STREAM = """
const eventSource = new EventSource(
    "http://localhost:8000/stream?message=" + encodeURIComponent("Hello!")
);

eventSource.onmessage = (event) => {
    const data = JSON.parse(event.data);
    console.log(data.type, data.data);

    if (data.type === "run_end") {
        eventSource.close();
    }
};
"""

K48_PYTHON_SESSION = """
import requests

SESSION_ID = "user-123"

# First message
r1 = requests.post(
    "http://localhost:8000/chat",
    json={"message": "What is Python?", "session_id": SESSION_ID}
)
print(r1.json()["answer"])

# Follow-up (agent remembers context)
r2 = requests.post(
    "http://localhost:8000/chat",
    json={"message": "What are its main features?", "session_id": SESSION_ID}
)
print(r2.json()["answer"])
"""
