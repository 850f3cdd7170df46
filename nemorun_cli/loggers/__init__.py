"""Loggers for the trainers of PyTorch Lightning and of transformers, each in the module of its library.

Each module imports its library, so that nothing else of this package does.
"""
