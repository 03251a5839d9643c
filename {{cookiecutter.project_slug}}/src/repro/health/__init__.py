"""Signs that a run is unhealthy, read from its metrics."""
