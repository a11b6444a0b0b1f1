"""The name that `evoltune.models.proof` had in version 0.1; it goes in the next version."""

import warnings

from evoltune.models.proof import check_golden, read_template

__all__ = ["check_golden", "read_template"]

warnings.warn("evoltune.train.proof is now evoltune.models.proof", DeprecationWarning, stacklevel=2)
