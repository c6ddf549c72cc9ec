"""What only `stockfreeze demo` needs: an embedded broker, real orders turned into events, and a screen.

Nothing outside this package and the tests imports it: a production worker runs without it and without its optional
dependency.
"""
