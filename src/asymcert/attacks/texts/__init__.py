"""Attacks on texts as strings: whatever is tried is written down, encoded anew, scored and priced word by word."""
