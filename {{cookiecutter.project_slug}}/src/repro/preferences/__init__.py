"""Comparisons of segments: what is asked, who answers, and what is learned from it."""
