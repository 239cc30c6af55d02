"""Who answers a prompt: text rules, an OpenAI-compatible server, or a script."""
