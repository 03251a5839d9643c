"""What happens to a run around its training: prepared, done from its snapshot, closed, done again."""
