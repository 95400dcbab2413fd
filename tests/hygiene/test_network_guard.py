"""No test can reach another machine, not even by accident."""

import socket

import pytest

from tests.support.network import OutsideNetwork

OUTSIDE = "192.0.2.1"  # reserved for documentation: belongs to nobody


def test_connecting_to_another_machine_fails_before_anything_is_sent():
    with socket.socket() as client, pytest.raises(OutsideNetwork):
        client.connect((OUTSIDE, 80))


def test_looking_up_another_machine_fails():
    with pytest.raises(OutsideNetwork):
        socket.getaddrinfo("elsewhere.invalid", 80)


def test_this_machine_can_be_reached():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
    assert socket.getaddrinfo("localhost", 80)
