"""What stands between the domain and the world: records to events, topics read from outside, pages.

Edges know both the domain and the stream.
"""
