from tests.connectors.telegram.conftest import fake

__all__ = ["fake"]
