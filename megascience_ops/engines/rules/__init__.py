"""Deterministic text rules that answer where no model does."""
