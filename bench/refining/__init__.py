"""What the benches against a real vLLM share."""
