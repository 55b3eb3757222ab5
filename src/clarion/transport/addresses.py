"""Which addresses we connect to when somebody else chose the URL: a guard against requests forged through us (SSRF)."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_NEVER = (
    IPv4Network("0.0.0.0/8"),  # "this host"
    IPv4Network("224.0.0.0/4"),  # multicast
    IPv4Network("240.0.0.0/4"),  # reserved and broadcast
    IPv4Network("169.254.169.254/32"),  # metadata of AWS, GCP, Azure and others
    IPv4Network("169.254.170.2/32"),  # credentials of containers on AWS
    IPv4Network("100.100.100.200/32"),  # metadata of Alibaba
    IPv4Network("168.63.129.16/32"),  # Azure's platform, in a range that looks public
    IPv4Network("192.0.0.192/32"),  # metadata of Oracle
    IPv6Network("::/128"),
    IPv6Network("ff00::/8"),  # multicast
    IPv6Network("fd00:ec2::254/128"),  # metadata of AWS
    IPv6Network("fd20:ce::254/128"),  # metadata of GCP
)
"""Not even where private networks are allowed."""

_PRIVATE = (
    IPv4Network("10.0.0.0/8"),
    IPv4Network("100.64.0.0/10"),  # carriers' NAT
    IPv4Network("127.0.0.0/8"),
    IPv4Network("169.254.0.0/16"),  # link-local
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.0.2.0/24"),  # documentation
    IPv4Network("192.88.99.0/24"),  # 6to4 relays
    IPv4Network("192.168.0.0/16"),
    IPv4Network("198.18.0.0/15"),  # benchmarks
    IPv4Network("198.51.100.0/24"),  # documentation
    IPv4Network("203.0.113.0/24"),  # documentation
)
_PUBLIC_V6 = IPv6Network("2000::/3")
_PRIVATE_V6 = (
    IPv6Network("2001::/23"),  # protocol assignments, Teredo among them
    IPv6Network("2001:db8::/32"),  # documentation
    IPv6Network("3fff::/20"),  # documentation
)
_NAT64 = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")
_COMPATIBLE = IPv6Network("::/96")


def why_refused(address: str, *, allow_private: bool) -> str | None:
    """None when we may connect to it, else why not. An IPv4 address inside an IPv6 one is judged as itself."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return "not an IP address"
    every = [parsed, *_embedded(parsed)]
    if any(each in network for each in every for network in _NEVER):
        return "an address that no push service has"
    if not allow_private and any(_is_private(each) for each in every):
        return "a private or special address"
    return None


def _is_private(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address):
        return any(address in network for network in _PRIVATE)
    if _embedded(address):
        return False  # what it holds decides
    return address not in _PUBLIC_V6 or any(address in network for network in _PRIVATE_V6)


def _embedded(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    """The IPv4 address that packets to this one end at: mapped, compatible, 6to4 or NAT64 (RFC 4291, 3056, 6052)."""
    if isinstance(address, IPv4Address):
        return []
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address in _SIX_TO_FOUR:
        return [IPv4Address(address.packed[2:6])]
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return [IPv4Address(address.packed[12:])]
    return []
