"""The engine: use cases, the one step loop, the journal writer, tails, and the worker."""
