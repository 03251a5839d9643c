"""The work log: one page a day, which remembers what is open."""
