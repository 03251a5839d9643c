"""Accounts: hours and cost against plan and estimate, predictions against outcomes."""
