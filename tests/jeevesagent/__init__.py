"""A drop-in for JeevesAgent 0.9.7, shown with the real ``jeevesagent`` package: ``nox -s jeevesagent``."""
