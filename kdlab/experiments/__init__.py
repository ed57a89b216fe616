"""Experiments, what is run of them, and the records that they leave."""
