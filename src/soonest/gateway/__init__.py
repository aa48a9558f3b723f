"""The OpenAI-compatible gateway: a host that orders what an engine is given."""
