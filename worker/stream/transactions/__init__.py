"""One transaction after the other: which records it takes, what it decides, and how it is written."""
