"""Rows that people bring: readers, column layouts, the hub, community dumps, writers and journals."""
