"""Training networks of one's own: a folder a task, beside what tasks share."""
