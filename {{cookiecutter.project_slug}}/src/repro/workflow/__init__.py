"""The habits around runs: work log, pre-launch gate, reports."""
