"""What a run leaves behind: metrics, the run folder, its output, and the W&B mirror."""
