"""The stages of textbook_reasoning: one module for each, with its configuration, its prompts and `STAGE`."""
