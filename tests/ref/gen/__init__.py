"""The generators behind make_refs.py: one module a class of operators, each with FAMILIES = {file name: function}."""
