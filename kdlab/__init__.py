"""The laboratory: what the paper printed, what we ran, and how the two compare."""
