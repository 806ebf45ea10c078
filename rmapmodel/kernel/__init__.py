"""The real kernel: traces executed on the one that runs here."""
