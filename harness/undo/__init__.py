"""What is broken right now, and how it is mended whatever happens to us."""
