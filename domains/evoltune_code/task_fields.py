"""What the code domain reads from `Task.fields`."""

from evoltune.record import Task


def text_field(task: Task, name: str) -> str:
    """A column of text; "" where it is missing or something else."""
    value = task.fields.get(name)
    return value if isinstance(value, str) else ""


def cpu_limit(task: Task) -> float | None:
    """The task's own time limit in CPU seconds; None: the recipe's."""
    value = task.fields.get("cpu_s")
    return float(value) if isinstance(value, int | float) and value > 0 else None
