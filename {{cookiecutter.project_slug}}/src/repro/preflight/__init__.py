"""What can be found out about a run before it starts."""
