"""What a stranger may make the gateway talk to."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yizhan.core.addresses import judge_address, judge_url, number_of

PUBLIC = [
    "1.1.1.1",
    "93.184.216.34",
    "119.29.29.29",
    "2606:4700:4700::1111",
    "64:ff9b::1.1.1.1",
    "::ffff:8.8.8.8",
]
INSIDE = [
    "127.0.0.1",
    "127.8.9.10",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "169.254.1.1",
    "192.0.0.9",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::10.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::10.0.0.1",
    "2002:7f00:1::",
    "2002:c0a8:101::1",
    "2001:0:0:0:0:0:3f57:fefe",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_called(address: str) -> None:
    """A webhook on the internet is what this exists for."""
    assert judge_address(address) is None


@pytest.mark.field("F87")
@pytest.mark.parametrize("address", [*INSIDE, "example.com", "", "1.2.3"])
def test_what_only_we_can_reach_is_forbidden(address: str) -> None:
    """Whoever writes to a chat must not be able to read the router's page, or the keys of the cloud."""
    assert judge_address(address) is not None


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://127.0.0.1./",
        "http://[::1]:8080/",
        "http://[::ffff:a00:1]/",
        "http://169.254.169.254/latest/meta-data",
        "http://0/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "http:///nowhere",
        "http://user:secret@example.com/",
        "http://example.com:0/",
        "http://example.com:99999/",
        "http://[::1/",
        "https://example.com/" + "x" * 3000,
        "",
        "example.com",
    ],
)
def test_urls_that_can_be_refused_unresolved_are(url: str) -> None:
    """An address has many spellings, and resolvers understand them all."""
    forbidden = judge_url(url)
    assert forbidden is not None
    assert "secret" not in forbidden.why


@pytest.mark.parametrize(
    "url", ["https://example.com/a?b=c", "http://example.com:8080", "https://1.1.1.1/", "http://例子.测试/"]
)
def test_urls_with_a_name_wait_for_its_addresses(url: str) -> None:
    """A name says nothing about where it leads."""
    assert judge_url(url) is None


@given(st.integers(0, 2**32 - 1), st.sampled_from(["{}", "{:#x}", "0{:o}"]))
def test_numbers_are_read_as_resolvers_read_them(value: int, form: str) -> None:
    """The judge and the resolver must not see two addresses in one text."""
    text = form.format(value)
    assert ipaddress.IPv4Address(socket.inet_aton(text)) == number_of(text)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=5))
def test_dotted_numbers_are_read_as_resolvers_read_them(numbers: list[int]) -> None:
    """As above, with dots."""
    text = ".".join(map(str, numbers))
    try:
        expected = ipaddress.IPv4Address(socket.inet_aton(text))
    except OSError:
        expected = None
    assert expected == number_of(text)


@given(st.ip_addresses())
def test_what_is_called_public_is_global(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """No address that the standard library knows to be special is ever called public."""
    if judge_address(str(address)) is None:
        inner = getattr(address, "ipv4_mapped", None) or address
        assert inner.is_global
        assert not inner.is_loopback
        assert not inner.is_private
