"""The elimination rules under the names that programs outside this package call them by.

    struck(load_domain("math"), parent, child, None)   ->  "comes solved", or "" to keep the child
    echoes(operator.template, parent, child)           ->  whether the child repeats the operator's prompt

The rules themselves are in `evoltune.evolve.rules`.
"""

from evoltune.evolve.rules.leaks import echoes_operator as echoes
from evoltune.evolve.rules.registry import rejection_reason as struck

__all__ = ["echoes", "struck"]
