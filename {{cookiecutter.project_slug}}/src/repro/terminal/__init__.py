"""Text, tables and waiting as a terminal shows them."""
