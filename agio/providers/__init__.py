"""Model endpoints: one port, an OpenAI-compatible client, presets as data, an offline demo."""
