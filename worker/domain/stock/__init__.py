"""One stock key: counts, flows, frozen units, and how a count compares with them. Pure."""
