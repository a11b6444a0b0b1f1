"""Text: words, language, shingles, vectors, template residue."""
