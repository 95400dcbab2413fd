"""An agent with a tool of its own, served over HTTP with the UI and the API's description.

    python -m examples.serve_example

Then open http://localhost:8000. AGIO_PORT chooses another port.
"""

import os

from agio import Agent, WebSearchTool, tool

PRICES = {"espresso": 2.2, "cappuccino": 3.4, "tea": 2.0}


@tool(idempotent=True, side_effects=False)
def price_of(drink: str) -> str:
    """Look up the price of a drink.

    Args:
        drink: Its name.
    """
    price = PRICES.get(drink.lower())
    return f"{price:.2f} EUR" if price is not None else f"not on the menu; there is {', '.join(PRICES)}"


@tool(requires_approval=True)
def order(drink: str, cups: int = 1) -> str:
    """Order drinks. A person approves each order first.

    Args:
        drink: Its name.
        cups: How many.
    """
    return f"ordered: {cups} × {drink}"


agent = Agent(
    "Barista",
    # model=OpenAIModel(model_id="openrouter/auto", base_url="https://openrouter.ai/api/v1",
    #                   api_key_env_var="OPENROUTER_API_KEY") chooses one; without, the keys that are set decide.
    tools=[price_of, order, "calculator", WebSearchTool()],
    system_prompt="You run a small coffee bar. Look up prices, never guess them.",
    description="Knows the menu and takes orders.",
)


if __name__ == "__main__":
    agent.serve(port=int(os.environ.get("AGIO_PORT", "8000")))
