"""What people label, and where labels are taken from and to."""
