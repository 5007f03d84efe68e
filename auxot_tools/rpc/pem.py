"""PEM files that settings name: read and checked, with sentences for people.

Must not know gRPC. Everything here raises ``ConfigError``; blocking and short, used at start only.
"""

import os
import ssl
from pathlib import Path

from auxot_tools.errors import ConfigError


def read_pem(setting: str, path: str) -> bytes:
    """The bytes of the file ``path`` that ``setting`` names."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "it cannot be opened"
        raise ConfigError([f"{setting}: cannot read `{path}`: {reason}"]) from error


def read_authority(setting: str, path: str) -> bytes:
    """The certificates in ``path``; at least one."""
    data = read_pem(setting, path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError as error:
        raise ConfigError([f"{setting}: `{path}` holds no PEM certificate"]) from error
    return data


def read_pair(
    cert_setting: str, cert_path: str, key_setting: str, key_path: str
) -> tuple[bytes, bytes]:
    """A certificate (chain) and the private key that belongs to it."""
    pair = read_pem(cert_setting, cert_path), read_pem(key_setting, key_path)
    try:
        # The password keeps OpenSSL from asking for one on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert_path, key_path, password=b"-")
    except (OSError, ValueError) as error:
        sentence = (
            f"{cert_setting} `{cert_path}` and {key_setting} `{key_path}` are not a PEM "
            "certificate and its private key (without a passphrase)"
        )
        raise ConfigError([sentence]) from error
    return pair
