"""Passwords and keys in URLs, cut out of what is printed or written.

without_credentials("http://ada:secret@host/v1?api_key=s3cret")     # "http://***@host/v1?api_key=***"
"""

import re

_USER = re.compile(r"(?<=://)[^/\s@'\"<>]*:[^/\s'\"<>]*@")
_PARAMETER = re.compile(
    r"([?&](?:[\w.-]*(?:api[_-]?key|token|secret|password|passwd|signature|credential)|key|sig|auth|access[_-]?key)=)[^&\s'\"<>#]+",
    re.IGNORECASE,
)


def without_credentials(text: str) -> str:
    """The text with `user:password@` and the values of parameters that hold keys cut out of its URLs."""
    if "://" not in text and "=" not in text:
        return text
    return _PARAMETER.sub(r"\1***", _USER.sub("***@", text))
