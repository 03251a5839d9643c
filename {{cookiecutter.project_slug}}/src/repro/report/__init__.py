"""The report: pages, tables and plots of the results."""
