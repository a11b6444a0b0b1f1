"""A recipe's whole way on stand-ins: a hub and a teacher on loopback, a shrunken base, the commands and code of the real run."""
