"""What the silence check reads out of a system-call trace."""

import pytest

from tests.leaks.silence import Traffic, describe, parse

INET = '{{sa_family=AF_INET, sin_port=htons({}), sin_addr=inet_addr("{}")}}'
INET6 = (
    "{{sa_family=AF_INET6, sin6_port=htons({}), sin6_flowinfo=htonl(0), "
    'inet_pton(AF_INET6, "{}", &sin6_addr), sin6_scope_id=0}}'
)
NSCD = '{sa_family=AF_UNIX, sun_path="/var/run/nscd/socket"}'


@pytest.mark.parametrize(
    ("line", "place"),
    [
        pytest.param(
            f"12  connect(3, {INET.format(80, '192.0.2.1')}, 16) = -1 ENETUNREACH (Network ...)",
            "192.0.2.1:80",
            id="connect",
        ),
        pytest.param(
            f"connect(3, {INET.format(80, '192.0.2.1')}, 16) = 0", "192.0.2.1:80", id="no-pid"
        ),
        pytest.param(
            f"12  connect(4, {INET6.format(443, '2001:db8::1')}, 28) = -1 EINPROGRESS",
            "[2001:db8::1]:443",
            id="connect-v6",
        ),
        pytest.param(
            f"12  connect(4, {INET6.format(443, '::ffff:192.0.2.1')}, 28) = 0",
            "[::ffff:192.0.2.1]:443",
            id="mapped-v4",
        ),
        pytest.param(
            f'12  sendto(3, ""..., 23, 0, {INET.format(5, "192.0.2.9")}, 16) = 23',
            "192.0.2.9:5",
            id="sendto",
        ),
        pytest.param(
            f"12  sendmsg(3, {{msg_name={INET.format(5, '192.0.2.8')}, msg_namelen=16}}, 0) = 1",
            "192.0.2.8:5",
            id="sendmsg",
        ),
        pytest.param(
            f"12  <... sendmmsg resumed>[{{msg_hdr={{msg_name={INET.format(5, '192.0.2.7')}, "
            "msg_namelen=16}, msg_len=1}], 1, 0) = 1",
            "192.0.2.7:5",
            id="resumed-sendmmsg",
        ),
        pytest.param(
            f"12  connect(3, {INET.format(80, '192.0.2.1')}, 16 <unfinished ...>",
            "192.0.2.1:80",
            id="unfinished",
        ),
        pytest.param(
            f"12  connect(3, {INET.format(53, '127.0.0.53')}, 16) = 0",
            "127.0.0.53:53",
            id="name-server-on-loopback",
        ),
        pytest.param(
            "12  connect(3, {sa_family=AF_VSOCK, svm_cid=2, svm_port=1}, 16) = 0",
            "an address of family AF_VSOCK",
            id="other-family",
        ),
        pytest.param(
            "12  connect(3, 0x7ffd, 16) = -1 EFAULT (Bad address)",
            "an address that strace could not read",
            id="unreadable",
        ),
        pytest.param(
            "12  sendmsg(3, {msg_name=0x7ffd, msg_namelen=16}, 0) = -1 EFAULT (Bad address)",
            "an address that strace could not read",
            id="unreadable-message",
        ),
        pytest.param(
            "12  sendmmsg(3, [...], 1, 0) = -1 ENETUNREACH (Network is unreachable)",
            "an address that strace could not read",
            id="cut-list",
        ),
        pytest.param(
            "12  <... sendmmsg resumed>0x7ffd, 1, 0) = -1 ENETUNREACH (Network is unreachable)",
            "an address that strace could not read",
            id="pointer",
        ),
    ],
)
def test_an_attempt_to_leave_is_counted_by_its_address(line: str, place: str) -> None:
    """Whatever names a place outside, or a name server anywhere, is an attempt."""
    traffic = parse([line])
    assert traffic.attempts == {place: 1}
    assert not traffic.local


@pytest.mark.parametrize(
    "address",
    [
        pytest.param(INET.format(5000, "127.0.0.1"), id="v4"),
        pytest.param(INET.format(5000, "0.0.0.0"), id="unspecified"),  # noqa: S104  nothing listens
        pytest.param(INET6.format(5000, "::1"), id="v6"),
        pytest.param(INET6.format(5000, "::ffff:127.0.0.1"), id="mapped-v4"),
        pytest.param('{sa_family=AF_UNIX, sun_path=@"abstract"}', id="unix"),
        pytest.param('{sa_family=AF_UNIX, sun_path="/x/sa_family=AF_VSOCK"}', id="odd-path"),
        pytest.param("{sa_family=AF_NETLINK, nl_pid=0, nl_groups=00000000}", id="netlink"),
        pytest.param('{sa_family=AF_UNSPEC, sa_data=""...}', id="disconnect"),
    ],
)
def test_a_call_that_stays_on_this_host_is_no_attempt(address: str) -> None:
    """Loopback, unix and netlink addresses leave nothing."""
    traffic = parse([f"12  connect(3, {address}, 16) = 0"])
    assert not traffic.attempts
    assert traffic.local.total() == 1


@pytest.mark.parametrize(
    "line",
    [
        pytest.param('12  sendto(3, ""..., 5, MSG_NOSIGNAL, NULL, 0) = 5', id="connected-sendto"),
        pytest.param("12  sendmsg(3, {msg_name=NULL, msg_namelen=0}, 0) = 5", id="connected"),
        pytest.param("12  <... connect resumed>) = 0", id="resumed-connect"),
        pytest.param("12  +++ exited with 0 +++", id="exit"),
        pytest.param("", id="empty"),
    ],
)
def test_a_line_without_an_address_counts_nothing(line: str) -> None:
    """What was said on a connected socket was judged when it was connected."""
    assert parse([line]) == Traffic()


def test_a_look_up_over_a_socket_is_listed_apart() -> None:
    """A name service on this host is asked without leaving it, and said so."""
    traffic = parse([f"12  connect(5, {NSCD}, 110) = -1 ENOENT"] * 2)
    assert traffic.look_ups == {'"/var/run/nscd/socket"': 2}
    assert not traffic.attempts
    assert not traffic.local


def test_the_trace_is_read_line_by_line() -> None:
    """A long trace is never held: each line is dropped before the next is made."""
    line = f"12  connect(3, {INET.format(80, '192.0.2.1')}, 16) = 0"
    assert parse(line for _ in range(1000)).attempts == {"192.0.2.1:80": 1000}


def test_the_report_names_each_place_once_with_its_count() -> None:
    """The report is short however often a library tries."""
    traffic = parse([f"12  connect(3, {INET.format(80, '192.0.2.1')}, 16) = 0"] * 3)
    assert describe(1, traffic) == [
        "attempt: 192.0.2.1:80 x3",
        "the command failed with status 1",
        "not silent: 3 attempts, 0 local calls",
    ]
