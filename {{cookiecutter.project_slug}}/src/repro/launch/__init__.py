"""Several runs at once: which, and where they are done."""
