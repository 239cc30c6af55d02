"""Is a question of ours a question of a benchmark? Embeddings, search, copies, planted questions, the certificate."""
