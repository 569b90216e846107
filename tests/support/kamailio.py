"""Kamailio as a telephone system: a registrar with digest, and a proxy between its users and the outside.

Its users register with a password each; numbers from outside have an address each, and are let in by it
alone. Everything in a dialog goes by its own Record-Route. It listens on loopback by UDP, TCP and, with a
certificate, TLS (1.3 where the other side can), keeps everything in memory and takes about 10 MB.
"""

import re
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from support.programs import free_udp_port, missing, needed
from support.sip_certificates import Identity

Transport = Literal["udp", "tcp", "tls"]
REALM = "pbx.example"
_START_S = 10.0
_STOP_S = 10.0
_ALARM = re.compile(r"^ *\d+\(\d+\) (?:CRITICAL|ERROR|BUG)\b.*", re.MULTILINE)
_NO_ALARM = ("SAW ", "receive_fd(): EOF")
"""What the settings write, and what its processes say when they are ended one after the other."""

_CONFIG = """#!KAMAILIO
debug=1
log_stderror=yes
fork=yes
children=1
tcp_children=1
auto_aliases=no
dns=no
rev_dns=no
use_dns_cache=off
server_header="Server: telephone system"
listen=udp:127.0.0.1:{port}
listen=tcp:127.0.0.1:{port}
{tls}
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "xlog.so"
loadmodule "auth.so"
modparam("tm", "fr_timer", 5000)
modparam("tm", "fr_inv_timer", 120000)
modparam("auth", "nonce_expire", 300)
modparam("registrar", "max_expires", {expires_s})
modparam("registrar", "min_expires", 1)
modparam("registrar", "max_contacts", 1)

request_route {{
  if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
  xlog("L_ERR", "SAW $rm $ru from $pr:$si:$sp as $fu by $au at $ct\\n");
  if (is_method("CANCEL")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
  if (has_totag()) {{
    if (loose_route()) {{ t_relay(); exit; }}
    if (is_method("ACK")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
    sl_send_reply("404", "Not Here"); exit;
  }}
  t_check_trans();
  if (is_method("OPTIONS") && $rU == $null) {{ sl_send_reply("200", "OK"); exit; }}
  if (is_method("REGISTER")) {{
    route(PASSWORD);
    if (!pv_www_authenticate("{realm}", "$var(password)", "0")) {{ www_challenge("{realm}", "1"); exit; }}
    if ($au != $tU) {{ sl_send_reply("403", "Somebody Else's"); exit; }}
    save("location"); exit;
  }}
  if (!({outside_senders})) {{
    route(PASSWORD);
    if ($var(password) == "") {{ sl_send_reply("403", "Unknown"); exit; }}
    if ({challenges}) {{
      if (!pv_proxy_authenticate("{realm}", "$var(password)", "0")) {{
        proxy_challenge("{realm}", "1"); exit;
      }}
      consume_credentials();
    }}
  }}
  record_route();
{outside}
  if (!lookup("location")) {{ sl_send_reply("404", "Not Found"); exit; }}
  t_relay();
}}

route[PASSWORD] {{
  $var(password) = "";
{passwords}
}}
"""
_TLS = """enable_tls=yes
listen=tls:127.0.0.1:{port}
loadmodule "tls.so"
modparam("tls", "tls_method", "TLSv1.2+")
modparam("tls", "certificate", "{certificate}")
modparam("tls", "private_key", "{key}")
"""
_OPTIONS = (
    "OPTIONS sip:127.0.0.1:{server} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bKup;rport\r\n"
    "From: <sip:up@{at}>;tag=up\r\nTo: <sip:127.0.0.1:{server}>\r\nCall-ID: {at}\r\nCSeq: 1 OPTIONS\r\n"
    "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)


@dataclass
class Kamailio:
    """A running telephone system."""

    process: "subprocess.Popen[bytes]"
    log: Path
    port: int
    tls_port: int | None
    _command: list[str]

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        users: Mapping[str, str],
        outside: Mapping[str, int] | None = None,
        fixed: Mapping[str, int] | None = None,
        tls: Identity | None = None,
        challenges_calls: bool = True,
        expires_s: int = 300,
    ) -> Self:
        """Run it: `users` are names and passwords, `outside` numbers and the UDP ports of their telephones.

        `fixed` are the ports of users who need not register. Calls of users are challenged unless
        `challenges_calls` is false; registrations always are.
        """
        program = needed("kamailio", "kamailio")
        folder.mkdir(parents=True, exist_ok=True)
        port = free_udp_port(2)
        tls_port = free_udp_port(2) if tls else None
        config = folder / "kamailio.cfg"
        config.write_text(
            _CONFIG.format(
                port=port,
                realm=REALM,
                expires_s=expires_s,
                challenges=1 if challenges_calls else 0,
                tls=_TLS.format(port=tls_port, certificate=tls.certificate, key=tls.key) if tls else "",
                outside=_outside({**(outside or {}), **(fixed or {})}),
                outside_senders=" || ".join(f"$sp == {sender}" for sender in (outside or {}).values()) or "0",
                passwords="".join(
                    f'  if ($fU == "{user}") {{ $var(password) = "{password}"; }}\n'
                    for user, password in users.items()
                ),
            )
        )
        # 16 MB shared, 4 MB own memory; -DD: the starter stays, so that it can be waited for.
        command = [program, "-f", str(config), "-m", "16", "-M", "4", "-DD", "-E", "-Y", str(folder)]
        log = folder / "kamailio.log"
        running = cls(process=_run(command, log), log=log, port=port, tls_port=tls_port, _command=command)
        running._wait_listening()
        return running

    def start_again(self) -> None:
        """Start it anew after `stop`: at the same ports, and with nobody registered."""
        self.process = _run(self._command, self.log)
        self._wait_listening()

    def port_for(self, transport: Transport) -> int:
        """Give the port for a transport."""
        if transport != "tls":
            return self.port
        if self.tls_port is None:
            raise ValueError("it was started without a certificate")
        return self.tls_port

    def uri(self, transport: Transport = "udp", user: str = "", host: str = "127.0.0.1") -> str:
        """Give its SIP URI for a transport, or that of one of its users."""
        parameter = "" if transport == "udp" else f";transport={transport}"
        return f"sip:{user + '@' if user else ''}{host}:{self.port_for(transport)}{parameter}"

    def saw(self, method: str) -> list[str]:
        """Give what came of a method: lines "METHOD URI from PROTO:HOST:PORT as FROM by USER at CONTACT"."""
        found = re.findall(rf"SAW ({method}\b.*)", self.log.read_text(errors="replace"))
        return [str(line) for line in found]

    def alarms(self) -> list[str]:
        """Give what it complained of itself."""
        lines = _ALARM.findall(self.log.read_text(errors="replace"))
        return [line for line in lines if not any(word in line for word in _NO_ALARM)]

    def wait_for(self, method: str, count: int = 1, limit_s: float = 10.0) -> list[str]:
        """Wait until requests of a method have come."""
        deadline_s = time.monotonic() + limit_s
        while len(self.saw(method)) < count:
            if time.monotonic() > deadline_s:
                raise AssertionError(
                    f"{method} came {len(self.saw(method))} times of {count}\n{self.log.read_text()}"
                )
            time.sleep(0.05)
        return self.saw(method)

    def stop(self) -> None:
        """End it and its processes."""
        if self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def _wait_listening(self) -> None:
        """Wait until it answers by all that it listens on."""
        deadline_s = time.monotonic() + _START_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline_s:
                self.stop()
                if "could not find module <tls>" in self.log.read_text(errors="replace"):
                    missing("Kamailio's module for TLS is not installed", "kamailio-tls-modules")
                raise AssertionError(
                    f"kamailio did not start\n{self.log.read_text(errors='replace')[-3000:]}"
                )

    def _answers(self) -> bool:
        """Ask by UDP, and see whether connections are taken."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(0.1)
            asking.connect(("127.0.0.1", self.port))
            host, port = asking.getsockname()
            try:
                asking.send(_OPTIONS.format(at=f"{host}:{port}", server=self.port).encode())
                answer = asking.recv(4096)
                for listening in (self.port, self.tls_port):
                    if listening is not None:
                        socket.create_connection(("127.0.0.1", listening), 1.0).close()
            except OSError:  # not yet; a refusal comes at once
                time.sleep(0.05)
                return False
        return answer.startswith(b"SIP/2.0 200 ")


def _run(command: list[str], log: Path) -> "subprocess.Popen[bytes]":
    with log.open("ab") as output:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)


def _outside(numbers: Mapping[str, int]) -> str:
    return "\n".join(
        f'  if ($rU == "{number}") {{ $du = "sip:127.0.0.1:{port}"; t_relay(); exit; }}'
        for number, port in numbers.items()
    )
