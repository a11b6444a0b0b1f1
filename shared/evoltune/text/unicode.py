"""Text that can be stored and sent again."""


def without_surrogates(text: str) -> str:
    """The text with U+FFFD for each half of a surrogate pair, which JSON can hold and UTF-8 cannot."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
