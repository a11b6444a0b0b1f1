"""Rows that people bring: readers, columns, conversations, LIMA's sources, the hub, storage; atomic writes; journals."""
