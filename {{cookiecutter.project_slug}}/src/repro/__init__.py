"""Reproduction of a deep-RL or preference-learning paper."""
