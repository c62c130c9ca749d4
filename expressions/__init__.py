"""Given code of the expression-recognition project: read it, don't edit it."""
