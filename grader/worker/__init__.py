"""What runs inside the sandbox: a fork server, the probes of student code, the probes of student models."""
