from tests.evaluation.conftest import policies  # noqa: F401
