"""Near-duplicate questions: what a question is made of, signatures, and who stays of those that resemble each other."""

from megascience_ops.dedup.words import TOKEN, jaccard, shingles, skeleton, tokens

__all__ = ["TOKEN", "jaccard", "shingles", "skeleton", "tokens"]
