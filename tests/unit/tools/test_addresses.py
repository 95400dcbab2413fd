from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agio.tools.addresses import AddressPolicy

NAT64 = IPv6Network("64:ff9b::/96")
PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "::1",
    "fd00::1",
    "::ffff:127.0.0.1",
    "::ffff:10.1.2.3",
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "2a00:1450::200:5efe:10.0.0.1",
    "2a00:1450::5efe:192.168.0.1",
]
NEVER = [
    "0.0.0.0",
    "0.1.2.3",
    "169.254.169.254",
    "192.0.0.9",
    "192.88.99.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fe80::200:5efe:8.8.8.8",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "3fff::1",
    "5f00::1",
    "64:ff9b:1::1",
    "::127.0.0.1",
    "::ffff:0:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::169.254.169.254",
    "2002:a9fe:a9fe::",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2002:808:808::",
]


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are_allowed(text: str):
    assert AddressPolicy().allows("example.com", ip_address(text))


@pytest.mark.parametrize("text", PRIVATE + NEVER)
def test_others_are_not(text: str):
    assert not AddressPolicy().allows("example.com", ip_address(text))


@pytest.mark.parametrize("text", PRIVATE)
def test_allow_private_allows_private_addresses(text: str):
    assert AddressPolicy(allow_private=True).allows("example.com", ip_address(text))


@pytest.mark.parametrize("text", NEVER)
def test_allow_private_keeps_cloud_credentials_and_multicast_out(text: str):
    assert not AddressPolicy(allow_private=True).allows("example.com", ip_address(text))


def test_named_networks_and_hosts_are_allowed():
    policy = AddressPolicy.allowing(["10.1.0.0/16", "169.254.1.1", "fd00::/8", "Intranet.Example"])
    assert policy.allows("any", ip_address("10.1.2.3"))
    assert policy.allows("any", ip_address("::ffff:10.1.2.3"))
    assert policy.allows("any", ip_address("169.254.1.1"))
    assert policy.allows("any", ip_address("fd12::1"))
    assert policy.allows("intranet.example.", ip_address("192.168.0.1"))
    assert not policy.allows("any", ip_address("10.2.0.1"))
    assert not policy.allows("x.intranet.example", ip_address("192.168.0.1"))


def test_wrong_entries_are_refused():
    for entry in ("10.0.0.1/8", "http://intranet/", "10.0.0.0/99"):
        with pytest.raises(ValueError, match=r"network|bits"):
            AddressPolicy.allowing([entry])


@settings(deadline=None)  # the machine may be busy
@given(st.ip_addresses())
def test_nothing_that_is_not_global_gets_through(address: IPv4Address | IPv6Address):
    if AddressPolicy().allows("x", address):
        assert address.is_global or address in NAT64
        assert not address.is_multicast
        assert not address.is_private


IPV4_IN_IPV6 = [
    lambda low: IPv6Address((0xFFFF << 32) | low),
    lambda low: IPv6Address((0x64_FF9B << 96) | low),
]


@settings(deadline=None)  # the machine may be busy
@given(st.ip_addresses(v=4), st.sampled_from(IPV4_IN_IPV6))
def test_embedding_an_address_does_not_change_whether_it_is_allowed(address, embed):
    policy = AddressPolicy()
    assert policy.allows("x", embed(int(address))) == policy.allows("x", address)
