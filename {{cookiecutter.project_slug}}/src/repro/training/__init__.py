"""Training loops, and what they share: storage, reward sources, checkpoints."""
