"""Hosts that live inside an engine."""
