"""An agent in a script: no server, no key, nothing to set up.

    python examples/quickstart.py

Without a key Agio's offline demo model answers; with AGIO_OPENAI_API_KEY or another vendor's key a real one does.
"""

from agio import Agent, tool


@tool
def count_words(text: str) -> int:
    """Count the words of a text.

    Args:
        text: The text.
    """
    return len(text.split())


def main() -> None:
    """Ask one question and show what the answer took."""
    agent = Agent("Helper", tools=["calculator", count_words], system_prompt="Answer in one sentence.")
    result = agent.run("What is 6 * 7?")
    print(result)
    print(f"{result.steps} steps, {result.metrics.total_tokens} tokens, {result.metrics.duration_ms} ms")


if __name__ == "__main__":
    main()
