"""Forecast how long each LLM answer will be, and let the short ones through first."""
