"""Looking after a root: is all there, what is to go, what is to be as it was before."""
