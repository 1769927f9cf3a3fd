"""Small projects of users of other libraries, and the same moved here by the tables of the how-to pages.

``original`` is written for the other library, ``moved`` for this one. Both are run and must do the same.
"""
