"""What the results say of the paper's claims, and what was registered before."""
