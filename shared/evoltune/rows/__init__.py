"""Rows that people bring: readers, columns, conversations, community dumps, the hub, storage; atomic writes; journals."""
