"""Agents: each algorithm is one page; none knows where its rewards come from."""
