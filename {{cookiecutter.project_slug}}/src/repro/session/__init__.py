"""A run in its folder: trained from the last checkpoint on, watched, filmed and saved."""
