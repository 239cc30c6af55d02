"""What a run will cost before it is paid for: from receipts, from a sample, or from published yields alone."""
