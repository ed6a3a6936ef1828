"""Our few settings in libtorrent's many words, each with the reason where it is not the default."""

from __future__ import annotations

import errno
import socket

from seedkeep.core.errors import Error, InvalidInput
from seedkeep.engine.model import EngineSettings


def session_settings(settings: EngineSettings, listen: str, alert_mask: int) -> dict[str, object]:
    """The ``settings_pack`` of a session that listens on ``listen`` (no port 0 left in it)."""
    return {
        "user_agent": settings.user_agent,
        "listen_interfaces": listen,
        # A taken port is an error that the operator must see, not a reason to move elsewhere.
        "max_retry_port_bind": 0,
        "listen_system_port_fallback": False,
        "listen_queue_size": 128,
        "enable_dht": settings.dht,
        "enable_lsd": settings.lsd,
        "enable_upnp": settings.upnp,
        "enable_natpmp": settings.upnp,
        # Would tell Google about us even with the DHT off.
        "webtorrent_stun_server": "",
        "enable_outgoing_utp": settings.utp,
        "enable_incoming_utp": settings.utp,
        # 0 = prefer TCP: uTP yields to everything, also to our own TCP connections.
        "mixed_mode_algorithm": 0,
        "alert_mask": alert_mask,
        # A restart with 100,000 torrents posts one alert each before anybody can read one.
        "alert_queue_size": 500_000,
        "active_downloads": -1,
        "active_seeds": -1,
        "active_checking": 2,
        "active_dht_limit": -1,
        "active_tracker_limit": -1,
        "active_lsd_limit": -1,
        "active_limit": -1,
        # A LAN or a NAT has many peers behind one address.
        "allow_multiple_connections_per_ip": True,
        "connections_limit": settings.connections,
        "connection_speed": 200,
        "min_reconnect_time": 2,
        "peer_connect_timeout": 10,
        "unchoke_slots_limit": settings.upload_slots,
        "download_rate_limit": settings.down_limit,
        "upload_rate_limit": settings.up_limit,
        "hashing_threads": settings.hashing_threads,
        # Measured: 206 -> 266 MB/s on loopback.
        "send_buffer_low_watermark": 64 * 1024,
        "send_buffer_watermark": 4 * 1024 * 1024,
        "send_buffer_watermark_factor": 100,
        # What is asked of a slow origin long ahead is asked twice: 8 nodes together took 1.9 copies from it
        # with 3 s of requests under way, 1.45 with 1 s.
        "request_queue_time": 1,
        "max_out_request_queue": 1500,
        "max_allowed_in_request_queue": 4000,
        # Trackers in private networks: a registrar on the LAN is one.
        "ssrf_mitigation": False,
        "validate_https_trackers": settings.verify_https,
        "announce_to_all_trackers": True,
        "announce_to_all_tiers": True,
        # The tracker's own interval counts; the default would stretch it to five minutes.
        "min_announce_interval": 15,
        "tracker_completion_timeout": 20,
        "stop_tracker_timeout": 2,
        "metadata_token_limit": 10_000_000,
    }


def choose_ports(listen: str) -> str:
    """``listen`` with every port 0 replaced by one free port, the same for all addresses.

    libtorrent would choose another one for each network interface, so that no single number could
    be told to anyone.

    Raises:
        InvalidInput: not "address:port[,address:port]…".
        Error: a given port is taken, or the address is not of this machine.
    """
    pairs = []
    for part in listen.split(","):
        host, colon, port = part.strip().rpartition(":")
        if not colon or not port.isdecimal() or int(port) > 65535:
            raise InvalidInput(
                f"{part.strip()!r} is no address:port to listen on.", hint="Such as 0.0.0.0:6881."
            )
        pairs.append((host, int(port)))
    free = 0
    for address, wanted in pairs:
        found = _bindable(address, wanted or free, required=len(pairs) == 1 or wanted != 0)
        free = free or (0 if wanted else found)
    return ",".join(f"{address}:{wanted or free}" for address, wanted in pairs)


def _bindable(host: str, port: int, *, required: bool) -> int:
    """A port that can be bound on ``host`` now, ``port`` itself unless that is 0; 0 if there is none."""
    bare = host.strip("[]")
    family = socket.AF_INET6 if ":" in bare else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((bare, port))
            return int(probe.getsockname()[1])
    except OSError as error:
        # A machine without IPv6 still listens on its other addresses.
        if not required or (family == socket.AF_INET6 and error.errno != errno.EADDRINUSE):
            return 0
        raise Error(
            f"Cannot listen on {host}:{port}: {error.strerror or error}.",
            hint="Another program may use the port; choose another one in the settings.",
        ) from error
