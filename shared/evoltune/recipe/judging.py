"""Systems whose answers a judge compares."""

from evoltune.recipe.base import Section
from evoltune.recipe.types import FilePath, PathOrHubId


class System(Section, frozen=True, kw_only=True):
    """Where answers come from: a checkpoint or model, a server, or a file of answers."""

    name: str
    checkpoint: PathOrHubId = ""
    endpoint: str = ""
    model: str = ""
    """For `endpoint`: the server's name for the model."""
    api_key_env: str = ""
    answers: FilePath = ""
    column: str = ""
    """For `answers`: the column with the text, where there are several."""
    template: str = "chat"
    """For a model from elsewhere; a checkpoint has its own."""
