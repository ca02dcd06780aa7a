from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import sys

import pytest

from doorward.errors import ConfigurationError
from doorward.http.trust import present, trust_context, trust_just


def subjects(context):
    return {
        dict(part[0] for part in certificate["subject"]).get("commonName") for certificate in context.get_ca_certs()
    }


def test_verification_is_on():
    context = trust_context({})
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_file_adds_to_the_system_store(test_ca, variable):
    assert subjects(trust_context({variable: str(test_ca.ca)})) == subjects(trust_context({})) | {
        "Doorward test authority"
    }


@pytest.mark.parametrize("variable", ["SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"])
def test_a_folder_adds_to_the_system_store(variable, test_ca, tmp_path, serve, server_tls):
    """A folder is read during a handshake, so only a handshake can tell."""
    command = [shutil.which("openssl"), "x509", "-hash", "-noout", "-in", str(test_ca.ca)]
    name = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    (tmp_path / f"{name}.0").write_bytes(test_ca.ca.read_bytes())
    context = trust_context({variable: str(tmp_path)})
    assert subjects(context) == subjects(trust_context({}))
    server = serve(b"", tls=server_tls, read=False)
    with (
        socket.create_connection(("127.0.0.1", server.port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        assert tls.version() == "TLSv1.3"


@pytest.mark.parametrize("content", [None, "no certificate in here\n"])
def test_a_file_that_cannot_be_used(tmp_path, content):
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        trust_context({"SSL_CERT_FILE": str(file)})
    assert (caught.value.field, caught.value.reason) == ("SSL_CERT_FILE", "trust_unreadable")


FORKING = """
import os, signal, sys, threading, time
from doorward.http.settings import ClientSettings

os.environ["SSL_CERT_FILE"] = sys.argv[1]
reading = threading.Thread(target=lambda: ClientSettings(False, 1, 1).trust, daemon=True)
reading.start()
with open(sys.argv[1], "wb"):  # which waits until somebody reads there
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        del os.environ["SSL_CERT_FILE"]
        ClientSettings(False, 1, 1).trust
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), reading.is_alive())
    sys.stdout.flush()
    os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_while_another_thread_reads_whom_to_trust(tmp_path):
    os.mkfifo(tmp_path / "slow.pem")
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING, str(tmp_path / "slow.pem")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "0 True\n", done.stderr


def test_a_file_of_cas_alone_is_trusted_where_one_is_given(test_ca):
    assert len(trust_just(str(test_ca.ca)).get_ca_certs()) == 1


def test_what_proves_who_we_are_is_read_and_never_asked_for(test_ca, tmp_path):
    context = trust_context({})
    present(context, str(test_ca.certificate), str(test_ca.key))
    encrypted = tmp_path / "encrypted.pem"
    command = [shutil.which("openssl"), "pkcs8", "-topk8", "-in", str(test_ca.key), "-passout", "pass:x", "-out"]
    subprocess.run([*command, str(encrypted)], check=True, capture_output=True)
    other = tmp_path / "other.pem"
    command = [shutil.which("openssl"), "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out"]
    subprocess.run([*command, str(other)], check=True, capture_output=True)
    for certificate, key in [
        (test_ca.certificate, encrypted),
        (test_ca.certificate, other),
        (test_ca.certificate, tmp_path / "none"),
        (tmp_path / "none", test_ca.key),
        (test_ca.key, test_ca.key),
    ]:
        with pytest.raises(ConfigurationError) as refused:
            present(context, str(certificate), str(key))
        assert (refused.value.field, refused.value.reason) == ("client_certificate", "client_certificate_unreadable")
