"""TODO cli.commands"""
