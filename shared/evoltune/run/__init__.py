"""A recipe in its folder: the run, its paths, its store, its queries, and how it is published."""
