"""The only writer of state. One verb a file; each write is one guarded statement or one transaction.

Every function takes ``using``, the alias of the jobs' database; None means the setting's.
"""
