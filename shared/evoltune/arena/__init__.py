"""Open-ended answers before a judge: studies, rankings and standings."""
