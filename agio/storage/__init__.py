"""The durable store: a port, and two adapters that nothing but the composition root names."""
