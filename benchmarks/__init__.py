"""How fast the model is, beside something that was measured in the same run: `make bench` prints the table."""
