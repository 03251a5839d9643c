"""Looking at runs: lists, pages, comparisons, watching, examining."""
