"""Operators: what each means, and the kernels that compute it."""
