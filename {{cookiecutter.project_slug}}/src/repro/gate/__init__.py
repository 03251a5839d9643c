"""The pre-launch gate: checks, questions and a prediction before a long run."""
