"""The paper read against itself: its printed tables, its sentences about them, and what is wrong in both."""
