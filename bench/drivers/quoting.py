"""Names and texts as standard SQL writes them."""


def name(identifier):
    return '"' + identifier.replace('"', '""') + '"'


def text(value):
    return "'" + value.replace("'", "''") + "'"
