"""Staff only: grades submissions, and publishes the starter. Never part of the student zip."""
