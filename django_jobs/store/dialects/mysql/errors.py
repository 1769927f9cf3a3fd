"""The error numbers of MySQL and MariaDB (manual, "Server Error Message Reference")."""

from __future__ import annotations

from django.db import Error as DatabaseError
from django.db import InterfaceError

CONFLICTS = {1020, 1213}
"""ER_CHECKREAD (MariaDB: the row has changed since it was read) and ER_LOCK_DEADLOCK."""

UNMIGRATED = frozenset({1054, 1146})
"""ER_BAD_FIELD_ERROR and ER_NO_SUCH_TABLE."""

_AWAY = frozenset(
    {
        *(1040, 1203),  # no connections left
        *(1053, 1077, 1078, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 3169, 4031),  # shut down, cut off
        *(1290, 1792, 1836),  # read-only: a failover
        *(1047, 1180),  # a Galera node that has lost its cluster, and a commit there: nothing is committed
        *(2002, 2003, 2004, 2005, 2006, 2012, 2013, 2026, 2055),  # the client found nobody, or lost the server
    }
)
_OUTAGES = (
    _AWAY
    | UNMIGRATED
    | {
        *(1021, 1026, 1037, 1038, 1041, 1206),  # no disk, no memory, no room for locks
        *(1129, 1130, 1226),  # no connections for this host or user
        *(1044, 1045, 1046, 1049, 1142, 1143, 1227),  # no rights, no database
        *(1698, 1820, 1862, 3118, 4151),  # no log-in: another plug-in, an expired password, a locked account
        1412,  # a table was migrated just now
        *(1192, 1205, 1223),  # waited too long for a lock
        *(1317, 1969, 3024),  # interrupted by an administrator or a time limit
    }
)


def error_number(error: BaseException) -> int:
    """Return the number of an error, 0 if it has none. 2000 to 2999 are the client's: the server did not answer."""
    number = error.args[0] if error.args else 0
    return number if isinstance(number, int) else 0


def is_server_refusal(error: DatabaseError) -> bool:
    """Tell whether the server has answered, and it is not its own state that it complains of."""
    number = error_number(error)
    is_servers = 1000 <= number < 2000 or number >= 3000
    return is_servers and number not in _OUTAGES and number not in CONFLICTS


def is_away(error: DatabaseError) -> bool:
    """Tell whether the connection is gone, or the server takes none or no writes; (0, '') is a closed connection."""
    return error_number(error) in _AWAY or (isinstance(error, InterfaceError) and error_number(error) == 0)
