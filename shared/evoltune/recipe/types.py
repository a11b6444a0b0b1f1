"""The types of a recipe's fields."""

from typing import Annotated, Literal

from msgspec import Meta

Positive = Annotated[int, Meta(ge=1)]
Count = Annotated[int, Meta(ge=0)]
Tries = Annotated[int, Meta(ge=0, le=10)]
Steps = Annotated[int, Meta(ge=1, le=12)]
StepLimit = Annotated[int, Meta(ge=-1)]
DevelopmentSeeds = Annotated[int, Meta(ge=200)]
NonNegative = Annotated[float, Meta(ge=0)]
AboveZero = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(gt=0, le=1)]
Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
Level = Literal["L0", "L1", "L2", "L3"]
PATH, HUB, NAME = "path", "hub", "name"
FilePath = Annotated[str, Meta(extra={"path": PATH})]
"""A file or folder."""
PathOrHubId = Annotated[str, Meta(extra={"path": HUB})]
"""A path, where there is a file or folder of that name; else an id on the hub."""
NameOrPath = Annotated[str, Meta(extra={"path": NAME})]
"""A name; a path begins with `./` or `../`, or ends like a file of rows (`math:mine.jsonl`)."""
