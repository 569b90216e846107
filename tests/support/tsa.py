"""A time-stamping authority of one's own: real certificates, answers by openssl, and an HTTP server.

Trap: a strict reader (`rfc3161-client`) refuses the answers of openssl 3.0 with more than one certificate,
whose order openssl leaves as it finds it; ours sorts them first. The authority here sends one.
"""

import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from support.programs import needed

QUERY_TYPE: Final = "application/timestamp-query"
REPLY_TYPE: Final = "application/timestamp-reply"
_CONFIG: Final = """
[ts]
default_tsa = authority
[authority]
serial = {folder}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = {digests}
accuracy = secs:1
ess_cert_id_alg = sha256
"""
_TST_INFO: Final = "1.2.840.113549.1.9.16.1.4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A key and its certificate, as files for openssl."""

    key: Path
    certificate: Path


class StampingAuthority:
    """An authority whose root, key and certificate lie in a folder of its own."""

    def __init__(self, folder: Path, *, name: str = "Example TSA", digests: str = "sha256") -> None:
        self._openssl = needed("openssl", "openssl")
        self._folder = folder
        folder.mkdir(parents=True)
        self._root_key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(f"{name} Root")
        key = self._root_key.public_key()
        self.root = (
            _builder(subject, subject, key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._root_key, hashes.SHA256())
        )
        self.roots_file = folder / "root.pem"
        self.roots_file.write_bytes(self.root.public_bytes(serialization.Encoding.PEM))
        self._config = folder / "ts.cnf"
        self._config.write_text(_CONFIG.format(folder=folder, digests=digests))
        self.signer = self.certify(name)

    def certify(  # a certificate has this many parts, and a test changes one of them
        self,
        name: str,
        *,
        purposes: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.TIME_STAMPING,),
        critical: bool = True,
        authority: bool = False,
        valid: tuple[datetime, datetime] | None = None,
        number: int | None = None,
    ) -> Signer:
        """Return a new key and the certificate that the root gives it."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(name), self.root.subject, key.public_key(), valid=valid, number=number)
        if purposes:
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=critical)
        certificate = builder.add_extension(
            x509.BasicConstraints(ca=authority, path_length=None), critical=True
        ).sign(self._root_key, hashes.SHA256())
        return self.write(key, certificate)

    def write(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> Signer:
        """Write a key and a certificate as files."""
        stem = self._folder / certificate.fingerprint(hashes.SHA256()).hex()[:12]
        signer = Signer(key=stem.with_suffix(".key"), certificate=stem.with_suffix(".pem"))
        signer.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        signer.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return signer

    def answer(self, question: bytes) -> bytes:
        """Answer as `openssl ts -reply` does."""
        (self._folder / "question").write_bytes(question)
        self._run(
            *("ts", "-reply", "-config", self._config, "-section", "authority"),
            *("-queryfile", self._folder / "question", "-out", self._folder / "answer"),
            *("-signer", self.signer.certificate, "-inkey", self.signer.key),
        )
        return (self._folder / "answer").read_bytes()

    def content(self, answer: bytes) -> bytes:
        """Return what an answer's token says (TSTInfo), for `sign`."""
        (self._folder / "answer").write_bytes(answer)
        self._run("ts", "-reply", "-in", "answer", "-token_out", "-out", "token", "-config", self._config)
        self._run("cms", "-verify", "-noverify", "-inform", "DER", "-in", "token", "-out", "info")
        return (self._folder / "info").read_bytes()

    def sign(self, token_info: bytes, signer: Signer, *options: str | Path, bound: bool = True) -> bytes:
        """Answer with any TSTInfo, signed by any certificate: what no authority should do.

        Without options of its own it is as good as the answer of an authority. `bound` says that it names the
        certificate that signed it (signingCertificateV2).
        """
        (self._folder / "info").write_bytes(token_info)
        self._run(
            *("cms", "-sign", "-binary", "-nodetach", "-outform", "DER", "-nosmimecap"),
            *(("-cades",) if bound else ()),
            *("-econtent_type", _TST_INFO, "-in", self._folder / "info", "-out", self._folder / "token"),
            *("-signer", signer.certificate, "-inkey", signer.key, "-md", "sha256", *options),
        )
        granted = bytes.fromhex("3003020100")
        return _sequence(granted + (self._folder / "token").read_bytes())

    def verify(self, stamp: bytes, note: bytes) -> str:
        """Return what `openssl ts -verify` says."""
        (self._folder / "stamp").write_bytes(stamp)
        (self._folder / "note").write_bytes(note)
        return self._run(
            *("ts", "-verify", "-in", self._folder / "stamp", "-data", self._folder / "note"),
            *("-CAfile", self.roots_file),
        )

    def _run(self, *arguments: str | Path) -> str:
        ran = subprocess.run(
            [self._openssl, *arguments], check=False, capture_output=True, text=True, cwd=self._folder
        )
        if ran.returncode:
            raise RuntimeError(f"openssl {arguments[0]}: {ran.stderr}")
        return ran.stdout + ran.stderr


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a server answers."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] | None = None


@contextmanager
def serving(answer: Callable[[bytes], Reply | bytes]) -> Iterator[str]:
    """Serve answers to questions over HTTP on loopback; give the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            question = self.rfile.read(int(self.headers["Content-Length"]))
            right = self.headers["Content-Type"] == QUERY_TYPE
            found = answer(question) if right else Reply(status=415)
            reply = found if isinstance(found, Reply) else Reply(body=found)
            self.send_response(reply.status)
            self.send_header("Content-Type", REPLY_TYPE)
            self.send_header("Content-Length", str(len(reply.body)))
            for name, value in (reply.headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            pass

    with _Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/tsr"
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Take no notice: a client that has enough goes away in the middle of an answer."""


def _sequence(content: bytes) -> bytes:
    return b"\x30\x82" + len(content).to_bytes(2, "big") + content


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    *,
    valid: tuple[datetime, datetime] | None = None,
    number: int | None = None,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    begin, end = valid or (now - timedelta(days=1), now + timedelta(days=365))
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number() if number is None else number)
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
