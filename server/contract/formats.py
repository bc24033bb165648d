"""Patterns of well-known text formats, as protovalidate understands them.

Sources: the expressions in buf/validate/validate.proto; RFC 3986 (IP literals), RFC 3339 (times), the HTML standard's
definition of a valid e-mail address. Text around them is not allowed: all are anchored.
"""

from dataclasses import dataclass
from typing import Final

from server.contract.wellknown import MASK_PATTERN

_OCTET: Final = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4: Final = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_H16: Final = "[0-9A-Fa-f]{1,4}"
_LS32: Final = f"(?:{_H16}:{_H16}|{_IPV4})"
_IPV6: Final = (
    "(?:"
    + "|".join(
        [
            f"(?:{_H16}:){{6}}{_LS32}",
            f"::(?:{_H16}:){{5}}{_LS32}",
            *(
                f"(?:(?:{_H16}:){{0,{left}}}{_H16})?::" + (f"(?:{_H16}:){{{4 - left}}}" if left < 4 else "") + _LS32
                for left in range(5)
            ),
            f"(?:(?:{_H16}:){{0,5}}{_H16})?::{_H16}",
            f"(?:(?:{_H16}:){{0,6}}{_H16})?::",
        ]
    )
    + ")"
)
_ZONE: Final = r"(?:%[^\x00]+)?"
_LABEL: Final = "[0-9A-Za-z](?:[0-9A-Za-z-]{0,61}[0-9A-Za-z])?"
_URI: Final = r"(?:[A-Za-z0-9._~:\/?#\[\]@!$\x26'()*+,;=\x2d]|%[0-9A-Fa-f]{2})*"
_NAME: Final = r"[A-Za-z_][A-Za-z_0-9]*(?:\.[A-Za-z_][A-Za-z_0-9]*)*"
_DATE: Final = (
    "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    "|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
)
_CLOCK: Final = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?"
_OFFSET: Final = "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes:
        pattern: Every valid text matches it.
        never: No valid text matches it. Empty: there is no such pattern.
        max_length: Longest valid text, a dot at its end not counted. 0: not limited.
        name: JSON Schema's own name for the format. Empty: it has none that fits.
        exact: Whether the text is valid exactly when the above says so.
    """

    pattern: str
    never: str = ""
    max_length: int = 0
    name: str = ""
    exact: bool = True


TIMESTAMP: Final = Format(f"^{_DATE}T{_CLOCK}{_OFFSET}$", never="^(?:0000|(?:0001|9999)-[^Z]*$)", name="date-time")
DURATION: Final = Format(
    r"^(?:(?:0|[1-9][0-9]{0,10})(?:\.[0-9]{1,9})?|-(?:[1-9][0-9]{0,10}(?:\.[0-9]{1,9})?|0\.0{0,8}[1-9][0-9]{0,8}))s$",
    never=r"\.[0-9]{10}",
)
FIELD_MASK: Final = Format(f"^{MASK_PATTERN}$")
STRICT_HEADER_NAME: Final = Format(r"^:?[0-9a-zA-Z!#$%\x26'*+-.^_|~\x60]+$")
LOOSE_HEADER_NAME: Final = Format(r"^[^\x00\n\r]+$")
STRICT_HEADER_VALUE: Final = Format(r"^[^\x00-\x08\n-\x1f\x7f]*$")
LOOSE_HEADER_VALUE: Final = Format(r"^[^\x00\n\r]*$")

STRING_FORMATS: Final = {
    "email": Format(
        r"^[a-zA-Z0-9.!#$%\x26'*+\/=?^_`{|}~\x2d]+@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
        r"(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$",
        name="email",
    ),
    "hostname": Format(rf"^{_LABEL}(?:\.{_LABEL})*\.?$", never=r"(?:^|\.)[0-9]+\.?$", max_length=253),
    "ip": Format(f"^(?:{_IPV4}|{_IPV6}{_ZONE})$"),
    "ipv4": Format(f"^{_IPV4}$", name="ipv4"),
    "ipv6": Format(f"^{_IPV6}{_ZONE}$"),
    "uri": Format(f"^[A-Za-z][A-Za-z0-9+.-]*:{_URI}$", name="uri", exact=False),
    "uri_ref": Format(f"^{_URI}$", name="uri-reference", exact=False),
    "uuid": Format("^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", name="uuid"),
    "tuuid": Format("^[0-9a-fA-F]{32}$"),
    "ip_with_prefixlen": Format(rf"^(?:{_IPV4}\/(?:[12]?[0-9]|3[0-2])|{_IPV6}\/(?:[1-9]?[0-9]|1[01][0-9]|12[0-8]))$"),
    "ipv4_with_prefixlen": Format(rf"^{_IPV4}\/(?:[12]?[0-9]|3[0-2])$"),
    "ipv6_with_prefixlen": Format(rf"^{_IPV6}\/(?:[1-9]?[0-9]|1[01][0-9]|12[0-8])$"),
    "host_and_port": Format(":[0-9]{1,5}$", exact=False),
    "ulid": Format("^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$"),
    "protobuf_fqn": Format(f"^{_NAME}$"),
    "protobuf_dot_fqn": Format(rf"^\.{_NAME}$"),
}
# Whether the bits after the prefix are zero is beyond regular expressions of a sane size.
for _prefix in ("ip_prefix", "ipv4_prefix", "ipv6_prefix"):
    _widened = STRING_FORMATS[_prefix.replace("_prefix", "_with_prefixlen")]
    STRING_FORMATS[_prefix] = Format(_widened.pattern, exact=False)
