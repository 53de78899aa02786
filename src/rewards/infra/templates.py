"""Templates of pages, from the folders `templates` of packages."""

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


def templates(*packages: str) -> Environment:
    """Everything escaped; a name that is not given is a bug, not an empty place.

    Of two templates with one name that of the earlier package counts.
    """
    return Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
