"""What goes wrong in a simulated world, and what must come of it."""
