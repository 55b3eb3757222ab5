"""Which language a visitor reads, of those that our pages speak."""

from collections.abc import Collection


def wanted(header: str) -> list[str]:
    """The tags of `Accept-Language` (RFC 9110 section 12.5.4), the most wanted first, without q=0."""
    found: list[tuple[float, str]] = []
    for part in header.split(",")[:_MOST]:
        tag, _, rest = part.strip().partition(";")
        weight = _weight(rest)
        if tag and weight > 0:
            found.append((-weight, tag.strip()))
    return [tag for _, tag in sorted(found, key=lambda one: one[0])]


def chosen(tags: Collection[str], spoken: Collection[str], default: str) -> str:
    """The first language wanted that is spoken, by its primary subtag."""
    primary = (tag.lower().replace("_", "-").partition("-")[0] for tag in tags)
    return next((language for language in primary if language in spoken), default)


_MOST = 20


def _weight(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0
