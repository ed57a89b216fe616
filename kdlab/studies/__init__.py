"""Settings side by side, what they are worth, and what that says of the paper's sentences."""
