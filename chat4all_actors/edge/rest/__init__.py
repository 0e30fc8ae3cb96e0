"""The REST API: contract section 3, one module for each group of endpoints.

Read `operations.py` first, then any group: an endpoint is a declaration and a short function.
"""
