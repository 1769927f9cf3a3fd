"""Search everything from any page: ids, names, errors, arguments and pages."""
