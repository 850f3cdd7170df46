"""TODO executors.launchers"""
